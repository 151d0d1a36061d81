"""The row of a warehouse as JSON: flat, as the lines of a file, and nested, as the traces of Broadcast."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from orobserve_exporters._details import facts
from orobserve_exporters._figures import moment
from orobserve_exporters._row import COLUMNS, Kind, row
from orobserve_exporters._spans import text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.generation import Generation

_KINDS = {column.name: column.kind for column in COLUMNS}
_TRACE = {"TRACE_ID": "id", "USER_ID": "userId", "SESSION_ID": "sessionId", "TIMESTAMP": "timestamp"}
_OBSERVATION = {
    "SPAN_ID": "id",
    "SPAN_TYPE": "type",
    "PARENT_SPAN_ID": "parentObservationId",
    "NAME": "name",
    "START_TIME": "startTime",
    "END_TIME": "endTime",
    "MODEL": "model",
    "PROVIDER_NAME": "provider",
    "MODEL_PARAMETERS": "modelParameters",
    "INPUT": "input",
    "OUTPUT": "output",
    "INPUT_COST": "inputCost",
    "OUTPUT_COST": "outputCost",
    "TOTAL_COST": "totalCost",
    "LEVEL": "level",
    "ATTRIBUTES": "attributes",
}
_USAGE = {
    "PROMPT_TOKENS": "promptTokens",
    "COMPLETION_TOKENS": "completionTokens",
    "TOTAL_TOKENS": "totalTokens",
    "CACHED_TOKENS": "cachedTokens",
    "REASONING_TOKENS": "reasoningTokens",
}
_PLACE = {"entity_id": "", "service_name": ""}  # of columns that a trace object does not have


def flat(generation: Generation, config: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """Return a row with times as RFC 3339 and JSON columns as objects; None is unknown.

    Args:
        generation: the record.
        config: of a destination that has the fields of a row.
        limit: bytes of JSON that a prompt, or a completion, may take.
    """
    return {name: _read(_KINDS[name], value) for name, value in row(generation, config, limit).items()}


def trace_object(generation: Generation) -> dict[str, Any]:
    """Return a trace with its one observation. What is unknown is left out, and so is what is empty."""
    found = {name: _read(_KINDS[name], value) for name, value in row(generation, _PLACE).items()}
    usage, error = generation.usage, generation.error
    counts = {**_named(found, _USAGE), "cacheWriteTokens": usage and usage.cache_write_input_tokens}
    about = {
        **facts(generation),
        "span_name": generation.span_name,
        "api_key_name": generation.request.api_key_name,
        "cost_usd": None,  # it is the observation's
    }
    message = (error.message or error.type) if error else None
    observation = {
        **_named(found, _OBSERVATION),
        "usage": _known(counts),
        "statusMessage": text(message) if message else None,
        "metadata": _known(about),
    }
    return _known(
        {
            **_named(found, _TRACE),
            "name": text(generation.trace_name) if generation.trace_name else found["NAME"],
            "metadata": found["METADATA"],
            "tags": found["TAGS"],
            "observations": [_known(observation)],
        }
    )


def _read(kind: Kind, value: Any) -> Any:  # noqa: ANN401 - JSON
    if value is None:
        return None
    if kind is Kind.TIME:
        return moment(value).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return json.loads(value) if kind is Kind.JSON else value


def _named(found: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {name: found[column] for column, name in names.items()}


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None and value not in ([], {})}
