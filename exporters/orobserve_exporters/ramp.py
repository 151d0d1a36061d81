"""Ramp: who spent what on models. It is no place for messages, so they are left out unless asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orobserve.delivery import Field, HTTPRequest, HTTPResponse, Result, Verdict
from orobserve_exporters._broadcast import BroadcastExporter, traces_url
from orobserve_exporters.webhook import TEST_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.generation import Generation

_NOT_FOUND = 404


class Ramp(BroadcastExporter):
    """OTLP JSON. Neither the path nor the scheme of the key are documented, so both can be set."""

    TYPE = "ramp"
    TITLE = "Ramp"
    JSON = True
    PRIVATE = True
    ATTEMPTS = False
    FIELDS = (
        Field(name="api_key", help="key that Ramp generated for OpenRouter", required=True, secret=True),
        Field(
            name="base_url",
            help="full URL that takes the traces",
            default="https://api.ramp.com/developer/v1/ai-usage/openrouter",
        ),
        Field(name="auth_scheme", help="word before the key in the Authorization header", default="Bearer"),
        *BroadcastExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, object]) -> None:
        super().__init__(config)
        self._url = traces_url("base_url", str(config["base_url"]), "/v1/traces")

    def url(self) -> str:
        """Return the base URL as it is."""
        return self._url

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"{self.config['auth_scheme'] or ''} {self.config['api_key']}".strip()}

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the export request, uncompressed: nobody says that gzip is taken."""
        return replace(super().encode(batch), compress=False)

    def probe(self) -> HTTPRequest:
        """Return an empty export that says it is a test."""
        request = super().probe()
        return replace(request, headers={**request.headers, TEST_HEADER: "true"}, compress=False)

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Name the path that may be missing."""
        if response.status == _NOT_FOUND:
            return Result(verdict=Verdict.REJECTED, reason="there is no such path: try base_url with /v1/traces added")
        return super().judge_probe(response)
