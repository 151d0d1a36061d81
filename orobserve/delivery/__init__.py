"""Destinations: who gets a record, what of it, and how it arrives. Payload formats live in the exporters."""

from __future__ import annotations

from orobserve.delivery.exporter import (
    Conversation,
    DirectExporter,
    Exporter,
    Field,
    HTTPExporter,
    HTTPRequest,
    HTTPResponse,
    Limits,
    Result,
    Step,
    Verdict,
)

__all__ = [
    "Conversation",
    "DirectExporter",
    "Exporter",
    "Field",
    "HTTPExporter",
    "HTTPRequest",
    "HTTPResponse",
    "Limits",
    "Result",
    "Step",
    "Verdict",
]
