"""The conventions' log event of a call, linked to its span: for content that is to stay out of spans."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber, get_logger
from opentelemetry.trace import NonRecordingSpan

from orobserve.telemetry import attributes, content, names

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

    from orobserve.config import Config
    from orobserve.generation import Content, Generation


class Events:
    """Emits one event per call where the settings ask for it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._wanted = config.emit_event or config.content_on_event

    def emit(self, generation: Generation, said: Content | None, span: SpanContext) -> None:
        """Emit the event of a call, with its content if events are to carry it."""
        if self._wanted:
            facts: dict[str, Any] = {**attributes.encode(generation, self._config)}
            if said is not None and self._config.content_on_event:
                facts.update(content.encode(said, self._config))
            _log(names.EVENT_DETAILS, generation.timing.ended_at, facts, span)

    def emit_late(self, generation: Generation, span: SpanContext) -> None:
        """Emit what was learnt of a call after its span had ended."""
        _log(names.LATE_EVENT, time.time_ns(), {**attributes.encode(generation, self._config)}, span)


def _log(name: str, timestamp: int, facts: dict[str, Any], span: SpanContext) -> None:
    get_logger(names.SCOPE, schema_url=names.SCHEMA_URL).emit(
        LogRecord(
            timestamp=timestamp,
            context=trace.set_span_in_context(NonRecordingSpan(span)),
            severity_number=SeverityNumber.INFO,
            event_name=name,
            attributes=facts,
        )
    )
