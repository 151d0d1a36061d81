"""Dynatrace, SaaS or ActiveGate. It takes protobuf only, and spans that ended at most an hour ago."""

from __future__ import annotations

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter


class Dynatrace(GenAIExporter):
    """Spans by the semantic conventions."""

    TYPE = "dynatrace"
    TITLE = "Dynatrace"
    PATH = "/api/v2/otlp/v1/traces"
    FIELDS = (
        Field(
            name="base_url",
            help="https://ENVIRONMENT.live.dynatrace.com, or https://ACTIVEGATE:9999/e/ENVIRONMENT",
            required=True,
            env=("DT_API_URL",),
        ),
        Field(
            name="api_key",
            help="access token with the scope openTelemetryTrace.ingest",
            required=True,
            secret=True,
            env=("DT_API_TOKEN",),
        ),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the token."""
        return {"Authorization": f"Api-Token {self.config['api_key']}"}
