"""Our own requests are nobody's business: no instrumentation sees them, and no log line of httpx quotes their URLs."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry.context import Context

if TYPE_CHECKING:
    from collections.abc import Iterator

# Those for everybody first, then those for HTTP tracers, which have "http" in them. Two are private names of the API
# package, the plain texts are what older instrumentations set.
SUPPRESSION_KEYS = (
    otel_context._SUPPRESS_INSTRUMENTATION_KEY,  # noqa: SLF001
    "suppress_instrumentation",
    otel_context._SUPPRESS_HTTP_INSTRUMENTATION_KEY,  # noqa: SLF001
    "suppress_http_instrumentation",
)
_OURS = otel_context.create_key("orobserve-own-request")


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress instrumentation in the block; no span is current in it, whatever was current outside."""
    token = otel_context.attach(Context(dict.fromkeys((*SUPPRESSION_KEYS, _OURS), True)))
    try:
        yield
    finally:
        otel_context.detach(token)


def silence(library: str) -> None:
    """Keep an HTTP library's log lines about our own requests back: they quote the URL with its query."""
    logging.getLogger(library).addFilter(_not_ours)  # the same function is added once


def _not_ours(_record: logging.LogRecord) -> bool:
    return otel_context.get_value(_OURS) is None
