"""Grafana Cloud: traces in Tempo."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.delivery import Field
from orobserve_exporters._broadcast import BroadcastExporter, traces_url

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = "/otlp/v1/traces"


class Grafana(BroadcastExporter):
    """Tempo cuts long values, so what one asks for stands in attributes of its own."""

    TYPE = "grafana"
    TITLE = "Grafana Cloud"
    FIELDS = (
        Field(
            name="api_key",
            help="access policy token with the scope traces:write",
            required=True,
            secret=True,
            env=("GRAFANA_CLOUD_API_KEY",),
        ),
        Field(
            name="instance_id",
            help="instance id of the stack's OTLP endpoint",
            required=True,
            env=("GRAFANA_CLOUD_INSTANCE_ID",),
        ),
        Field(
            name="base_url",
            help="OTLP gateway of the stack's zone",
            default="https://otlp-gateway-prod-us-west-0.grafana.net",
            env=("GRAFANA_CLOUD_OTLP_ENDPOINT",),
        ),
        *BroadcastExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        found = urlsplit(traces_url("base_url", config["base_url"], "/"))
        base = found.path.removesuffix("/").removesuffix("/v1/traces").removesuffix("/otlp")
        self._url = found._replace(path=f"{base}{_PATH}").geturl()

    def url(self) -> str:
        """Return the gateway's endpoint, however much of its path was given."""
        return self._url

    def headers(self) -> dict[str, str]:
        """Return the credentials."""
        pair = f"{self.config['instance_id']}:{self.config['api_key']}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
