"""One attempt at one HTTP request: the client, compression, and what every failure means in plain words.

Reasons name the host, never the URL's query or userinfo, a header or the body. Must not know what a batch is.
"""

from __future__ import annotations

import gzip
import random
import socket
import ssl
from typing import TYPE_CHECKING

import httpx

from orobserve._guard import guard
from orobserve._quiet import silence
from orobserve._version import __version__
from orobserve.delivery.clock import Clock
from orobserve.delivery.exporter import HTTPResponse, Result, Verdict
from orobserve.wire.errors import retry_after

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.delivery.exporter import HTTPRequest

_REDIRECTS = range(300, 400)
_MOST_BYTES = 1_000_000  # of an answer; what is beyond them is not read
_IDLE = 30.0  # seconds that a connection is kept for the next batch
_LEVEL = 6  # of gzip


class Sender:
    """How attempts at one destination are made. The client is made at the first, on the thread that makes it.

    Args:
        timeout: seconds for each step of an attempt, and for reading the answer.
        patience: seconds for all attempts at a batch.
        clock: the time.
        chance: returns numbers in [0, 1), for jitter.
    """

    first_delay = 1.0  # seconds before the second attempt; twice as long before each further one
    longest_delay = 30.0

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        patience: float = 300.0,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.timeout = timeout
        self.patience = patience
        self._clock = clock or Clock()
        self._chance = chance
        self._client: httpx.Client | None = None
        self._inherited: list[httpx.Client | None] = []

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts (1 or more): half to all of what the doubling gives."""
        longest = min(self.longest_delay, self.first_delay * 2.0 ** min(attempts - 1, 16))
        return longest * (0.5 + self._chance() / 2)

    def attempt(self, request: HTTPRequest, judge: Callable[[HTTPResponse], Result]) -> Result:
        """Send once and return what became of it; `RETRY` carries what Retry-After says."""
        response = self.send(request)
        if isinstance(response, Result):
            return response
        result = Result(verdict=Verdict.REJECTED, reason="the answer could not be read")
        with guard:
            result = judge(response)
        if result.verdict is not Verdict.RETRY or result.retry_after is not None:
            return result
        wait = retry_after(response.headers, self._clock.epoch())
        return Result(verdict=Verdict.RETRY, reason=result.reason, retry_after=wait, rejected=result.rejected)

    def send(self, request: HTTPRequest) -> HTTPResponse | Result:
        """Return the answer; or why there is none, which includes redirects: they are not followed."""
        result = Result(verdict=Verdict.REJECTED, reason="the request could not be made; see the log")
        with guard:
            try:
                return self._exchange(request)
            except (httpx.InvalidURL, httpx.UnsupportedProtocol):
                return Result(verdict=Verdict.REJECTED, reason="the URL cannot be used: check it and its scheme")
            except httpx.LocalProtocolError:
                return Result(verdict=Verdict.REJECTED, reason="a header has characters that are not allowed in one")
            except httpx.HTTPError as error:
                return self._failure(error, _host(request.url))
        return result

    def close(self) -> None:
        """Give the connections back."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def forget(self) -> None:
        """Leave the connections to the parent process; closing them here takes a lock that a thread there may hold."""
        self._inherited.append(self._client)  # or the garbage collector warns of sockets that nobody closed
        self._client = None

    def _exchange(self, request: HTTPRequest) -> HTTPResponse | Result:
        client = self._client
        if client is None:
            try:
                client = self._client = self._open()
            except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:
                kind = type(error).__name__
                return Result(
                    verdict=Verdict.REJECTED,
                    reason=f"the environment's proxies or certificates cannot be used ({kind}):"
                    " check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR",
                )
        body, headers = request.body, dict(request.headers)
        if request.compress and body:
            body = gzip.compress(body, _LEVEL, mtime=0)
            headers["content-encoding"] = "gzip"
        try:
            made = client.build_request(request.method, request.url, content=body, headers=headers)
        except UnicodeEncodeError:
            return Result(verdict=Verdict.REJECTED, reason="a header has characters that are not allowed in one")
        response = client.send(made, stream=True)
        try:
            if response.status_code in _REDIRECTS:
                return _redirected(response)
            return HTTPResponse(
                status=response.status_code, headers=dict(response.headers), body=b"".join(self._read(response))
            )
        finally:
            response.close()

    def _open(self) -> httpx.Client:
        silence(httpx.__name__)
        return httpx.Client(
            headers={"user-agent": f"orobserve/{__version__}"},
            timeout=self.timeout,
            limits=httpx.Limits(keepalive_expiry=_IDLE),
        )

    def _read(self, response: httpx.Response) -> Iterator[bytes]:
        """Return the body as far as it comes in time: the status has said what matters."""
        deadline, left = self._clock.now() + self.timeout, _MOST_BYTES
        for chunk in response.iter_bytes():
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0 or self._clock.now() >= deadline:
                return

    def _failure(self, error: httpx.HTTPError, host: str) -> Result:
        causes = list(_causes(error))
        for cause in causes:
            if isinstance(cause, ssl.SSLCertVerificationError):
                return Result(
                    verdict=Verdict.REJECTED,
                    reason=f"the TLS certificate of {host} is not trusted ({cause.verify_message}):"
                    " SSL_CERT_FILE may name a file of further authorities",
                )
        if isinstance(error, httpx.TimeoutException):
            reason = f"no answer from {host} within {self.timeout:g} s"
        else:
            reason = next((text for cause in causes for kind, text in _REASONS if isinstance(cause, kind)), "")
            reason = f"{reason or f'the connection failed ({type(error).__name__})'}: {host}"
        return Result(verdict=Verdict.RETRY, reason=reason)


# What a user can do something about, first the more special.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "the name is not found by DNS"),
    (ConnectionRefusedError, "the connection is refused"),
    (ssl.SSLError, "the TLS handshake failed"),
    (httpx.ProxyError, "the proxy does not let the request through"),
    (httpx.DecodingError, "the answer cannot be decompressed"),
    (ConnectionError, "the connection was closed"),
    (httpx.RemoteProtocolError, "the server closed the connection, or does not speak HTTP"),
)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _host(url: str) -> str:
    """Return host and port of a URL that httpx takes."""
    return httpx.URL(url).netloc.decode()


def _redirected(response: httpx.Response) -> Result:
    reason = f"HTTP {response.status_code}"
    if response.next_request is not None:
        url = response.next_request.url
        reason = f"the server redirects to {url.scheme}://{url.netloc.decode()}{url.path} ({reason}): check the URL"
    return Result(verdict=Verdict.REJECTED, reason=reason)
