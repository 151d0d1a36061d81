"""Galileo: OpenInference spans of a log stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._openinference import OpenInferenceExporter

if TYPE_CHECKING:
    from orobserve_exporters._otlp import Attributes


class Galileo(OpenInferenceExporter):
    """Project and log stream stand in headers and in the resource."""

    TYPE = "galileo"
    TITLE = "Galileo"
    PATH = "/otel/traces"
    FIELDS = (
        Field(name="api_key", help="API key", required=True, secret=True, env=("GALILEO_API_KEY",)),
        Field(name="project", help="name of the project", required=True, env=("GALILEO_PROJECT",)),
        Field(name="log_stream", help="name of the log stream", default="default", env=("GALILEO_LOG_STREAM",)),
        Field(name="base_url", help="address of the API", default="https://api.galileo.ai"),
        *OpenInferenceExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key, the project and the log stream."""
        return {
            "Galileo-API-Key": self.config["api_key"],
            "project": self.config["project"],
            "logstream": self.config["log_stream"],
        }

    def resource(self) -> Attributes:
        """Return the project and the log stream."""
        return {
            **super().resource(),
            "galileo.project.name": self.config["project"],
            "galileo.logstream.name": self.config["log_stream"],
        }
