"""The receiver: an ASGI application that takes OTLP over HTTP, and the webhook of OpenRouter's Broadcast.

It answers 200 only for what every destination has room for: who is told 503 keeps the rest and comes again. It must
not know what an attribute means, nor what a payload of a destination looks like.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve._guard import guard
from orobserve.proxy import otlp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from orobserve.proxy.intake import Intake

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_Answer: TypeAlias = "tuple[int, Mapping[str, str], bytes]"
Scope: TypeAlias = "MutableMapping[str, Any]"

BODY_LIMIT = 32_000_000  # bytes, as sent and as decompressed
PATHS = frozenset({"/", "/webhook", "/v1/traces"})
HEALTH = "/healthz"
_METHODS = ("POST", "PUT")
_IN_FLIGHT = 4  # times the body limit: what all requests together may hold in memory
_PATIENCE = 10.0  # seconds that a request waits for room in the queues: who sends it may not come again
_POLL = 0.05
_RETRY_AFTER = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One answered request, for a log: nothing that was sent but the method, and the path only if it is one of ours."""

    method: str
    path: str
    status: int
    seconds: float
    spans: int = 0
    records: int = 0
    rejected: int = 0
    reason: str = ""


class _RefusalError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass(slots=True, kw_only=True)
class _Request:
    method: str
    path: str
    headers: Mapping[str, str]
    receive: Receive
    began: float
    encoding: otlp.Encoding = otlp.Encoding.JSON
    spans: int = 0
    records: int = 0
    rejected: int = 0
    reason: str = ""


class Receiver:
    """The ASGI application.

    Args:
        intake: who takes the spans.
        token: what the requests must bear; None: nothing.
        body_limit: bytes of a body, as sent and as decompressed.
        patience: seconds that a request waits for room in the queues before it is answered 503.
        log: told of every answered request.
    """

    def __init__(
        self,
        intake: Intake,
        *,
        token: str | None = None,
        body_limit: int = BODY_LIMIT,
        patience: float = _PATIENCE,
        log: Callable[[Report], None] | None = None,
    ) -> None:
        self._intake = intake
        self._token = None if token is None else token.encode()
        self._body_limit = body_limit
        self._patience = patience
        self._log = log
        self._held = 0  # bytes of all requests
        self._reading = asyncio.Lock()  # one body is read at a time: two would only take twice the memory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request; what is no HTTP is not served."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        request = _Request(
            method=scope["method"], path=scope["path"], headers=headers, receive=receive, began=time.monotonic()
        )
        answer = None
        with guard:
            answer = await self._answer(request)
        status, more, body = answer or _failure(request)
        given = {"content-type": request.encoding.value, "content-length": str(len(body)), **more}
        self._tell(request, status)
        raw = [(name.encode(), value.encode()) for name, value in given.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    def _tell(self, request: _Request, status: int) -> None:
        if self._log is None or request.path == HEALTH:
            return
        with guard:
            self._log(
                Report(
                    method=request.method,
                    path=request.path if request.path in PATHS else "(other)",
                    status=status,
                    seconds=time.monotonic() - request.began,
                    spans=request.spans,
                    records=request.records,
                    rejected=request.rejected,
                    reason=request.reason,
                )
            )

    async def _answer(self, request: _Request) -> _Answer:
        if request.path == HEALTH and request.method in {"GET", "HEAD"}:
            return 200, {}, b'{"status":"ok"}'
        try:
            return 200, {}, await self._take(request)
        except _RefusalError as error:
            request.reason = str(error)
            return error.status, error.headers, otlp.refusal(request.encoding, str(error))

    async def _take(self, request: _Request) -> bytes:
        is_test = request.headers.get("x-test-connection", "").lower() == "true"
        self._admit(request, is_test=is_test)
        body = await self._body(request)
        try:
            return await self._deliver(request, body, is_test=is_test)
        finally:
            self._held -= len(body)

    def _admit(self, request: _Request, *, is_test: bool) -> None:
        """Judge a request by its head."""
        encoding = otlp.encoding_of(request.headers.get("content-type", ""))
        request.encoding = encoding or otlp.Encoding.JSON
        if request.path not in PATHS:
            raise _RefusalError(404, "traces are taken at /v1/traces, and Broadcast's webhook at /webhook")
        if request.method not in _METHODS:
            raise _RefusalError(405, "send traces with POST or PUT", allow="POST, PUT")
        if not self._is_known(request.headers.get("authorization", "")):
            raise _RefusalError(401, "the bearer token is missing or wrong", www_authenticate="Bearer")
        if encoding is None and not (is_test and "content-type" not in request.headers):
            raise _RefusalError(415, "send application/json or application/x-protobuf")
        if not otlp.is_compression(_compression(request)):
            raise _RefusalError(415, "send the body with gzip or deflate, or as it is", accept_encoding="gzip, deflate")

    def _is_known(self, authorization: str) -> bool:
        if self._token is None:
            return True
        scheme, _, token = authorization.partition(" ")
        is_same = hmac.compare_digest(token.strip().encode("latin-1", "replace"), self._token)
        return is_same and scheme.lower() == "bearer"

    async def _body(self, request: _Request) -> bytes:
        """Return the body as sent; its size counts as held from then on."""
        length = request.headers.get("content-length", "")
        if length.isdigit() and int(length) > self._body_limit:
            raise self._too_large()
        body = bytearray()
        try:
            while await self._more(request, body):
                continue
        except BaseException:
            self._held -= len(body)
            raise
        return bytes(body)

    async def _more(self, request: _Request, body: bytearray) -> bool:
        """Add the next piece of a body; returns False for the last one."""
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise _RefusalError(400, "the request ended before its body did")
        piece = message.get("body", b"")
        body += piece
        self._held += len(piece)
        if len(body) > self._body_limit:
            raise self._too_large()
        if self._held > self._body_limit * _IN_FLIGHT:
            raise _RefusalError(503, "too many requests at once", retry_after=_RETRY_AFTER)
        return bool(message.get("more_body"))

    def _too_large(self) -> _RefusalError:
        return _RefusalError(413, f"the body may have {self._body_limit} bytes at most, also when it is decompressed")

    async def _deliver(self, request: _Request, body: bytes, *, is_test: bool) -> bytes:
        """Hand on what a body holds, as soon as there is room; of a test, nothing."""
        try:
            async with self._reading:
                export, records, unreadable = await asyncio.to_thread(self._read, request, body)
        except otlp.TooLargeError:
            raise self._too_large() from None
        except otlp.MalformedError as error:
            raise _RefusalError(400, str(error)) from None
        if is_test:
            return otlp.accepted(request.encoding)
        request.spans, request.records = len(export.spans), len(records)
        request.rejected = export.rejected + unreadable
        request.reason = export.reason or ("some attributes could not be read" if unreadable else "")
        until, done = time.monotonic() + self._patience, self._intake.offer(records)
        while done < len(records):
            if time.monotonic() >= until:
                raise _RefusalError(503, "the destinations' queues are full", retry_after=_RETRY_AFTER)
            await asyncio.sleep(_POLL)
            done += self._intake.offer(records[done:])
        return otlp.accepted(request.encoding, request.rejected, request.reason)

    def _read(self, request: _Request, body: bytes) -> tuple[otlp.Export, list[Any], int]:
        plain = otlp.inflate(body, _compression(request), self._body_limit)
        export = otlp.read(plain, request.encoding)
        return export, *self._intake.read(export.spans)


def _failure(request: _Request) -> _Answer:
    return 500, {}, otlp.refusal(request.encoding, "orobserve could not take this; its log says where")


def _compression(request: _Request) -> str:
    return request.headers.get("content-encoding", "").strip().lower()
