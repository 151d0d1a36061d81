"""Any HTTP server of the user's: OTLP JSON, as Broadcast's webhook sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field, HTTPRequest
from orobserve_exporters._broadcast import BroadcastExporter, traces_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.generation import Generation

TEST_HEADER = "X-Test-Connection"


class Webhook(BroadcastExporter):
    """POST or PUT. The connection test is an empty export with `X-Test-Connection: true`; 2xx or 400 passes."""

    TYPE = "webhook"
    TITLE = "Webhook"
    JSON = True
    FIELDS = (
        Field(name="url", help="full URL that takes the traces", required=True),
        Field(name="method", help="HTTP method", default="POST", choices=("POST", "PUT")),
        *BroadcastExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._url = traces_url("url", config["url"], "/")

    def url(self) -> str:
        """Return the URL."""
        return self._url

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the export request, uncompressed: anything may be listening."""
        return replace(super().encode(batch), method=self.config["method"], compress=False)

    def probe(self) -> HTTPRequest:
        """Return an empty export that says it is a test."""
        request = super().probe()
        headers = {**request.headers, TEST_HEADER: "true"}
        return replace(request, method=self.config["method"], headers=headers, compress=False)
