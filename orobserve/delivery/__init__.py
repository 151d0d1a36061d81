"""Destinations: who gets a record, what of it, and how it arrives. Payload formats live in the exporters."""

from __future__ import annotations

from orobserve.delivery.exporter import (
    DirectExporter,
    Exporter,
    Field,
    HTTPExporter,
    HTTPRequest,
    HTTPResponse,
    Limits,
    Result,
    Verdict,
)

__all__ = [
    "DirectExporter",
    "Exporter",
    "Field",
    "HTTPExporter",
    "HTTPRequest",
    "HTTPResponse",
    "Limits",
    "Result",
    "Verdict",
]
