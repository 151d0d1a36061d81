"""Honeycomb: flat columns of the dataset that bears the service's name."""

from __future__ import annotations

from orobserve.delivery import Field, HTTPRequest
from orobserve_exporters._address import endpoint
from orobserve_exporters._gen_ai import GenAIExporter
from orobserve_exporters._otlp import sent_headers


class Honeycomb(GenAIExporter):
    """Spans by the semantic conventions."""

    TYPE = "honeycomb"
    TITLE = "Honeycomb"
    FIELDS = (
        Field(name="api_key", help="ingest key", required=True, secret=True, env=("HONEYCOMB_API_KEY",)),
        Field(name="dataset", help="dataset, for Honeycomb Classic only", env=("HONEYCOMB_DATASET",)),
        Field(
            name="base_url",
            help="address; in the EU https://api.eu1.honeycomb.io",
            default="https://api.honeycomb.io",
            env=("HONEYCOMB_API_ENDPOINT",),
        ),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key, and the dataset where one is given."""
        dataset = self.config["dataset"]
        return {"x-honeycomb-team": self.config["api_key"], **({"x-honeycomb-dataset": dataset} if dataset else {})}

    def probe(self) -> HTTPRequest:
        """Ask whose key it is."""
        url = endpoint(self.url().removesuffix(self.PATH), "/1/auth")
        return HTTPRequest(method="GET", url=url, headers=sent_headers(self, self.headers()))
