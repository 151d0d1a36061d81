"""Portkey's OpenTelemetry intake."""

from __future__ import annotations

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter


class Portkey(GenAIExporter):
    """Spans by the semantic conventions."""

    TYPE = "portkey"
    TITLE = "Portkey"
    PATH = "/v1/otel/v1/traces"
    FIELDS = (
        Field(name="api_key", help="API key", required=True, secret=True, env=("PORTKEY_API_KEY",)),
        Field(name="base_url", help="address", default="https://api.portkey.ai"),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"x-portkey-api-key": self.config["api_key"]}
