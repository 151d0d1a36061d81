"""Spans, metrics and events of the OpenTelemetry semantic conventions, made from the record."""
