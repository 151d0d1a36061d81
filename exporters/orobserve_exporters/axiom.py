"""Axiom: spans of a dataset."""

from __future__ import annotations

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter


class Axiom(GenAIExporter):
    """Spans by the semantic conventions."""

    TYPE = "axiom"
    TITLE = "Axiom"
    FIELDS = (
        Field(name="api_key", help="API token", required=True, secret=True, env=("AXIOM_TOKEN",)),
        Field(name="dataset", help="name of the dataset", required=True, env=("AXIOM_DATASET",)),
        Field(name="base_url", help="address", default="https://api.axiom.co", env=("AXIOM_URL",)),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the token and the dataset."""
        return {"Authorization": f"Bearer {self.config['api_key']}", "X-Axiom-Dataset": self.config["dataset"]}
