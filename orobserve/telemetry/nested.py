"""Coexistence: is another GenAI instrumentation's span open for this very call? Then one costed span is enough.

Measured with opentelemetry-instrumentation-genai-*, openai-v2, OpenInference, OpenLLMetry, Logfire, pydantic-ai and the
Anthropic SDK's own tracing. Some of them keep no span current while they call; theirs is then a span without cost
beside ours.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanKind

from orobserve._quiet import SUPPRESSION_KEYS
from orobserve.telemetry import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from orobserve.telemetry.attributes import Attributes

_OPERATIONS = frozenset({"chat", "text_completion", "generate_content", "embeddings", "completion", "embedding"})
_OPENINFERENCE_KINDS = frozenset({"LLM", "EMBEDDING", "RERANKER"})
_SCOPES = frozenset({"opentelemetry.util.genai.handler"})  # starts its spans without attributes
_NEVER_SUPPRESSING = frozenset({"com.anthropic.sdk.python"})
_METERED_SCOPES = ("opentelemetry.instrumentation.", "opentelemetry.util.genai.")
_HTTP_SCOPES = tuple(
    f"opentelemetry.instrumentation.{name}"
    for name in ("aiohttp_client", "httpx", "requests", "urllib")  # and urllib3
)

_claimed: weakref.WeakSet[Span] = weakref.WeakSet()
_filled: weakref.WeakKeyDictionary[Span, set[str]] = weakref.WeakKeyDictionary()  # what on it is ours


def suppressed() -> bool:
    """Tell whether someone asked instrumentations to keep quiet (an exporter at work, say)."""
    current = otel_context.get_current()
    if current:
        for key in SUPPRESSION_KEYS:
            if current.get(key):
                return "http" not in key or not _is_within_http_span()
    return False


def _is_within_http_span() -> bool:
    """Tell whether an HTTP tracer's span is current: it speaks to other HTTP tracers, for it has traced the request.

    A span that is not sampled tells nothing of itself; the call is better seen then.
    """
    span = trace.get_current_span()
    if not span.is_recording():
        return span.get_span_context().is_valid
    return getattr(span, "kind", None) is SpanKind.CLIENT and (_scope(span) or "").startswith(_HTTP_SCOPES)


def _scope(span: Span) -> str | None:
    return getattr(getattr(span, "instrumentation_scope", None), "name", None)


def foreign_span() -> Span | None:
    """Return the current span if it is another instrumentation's span for a model call, recording and not taken."""
    span = trace.get_current_span()
    if not span.is_recording() or span in _claimed:
        return None
    attributes = getattr(span, "attributes", None) or {}
    scope = _scope(span)
    if scope == names.SCOPE:
        return None
    if (
        attributes.get(names.OPERATION_NAME) in _OPERATIONS
        or attributes.get(names.OPENINFERENCE_KIND) in _OPENINFERENCE_KINDS
        or scope in _SCOPES
    ):
        return span
    return None


def is_hidden(span: Span) -> bool:
    """Tell whether somebody had asked for silence before the span began: under Logfire it will never be exported."""
    return _scope(span) in _NEVER_SUPPRESSING and suppressed()


def above(span: Span, context: Context) -> Context:
    """Return the context in which a hidden span began."""
    parent = getattr(span, "parent", None)
    return trace.set_span_in_context(NonRecordingSpan(parent), context) if parent is not None else context


def claim(span: Span) -> None:
    """Take a span for one call: a second call beneath it gets a span of its own."""
    _claimed.add(span)


def release(span: Span) -> None:
    """Give a span back when the call has cost nothing, so that an SDK's retry may fill it."""
    _claimed.discard(span)


def fill(span: Span, attributes: Attributes) -> None:
    """Add to a span what its owner has not said; what a failed attempt of the same call left there is replaced."""
    ours = _filled.setdefault(span, set())
    existing = getattr(span, "attributes", None) or {}
    added = {key: value for key, value in attributes.items() if key in ours or key not in existing}
    ours.update(added)
    span.set_attributes(added)


def has_own_metrics(span: Span) -> bool:
    """Tell whether the span's instrumentation records the standard metrics itself."""
    return (_scope(span) or "").startswith(_METERED_SCOPES)
