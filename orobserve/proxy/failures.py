"""What can go wrong between a client, the proxy and the upstream, with the status and the word clients are told."""

from __future__ import annotations

import json


class ProxyError(Exception):
    """A call that the proxy itself has to answer, or whose answer it has to break off.

    Attributes:
        status: the HTTP status.
        code: one word, also in the header `X-Orobserve-Error`.
    """

    status = 502
    code = "upstream_failed"


class UnreachableError(ProxyError):
    """No connection to the upstream."""

    code = "upstream_unreachable"


class UpstreamTimeoutError(ProxyError):
    """The upstream did not connect or answer, or fell silent for too long."""

    status = 504
    code = "upstream_timeout"


class UpstreamClosedError(ProxyError):
    """The upstream closed or reset the connection before the end of its answer."""

    code = "upstream_closed"


class MalformedUpstreamError(ProxyError):
    """The upstream sent something that is no HTTP."""

    code = "upstream_malformed"


class RefusedError(ProxyError):
    """A request that the proxy does not forward."""

    def __init__(self, status: int, code: str, message: str) -> None:
        """Say why."""
        super().__init__(message)
        self.status = status
        self.code = code


def body_of(error: ProxyError) -> bytes:
    """Return the answer's body, in a shape that both OpenAI's and Anthropic's clients read."""
    told = {"message": str(error), "type": "orobserve_proxy_error", "param": None, "code": error.code}
    return json.dumps({"type": "error", "error": told}).encode()


def headers_of(error: ProxyError, length: int) -> list[tuple[bytes, bytes]]:
    """Return the answer's headers."""
    return [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % length),
        (b"x-orobserve-error", error.code.encode()),
    ]
