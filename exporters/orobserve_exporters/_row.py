"""The row of a warehouse: the columns of Broadcast's `OPENROUTER_TRACES`, one row per generation. Knows no SQL dialect.

Names, order and meaning are Broadcast's, so that a table which was made for it can be filled by either, and its example
queries work: https://openrouter.ai/docs/guides/features/broadcast. Token counts may be NULL here, where Broadcast's own
table says NOT NULL: unknown is not zero. The existing table always wins, see `fitted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field
from orobserve.generation import Outcome
from orobserve.telemetry import attributes
from orobserve_exporters._broadcast import CONFIG
from orobserve_exporters._details import metadata, model, parameters, tags
from orobserve_exporters._figures import split_cost, total_tokens
from orobserve_exporters._messages import chat_messages, fit
from orobserve_exporters._otlp import SERVICE_NAME
from orobserve_exporters._spans import as_json, text
from orobserve_exporters._tree import given_parent_id, given_trace_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from orobserve.generation import Content, Generation

Row = dict[str, Any]

TABLE = Field(name="table", help="table; it is made if it is missing and may be", default="OPENROUTER_TRACES")
FIELDS = (
    Field(name="entity_id", help="ENTITY_ID of rows whose OpenRouter workspace is not known", default="orobserve"),
    SERVICE_NAME,
)
_CONTENT_LIMIT = 2_000_000  # bytes of JSON that a prompt, or a completion, may take


class Kind(Enum):
    """What a column holds, and as what `row` gives it."""

    TEXT = "text"
    TIME = "time"  # nanoseconds since the epoch
    MILLISECONDS = "milliseconds"
    COUNT = "count"
    USD = "usd"
    TEXTS = "texts"  # a list
    JSON = "json"  # as text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column; `length` is what Broadcast's Snowflake table allows, in characters."""

    name: str
    comment: str
    kind: Kind = Kind.TEXT
    required: bool = False
    length: int = 256


COLUMNS = (
    Column(name="TRACE_ID", comment="Trace identifier", required=True, length=128),
    Column(name="SPAN_ID", comment="Span identifier, unique in its trace", required=True, length=128),
    Column(name="PARENT_SPAN_ID", comment="Span above this one", length=128),
    Column(name="USER_ID", comment="User of the application"),
    Column(name="SESSION_ID", comment="Session, or conversation"),
    Column(name="ORGANIZATION_ID", comment="Organization"),
    Column(name="ENTITY_ID", comment="OpenRouter workspace, or a constant", required=True),
    Column(name="API_KEY_NAME", comment="Your name for the API key"),
    Column(name="TIMESTAMP", comment="Start of the trace, UTC", kind=Kind.TIME, required=True),
    Column(name="START_TIME", comment="Start of the call, UTC", kind=Kind.TIME, required=True),
    Column(name="END_TIME", comment="End of the call, UTC", kind=Kind.TIME),
    Column(name="DURATION_MS", comment="Duration in milliseconds", kind=Kind.MILLISECONDS),
    Column(name="MODEL", comment="Model that answered"),
    Column(name="PROVIDER_NAME", comment="Provider that served the call"),
    Column(name="PROVIDER_SLUG", comment="Its slug, where OpenRouter says it"),
    Column(name="STATUS", comment="ok or error", required=True, length=32),
    Column(name="LEVEL", comment="DEFAULT, WARNING or ERROR", required=True, length=32),
    Column(name="FINISH_REASON", comment="Why the model stopped", length=64),
    Column(name="PROMPT_TOKENS", comment="Input tokens, cached ones included", kind=Kind.COUNT),
    Column(name="COMPLETION_TOKENS", comment="Output tokens, reasoning included", kind=Kind.COUNT),
    Column(name="TOTAL_TOKENS", comment="Input and output tokens", kind=Kind.COUNT),
    Column(name="CACHED_TOKENS", comment="Input tokens read from the prompt cache", kind=Kind.COUNT),
    Column(name="REASONING_TOKENS", comment="Output tokens spent on reasoning", kind=Kind.COUNT),
    Column(name="INPUT_COST", comment="USD, where OpenRouter splits the cost", kind=Kind.USD),
    Column(name="OUTPUT_COST", comment="USD, where OpenRouter splits the cost", kind=Kind.USD),
    Column(name="TOTAL_COST", comment="USD, as OpenRouter billed it; NULL: not known", kind=Kind.USD),
    Column(name="SPAN_TYPE", comment="GENERATION", required=True, length=32),
    Column(name="NAME", comment="Name of the generation", length=512),
    Column(name="TAGS", comment="Tags", kind=Kind.TEXTS),
    Column(name="ATTRIBUTES", comment="All OpenTelemetry attributes", kind=Kind.JSON),
    Column(name="INPUT", comment="What was asked: an object with messages", kind=Kind.JSON),
    Column(name="OUTPUT", comment="What was answered: an object with messages", kind=Kind.JSON),
    Column(name="METADATA", comment="Keys of the trace object in the request, and of the context", kind=Kind.JSON),
    Column(name="MODEL_PARAMETERS", comment="Sampling parameters of the request", kind=Kind.JSON),
    Column(name="RESOURCE_ATTRIBUTES", comment="Attributes of the process", kind=Kind.JSON),
)


def row(generation: Generation, config: Mapping[str, Any], limit: int = _CONTENT_LIMIT) -> Row:
    """Return the values of all columns by name; None is unknown.

    Args:
        generation: the record.
        config: of a destination that has `FIELDS`.
        limit: bytes of JSON that a prompt, or a completion, may take.
    """
    content, timing, stats = generation.content, generation.timing, generation.stats
    failed = generation.error is not None or generation.outcome is Outcome.FAILED
    level = "ERROR" if failed else "DEFAULT" if generation.outcome is Outcome.COMPLETE else "WARNING"
    found = {
        "TRACE_ID": given_trace_id(generation),
        "SPAN_ID": generation.span_id,
        "PARENT_SPAN_ID": given_parent_id(generation) or generation.parent_span_id,
        "USER_ID": generation.request.user,
        "SESSION_ID": generation.request.session_id,
        "ORGANIZATION_ID": None,
        "ENTITY_ID": (stats and stats.workspace_id) or config["entity_id"],
        "API_KEY_NAME": generation.request.api_key_name,
        "TIMESTAMP": timing.started_at,
        "START_TIME": timing.started_at,
        "END_TIME": timing.ended_at,
        "DURATION_MS": round(timing.duration * 1e3, 3),
        "MODEL": model(generation),
        "PROVIDER_NAME": generation.provider,
        "PROVIDER_SLUG": None,
        "STATUS": "error" if failed else "ok",
        "LEVEL": level,
        "FINISH_REASON": (generation.finish_reasons or (None,))[0],
        **_figures(generation),
        "SPAN_TYPE": "GENERATION",
        "NAME": generation.name or " ".join(filter(None, (generation.operation, model(generation)))),
    }
    return {
        **{name: text(value) if isinstance(value, str) else value for name, value in found.items()},
        "TAGS": [text(tag) for tag in tags(generation)],
        "ATTRIBUTES": as_json(attributes.encode(generation, CONFIG)),
        "INPUT": content and as_json(_asked(content, limit)),
        "OUTPUT": content and as_json({"messages": fit(chat_messages(content.output), limit)}),
        "METADATA": as_json(_metadata(generation)),
        "MODEL_PARAMETERS": as_json(parameters(generation)),
        "RESOURCE_ATTRIBUTES": as_json({"service.name": config["service_name"]}),
    }


def fitted(found: Row, columns: Mapping[str, bool]) -> Row:
    """Return a row as an existing table takes it.

    Args:
        found: of `row`.
        columns: names of the table's columns in upper case, and whether they may be NULL. What it lacks is left out;
            a count that is not known is 0 where NULL may not be.
    """
    counts = {column.name for column in COLUMNS if column.kind is Kind.COUNT}
    return {
        name: 0 if value is None and name in counts and not columns[name] else value
        for name, value in found.items()
        if name in columns
    }


def missing(columns: Collection[str]) -> str:
    """Return which of our columns a table lacks, as a remark; empty if none."""
    lacking = [column.name for column in COLUMNS if column.name not in columns]
    return f"the table lacks {', '.join(lacking)}; everything else is stored" if lacking else ""


def unfillable(columns: Mapping[str, bool], defaults: Collection[str] = ()) -> list[str]:
    """Return the columns of a table that must have a value and that no row of ours gives one, in their order."""
    ours = {column.name: column for column in COLUMNS}
    given = {name for name, column in ours.items() if column.required or column.kind is Kind.COUNT}
    return [name for name, nullable in columns.items() if not nullable and name not in given | set(defaults)]


def _figures(generation: Generation) -> Row:
    usage, cost = generation.usage, generation.cost
    given, taken = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    input_cost, output_cost = (split_cost(cost) if cost else None) or (None, None)
    return {
        "PROMPT_TOKENS": given,
        "COMPLETION_TOKENS": taken,
        "TOTAL_TOKENS": usage and total_tokens(usage),
        "CACHED_TOKENS": usage and usage.cache_read_input_tokens,
        "REASONING_TOKENS": usage and usage.reasoning_output_tokens,
        "INPUT_COST": input_cost,
        "OUTPUT_COST": output_cost,
        "TOTAL_COST": cost and cost.total,
    }


def _asked(content: Content, limit: int) -> dict[str, Any]:
    asked = {"messages": fit(chat_messages(content.input, content.system), limit)}
    return {**asked, "tools": list(content.tools)} if content.tools else asked


def _metadata(generation: Generation) -> dict[str, Any]:
    asked = generation.request.trace
    named = {
        "trace_id": asked and asked.trace_id,
        "parent_span_id": asked and asked.parent_span_id,
        "trace_name": generation.trace_name,
        "span_name": generation.span_name,
        "generation_name": generation.name,
    }
    return {**metadata(generation), **{key: value for key, value in named.items() if value is not None}}
