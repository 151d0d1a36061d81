"""The listening side of a connection: uvicorn's, with limits, and with no doubt about where a request ends.

What two servers could read differently is refused, so that no request hides inside another one.
"""

from __future__ import annotations

import re
import socket
import struct
from typing import TYPE_CHECKING, Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orobserve.proxy.failures import RefusedError, body_of, headers_of

if TYPE_CHECKING:
    import asyncio

    from orobserve.proxy.headers import Headers
    from orobserve.proxy.settings import ProxySettings

TARGET, HEADERS, TEAR = "orobserve.target", "orobserve.headers", "orobserve.tear"  # in an ASGI scope's extensions
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_ORIGIN_FORM = re.compile(rb"/[!-\"$-~]*")  # visible ASCII without `#`
_PHRASES = {400: "Bad Request", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Content Too Large"}
_PHRASES |= {414: "URI Too Long", 431: "Request Header Fields Too Large"}
_LINGER = 1.0  # seconds in which a refused client may still send, so that it reads the answer before it sees a reset


class Inbound(HttpToolsProtocol):
    """One client's connection. `settings` must be set before the first."""

    settings: ClassVar[ProxySettings]

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - as uvicorn makes it
        super().__init__(*given, **named)
        self._in_head = False
        self._head_size = 0
        self._refused = False
        self._raw: Headers = []
        self._head_timer: asyncio.TimerHandle | None = None
        self._left_over = 0

    def data_received(self, data: bytes) -> None:
        """Parse, within the limits."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
            self._count(data)
        except httptools.HttpParserUpgrade:
            self._refuse(RefusedError(400, "no_upgrade", "no other protocol is spoken here"))
        except httptools.HttpParserError as error:
            inner = error.__context__
            told = RefusedError(400, "bad_request", "this is not a well-formed HTTP/1.1 request")
            self._refuse(inner if isinstance(inner, RefusedError) else told)
        except RefusedError as error:
            self._refuse(error)

    @property
    def _is_new(self) -> bool:
        return self.__dict__.get("cycle") is None

    @property
    def _is_answered(self) -> bool:
        return not self._is_new and self.cycle.response_complete

    def _count(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > self.settings.max_header_bytes + self.settings.max_url:
                raise _too_many_headers()
            if self._head_timer is None:
                self._head_timer = self.loop.call_later(self.settings.header_timeout, self._on_slow_head)
        elif self._is_answered and self.cycle.more_body:
            self._left_over += len(data)  # of a body that was refused
            if self._left_over > self.settings.max_body:
                self.transport.close()

    def _on_slow_head(self) -> None:
        self._refuse(RefusedError(408, "slow_headers", "the request's headers did not come in time"))

    def _refuse(self, error: RefusedError) -> None:
        """Answer and close. A response to an earlier request must not be cut in two: then only close."""
        self._refused = True
        self._stop_head_timer()
        if self.transport.is_closing():
            return
        if self._is_answered or self._is_new:
            body = body_of(error)
            lines = [b"HTTP/1.1 %d %b" % (error.status, _PHRASES[error.status].encode())]
            lines += [name + b": " + value for name, value in headers_of(error, len(body))]
            self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", body]))
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(_LINGER, self.transport.close)
        else:
            self.transport.close()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._head_size = 0
        self._left_over = 0
        self._raw = []

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        super().on_url(url)
        if len(self.url) > self.settings.max_url:
            raise RefusedError(414, "url_too_long", f"the URL is longer than {self.settings.max_url} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is dropped, for it must not pass for a header."""
        if not self._in_head:
            return
        self._raw.append((name, value))
        self._head_size += len(name) + len(value) + 4
        if len(self._raw) > self.settings.max_headers or self._head_size > self.settings.max_header_bytes:
            raise _too_many_headers()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Check the head, and begin the call."""
        self._stop_head_timer()
        self._in_head = False
        self._head_size = 0
        self._check_line()
        self._check_headers()
        extensions: dict[str, Any] = {TARGET: self.url, HEADERS: self._raw, TEAR: self._tear}
        self.scope["extensions"] = extensions
        super().on_headers_complete()

    def _check_line(self) -> None:
        if self.parser.get_method() not in _METHODS:
            raise RefusedError(405, "method_not_allowed", "this method is not forwarded")
        if not _ORIGIN_FORM.fullmatch(self.url):
            raise RefusedError(400, "bad_target", "only a path is forwarded, to the configured upstream")

    def _check_headers(self) -> None:
        lengths = [value for name, value in self.headers if name == b"content-length"]
        codings = [value.strip().lower() for name, value in self.headers if name == b"transfer-encoding"]
        hosts = sum(name == b"host" for name, _ in self.headers)
        version = self.parser.get_http_version()
        if version not in {"1.0", "1.1"} or hosts > 1 or (version == "1.1" and not hosts):
            raise RefusedError(400, "bad_request", "HTTP/1.1 with one Host header is spoken here")
        if len(lengths) + len(codings) > 1 or (lengths and not lengths[0].isdigit()):
            raise RefusedError(400, "ambiguous_length", "the length of the body is given twice, or is not a number")
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise RefusedError(400, "bad_transfer_encoding", "the only transfer coding is chunked, of HTTP/1.1")
        if lengths and int(lengths[0]) > self.settings.max_body and self.expect_100_continue:
            raise RefusedError(413, "body_too_large", f"the body is longer than {self.settings.max_body} bytes")

    def _tear(self) -> None:
        """Break the connection off, so that the client does not take what it has for the whole answer."""
        cycle = self.cycle
        cycle.disconnected = True
        if cycle.scope["http_version"] == "1.0":  # its answer ends with the connection: only a reset says otherwise
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()


def _too_many_headers() -> RefusedError:
    return RefusedError(431, "headers_too_large", "the headers are too many or too long")
