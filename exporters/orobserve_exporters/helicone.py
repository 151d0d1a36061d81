"""Helicone. It prices calls itself: a cost that is sent is kept as an attribute only."""

from __future__ import annotations

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter


class Helicone(GenAIExporter):
    """Spans by the semantic conventions, as JSON."""

    TYPE = "helicone"
    TITLE = "Helicone"
    JSON = True
    PATH = "/v1/trace/log"
    FIELDS = (
        Field(name="api_key", help="API key", required=True, secret=True, env=("HELICONE_API_KEY",)),
        Field(name="base_url", help="address", default="https://api.helicone.ai"),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self.config['api_key']}"}
