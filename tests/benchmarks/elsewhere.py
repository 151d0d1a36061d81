"""Calls to another host by requests, urllib3 and http.client, answered where the network would begin."""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING, Any

import requests
import requests.adapters
import urllib3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def calls() -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the name of each library and a call."""
    request = requests.Request("GET", "https://example.com/path").prepare()
    session = requests.Session()
    session.mount("https://", Canned())
    pool, connection = CannedPool("example.com"), CannedConnection("example.com")

    def by_requests() -> None:
        session.send(request)

    def by_urllib3() -> None:
        pool.urlopen("GET", "/path", retries=False)

    def by_http_client() -> None:
        connection.request("GET", "/path")
        connection.getresponse().read()

    yield "requests", by_requests
    yield "urllib3", by_urllib3
    yield "http.client", by_http_client


class Canned(requests.adapters.BaseAdapter):
    """Answers at once."""

    def send(self, request: Any, **_: Any) -> Any:
        """Answer."""
        response = requests.Response()
        response.status_code, response.url, response.request = 200, request.url, request
        response.raw = io.BytesIO()
        return response

    def close(self) -> None:
        """Do nothing."""


class CannedPool(urllib3.HTTPConnectionPool):
    """Answers at once."""

    def _make_request(self, *_: Any, **__: Any) -> Any:
        return urllib3.HTTPResponse(b"")


class CannedConnection(http.client.HTTPConnection):
    """Sends nothing, and answers at once."""

    def connect(self) -> None:
        """Do nothing."""
        self.sock: Any = CannedSocket()


class CannedSocket:
    """Has an empty answer ready."""

    def sendall(self, data: Any) -> None:
        """Forget."""

    def makefile(self, _mode: str) -> io.BytesIO:
        """Return the answer."""
        return io.BytesIO(b"HTTP/1.1 204 No Content\r\n\r\n")

    def close(self) -> None:
        """Do nothing."""
