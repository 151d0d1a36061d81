"""Evidently on a server of one's own. Its cloud takes a session that a log-in gives, which an exporter cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from orobserve_exporters._otlp import Attributes


class Evidently(GenAIExporter):
    """Spans of a tracing dataset, which has to exist."""

    TYPE = "evidently"
    TITLE = "Evidently"
    PATH = "/api/v1/traces"
    FIELDS = (
        Field(name="base_url", help="address of the server", required=True, env=("EVIDENTLY_TRACE_COLLECTOR",)),
        Field(
            name="project_id",
            help="UUID of the project",
            required=True,
            env=("EVIDENTLY_TRACE_COLLECTOR_PROJECT_ID",),
        ),
        Field(name="dataset_id", help="UUID of the tracing dataset", required=True),
        Field(
            name="secret",
            help="the server's secret, if it has one",
            secret=True,
            env=("EVIDENTLY_TRACE_COLLECTOR_API_KEY", "EVIDENTLY_API_KEY"),
        ),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the secret, if there is one."""
        secret = self.config["secret"]
        return {"evidently-secret": secret} if secret else {}

    def resource(self) -> Attributes:
        """Return the dataset and the project."""
        place = {"evidently.export_id": self.config["dataset_id"], "evidently.project_id": self.config["project_id"]}
        return {**super().resource(), **place}
