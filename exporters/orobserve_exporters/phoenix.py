"""Arize Phoenix: OpenInference over OTLP. It prices spans by a table of its own; the exact cost is in the metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field, HTTPRequest
from orobserve_exporters._address import endpoint
from orobserve_exporters._openinference import OpenInferenceExporter
from orobserve_exporters._otlp import sent_headers

if TYPE_CHECKING:
    from orobserve_exporters._otlp import Attributes


class Phoenix(OpenInferenceExporter):
    """Generations as LLM spans of a project in Phoenix, which ignores a span that it has already."""

    TYPE = "phoenix"
    TITLE = "Arize Phoenix"
    FIELDS = (
        Field(
            name="base_url",
            help="address of the server",
            default="http://localhost:6006",
            env=("PHOENIX_COLLECTOR_ENDPOINT",),
        ),
        Field(name="api_key", help="API key, where the server asks for one", secret=True, env=("PHOENIX_API_KEY",)),
        Field(
            name="project_name",
            help="name of the project",
            default="default",
            env=("PHOENIX_PROJECT", "PHOENIX_PROJECT_NAME"),
        ),
        *OpenInferenceExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key, if there is one."""
        key = self.config["api_key"]
        return {"Authorization": f"Bearer {key}"} if key else {}

    def resource(self) -> Attributes:
        """Return the project."""
        return {**super().resource(), "openinference.project.name": self.config["project_name"]}

    def probe(self) -> HTTPRequest:
        """Ask for one project."""
        url = endpoint(self.url().removesuffix(self.PATH), "/v1/projects")
        return HTTPRequest(method="GET", url=f"{url}?limit=1", headers=sent_headers(self, self.headers()))
