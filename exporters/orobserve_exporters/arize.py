"""Arize AX: OpenInference over OTLP, with the cost that OpenRouter billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._openinference import OpenInferenceExporter

if TYPE_CHECKING:
    from orobserve_exporters._otlp import Attributes


class Arize(OpenInferenceExporter):
    """Generations as LLM spans of a project in Arize AX."""

    TYPE = "arize"
    TITLE = "Arize AX"
    FIELDS = (
        Field(name="api_key", help="API key of the space", required=True, secret=True, env=("ARIZE_API_KEY",)),
        Field(name="space_key", help="id of the space", required=True, env=("ARIZE_SPACE_ID", "ARIZE_SPACE_KEY")),
        Field(name="model_id", help="name of the project", required=True, env=("ARIZE_PROJECT_NAME",)),
        Field(
            name="base_url",
            help="address; in the EU https://otlp.eu-west-1a.arize.com",
            default="https://otlp.arize.com",
            env=("ARIZE_COLLECTOR_ENDPOINT",),
        ),
        *OpenInferenceExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key, without a scheme, and the space."""
        return {"authorization": self.config["api_key"], "arize-space-id": self.config["space_key"]}

    def resource(self) -> Attributes:
        """Return the project, also under the name that older servers read."""
        project = self.config["model_id"]
        return {**super().resource(), "openinference.project.name": project, "model_id": project}
