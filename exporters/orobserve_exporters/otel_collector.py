"""An OpenTelemetry Collector, or anything else that takes OTLP over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field
from orobserve_exporters._broadcast import BroadcastExporter, traces_url

if TYPE_CHECKING:
    from collections.abc import Mapping


class OTelCollector(BroadcastExporter):
    """The URL is taken as it is; one without a path gets `/v1/traces`."""

    TYPE = "otel-collector"
    TITLE = "OpenTelemetry Collector"
    FIELDS = (
        Field(
            name="endpoint",
            help="full URL of the traces endpoint, such as http://localhost:4318/v1/traces",
            required=True,
            env=("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ),
        *BroadcastExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._url = traces_url("endpoint", config["endpoint"], "/v1/traces")

    def url(self) -> str:
        """Return the endpoint."""
        return self._url
