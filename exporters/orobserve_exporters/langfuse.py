"""Langfuse: a generation as an observation of Langfuse's own kind, by the names that its SDK uses.

An application that traces with the Langfuse SDK gets its calls without this destination. They are spans of the current
tracer provider, the SDK's span processor takes every span with `gen_ai.*` attributes, and Langfuse reads the billed
cost from `gen_ai.usage.cost`. Where that processor is at work for the same project, this destination leaves the call to
it, so that it is there once; the `content` setting of the spans then decides what is said. Only what became known after
the span had ended is sent all the same: it has the same ids, and Langfuse keeps the later of two observations with the
same ids and start (its tables are ReplacingMergeTree, ordered by project, trace, span and start).

An SDK with a tracer provider of its own does not see our spans: this destination sends them then, into the SDK's trace.
"""

from __future__ import annotations

import base64
import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from orobserve.delivery import Field, HTTPRequest, Result, Verdict
from orobserve.generation import Outcome
from orobserve.telemetry import names
from orobserve_exporters._details import facts, metadata, model, parameters, tags
from orobserve_exporters._figures import disjoint_usage, moment, split_cost
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import OTLPExporter, as_json, endpoint, sent_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Content, Cost, Generation
    from orobserve_exporters._otlp import Attributes

INSTALL = 'pip install "orobserve[langfuse]"'
_INGESTION = {"x-langfuse-ingestion-version": "4"}  # visible at once; older servers ignore it
_FIELDS_OF_THEIR_OWN = frozenset({"cost_usd", "time_to_first_token"})
_PROMOTED = frozenset({"environment", "release"})  # keys of `trace` that are fields of their own here


class Langfuse(OTLPExporter):
    """Langfuse, cloud or self-hosted from version 3."""

    TYPE = "langfuse"
    TITLE = "Langfuse"
    FIELDS = (
        Field(name="public_key", help="pk-lf-...", required=True, env=("LANGFUSE_PUBLIC_KEY",)),
        Field(name="secret_key", help="sk-lf-...", required=True, secret=True, env=("LANGFUSE_SECRET_KEY",)),
        Field(
            name="base_url",
            help="https://us.cloud.langfuse.com, https://cloud.langfuse.com (EU), or your own",
            default="https://us.cloud.langfuse.com",
            env=("LANGFUSE_BASE_URL", "LANGFUSE_HOST"),
        ),
        Field(name="environment", help="environment of the traces", env=("LANGFUSE_TRACING_ENVIRONMENT",)),
        Field(name="release", help="release of the application", env=("LANGFUSE_RELEASE",)),
        *OTLPExporter.FIELDS,
    )
    UPDATES = True

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings and the names that the Langfuse SDK gives its attributes.

        Raises:
            ValueError: the SDK is not installed.
        """
        super().__init__(config)
        try:
            sdk = import_module("langfuse")  # it takes a second: for its users only
        except ImportError as error:
            raise ValueError(f"the langfuse destination needs the Langfuse SDK: {INSTALL}") from error
        self._names: Any = sdk.LangfuseOtelSpanAttributes
        self._processor: Any = sdk._client.span_processor.LangfuseSpanProcessor  # noqa: SLF001 - it has no public name

    def url(self) -> str:
        """Return the traces endpoint."""
        return endpoint(self._base, "/api/public/otel/v1/traces")

    def headers(self) -> dict[str, str]:
        """Return the key pair, which implies the project."""
        return {**self._credentials, **_INGESTION, "x-langfuse-public-key": self.config["public_key"]}

    @property
    def _base(self) -> str:
        return str(self.config["base_url"]).rstrip("/")

    @property
    def _credentials(self) -> dict[str, str]:
        pair = f"{self.config['public_key']}:{self.config['secret_key']}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def is_served_by(self, provider: object) -> bool:
        """Tell whether the SDK, for the same project, exports the spans that a provider's tracers make of calls."""
        call = ReadableSpan(
            "call",
            attributes={names.OPERATION_NAME: "chat", names.PROVIDER_NAME: names.PROVIDER},
            instrumentation_scope=InstrumentationScope(names.SCOPE),
        )
        processors = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())
        return any(
            isinstance(processor, self._processor)
            and processor.public_key == self.config["public_key"]
            and processor._should_export_span(call)  # noqa: SLF001 - likewise
            for processor in processors
        )

    def attributes(self, generation: Generation) -> Attributes:
        """Return an observation of the type `generation`, or `embedding`."""
        its, first_chunk = self._names, generation.timing.first_chunk_at
        known = {key: value for key, value in facts(generation).items() if key not in _FIELDS_OF_THEIR_OWN}
        asked = parameters(generation)
        return {
            its.OBSERVATION_TYPE: "embedding" if generation.operation == "embeddings" else "generation",
            its.OBSERVATION_MODEL: model(generation),
            **self._said(generation.content),
            its.OBSERVATION_USAGE_DETAILS: _json(disjoint_usage(generation.usage) if generation.usage else {}),
            its.OBSERVATION_COST_DETAILS: _json(_cost(generation.cost) if generation.cost else {}),
            its.OBSERVATION_MODEL_PARAMETERS: _json(asked),
            its.OBSERVATION_COMPLETION_START_TIME: _moment(first_chunk) if first_chunk is not None else None,
            **self._verdict(generation),
            **{f"{its.OBSERVATION_METADATA}.{key}": value for key, value in known.items()},
            **self._trace(generation),
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:  # noqa: ARG002 - it is the span's
        """Return a plain span with what is known of the trace."""
        return {
            self._names.OBSERVATION_TYPE: "span",
            **self._said(generation.content),
            **self._trace(generation),
        }

    def _trace(self, generation: Generation) -> Attributes:
        its, custom = self._names, metadata(generation)
        return {
            its.TRACE_NAME: generation.trace_name,
            its.TRACE_USER_ID: generation.request.user,
            its.TRACE_SESSION_ID: generation.request.session_id,
            its.TRACE_TAGS: tags(generation),
            its.ENVIRONMENT: custom.get("environment") or self.config["environment"],
            its.RELEASE: custom.get("release") or self.config["release"],
            **{f"{its.TRACE_METADATA}.{key}": value for key, value in custom.items() if key not in _PROMOTED},
        }

    def _said(self, content: Content | None) -> Attributes:
        if content is None:
            return {}
        its, asked, answers = self._names, prompt(content), completion(content)
        given = {"messages": asked, "tools": list(content.tools)} if content.tools else asked
        return {
            its.OBSERVATION_INPUT: _json(given),
            its.OBSERVATION_OUTPUT: _json(answers[0] if len(answers) == 1 else answers),
        }

    def _verdict(self, generation: Generation) -> Attributes:
        its, error = self._names, generation.error
        if error is not None:
            return {its.OBSERVATION_LEVEL: "ERROR", its.OBSERVATION_STATUS_MESSAGE: error.message or error.type}
        if generation.outcome is not Outcome.COMPLETE:
            return {its.OBSERVATION_LEVEL: "WARNING", its.OBSERVATION_STATUS_MESSAGE: generation.outcome.value}
        return {}

    def probe(self) -> HTTPRequest:
        """Return the request of the SDK's `auth_check`: which projects do the keys open?"""
        return HTTPRequest(
            url=f"{self._base}/api/public/projects", method="GET", headers=sent_headers(self, self._credentials)
        )

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the keys open a project."""
        if response.status in {401, 403}:
            reason = f"the keys are refused: check public_key and secret_key, and base_url ({self._base}), since keys "
            return Result(verdict=Verdict.REJECTED, reason=reason + f"belong to one region (HTTP {response.status})")
        result = super().judge_probe(response)
        if result.verdict is not Verdict.DELIVERED or _has_project(response.body):
            return result
        return Result(verdict=Verdict.REJECTED, reason="no project was found for the keys: check base_url")


def _has_project(body: bytes) -> bool:
    try:
        found = json.loads(body)
    except ValueError:
        return False
    return isinstance(found, dict) and bool(found.get("data"))


def _cost(cost: Cost) -> dict[str, float]:
    """Return USD as numbers; Langfuse prices the call itself unless one is given, and shows what `total` says."""
    if cost.total is None:
        return {}
    split = split_cost(cost)
    parts = {"input": split[0], "output": split[1]} if split else {}
    return {**parts, "total": cost.total}


def _moment(nanoseconds: int) -> str:
    return moment(nanoseconds).isoformat()


def _json(value: Any) -> str | None:  # noqa: ANN401 - JSON
    return as_json(value) if value else None
