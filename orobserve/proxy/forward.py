"""One request through the proxy: its body out, the answer back, both as they come, and the core told about them."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from orobserve.generation import Outcome
from orobserve.proxy import failures
from orobserve.proxy.access_log import Entry
from orobserve.proxy.call import Call
from orobserve.proxy.failures import ProxyError, RefusedError
from orobserve.proxy.headers import for_client, for_upstream
from orobserve.proxy.inbound import CLOSE, HEADERS, LAST_UNTIL_CLOSE, TARGET, TEAR
from orobserve.proxy.observation import Observation, Unobserved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from orobserve.capture.observer import Observer
    from orobserve.proxy.access_log import AccessLog
    from orobserve.proxy.call import Stream
    from orobserve.proxy.gate import Gate
    from orobserve.proxy.headers import Headers
    from orobserve.proxy.settings import ProxySettings
    from orobserve.proxy.upstream import Upstream

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_PATIENCE = 1.0  # seconds for the rest of a request that has found no upstream
_BODILESS = frozenset({204, 304})


class Forwarder:
    """An ASGI application that sends every request to the upstream."""

    def __init__(
        self, settings: ProxySettings, upstream: Upstream, observer: Observer, gate: Gate, log: AccessLog | None
    ) -> None:
        """Take what all calls share."""
        self.settings = settings
        self.upstream = upstream
        self.observer = observer
        self.gate = gate
        self.log = log

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Forward one request."""
        await Forwarding(self, scope, receive, send).run()

    def observation(self, method: str, target: bytes, headers: Headers) -> Observation:
        """Return who tells the core about a call, if it is one that the core is to be told about."""
        origin = self.settings.upstream
        path, _, query = target.partition(b"?")
        observer = self.observer
        if observer.knows(origin.host):
            route = observer.route(method, origin.host, origin.port, path.decode("ascii"), tls=origin.tls)
            if route is not None:
                return Observation(observer, route, headers, query)
        return Unobserved()


class Forwarding:
    """One request on its way."""

    def __init__(self, shared: Forwarder, scope: Message, receive: Receive, send: Send) -> None:
        """Take the request."""
        self._shared = shared
        self._scope = scope
        self._receive = receive
        self._send = send
        self._observation: Observation = Unobserved()
        self._stream: Stream | None = None
        self._pump: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._failure: ProxyError | None = None  # what the pump has run into
        self._status: int | None = None
        self._close: Callable[[], None] | None = None  # ends an answer that lasts until the connection is closed
        self._sent = 0
        self._generation_id: str | None = None
        self._started_at = time.monotonic()

    async def run(self) -> None:
        """Forward it, whatever happens on the way."""
        self._task = asyncio.current_task()
        try:
            await self._forward()
        except ProxyError as error:
            await self._fail(error)
        except asyncio.CancelledError:  # the client has left, the pump has failed, or the proxy ends
            await self._fail(self._failure)
        finally:
            self._release(Outcome.ABANDONED)  # of what an error of ours has left
            self._leave()

    async def _forward(self) -> None:
        shared, extensions = self._shared, self._scope["extensions"]
        headers = shared.gate.admit(extensions[HEADERS])
        target = shared.settings.upstream.prefix.encode() + extensions[TARGET]
        self._check_length(headers)
        self._observation = observation = shared.observation(self._scope["method"], target, headers)
        call = self._call(target, headers)
        try:
            stream = self._stream = await shared.upstream.open(call)
        except ProxyError:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._hear(), _PATIENCE)
            raise
        self._pump = asyncio.create_task(self._hand_on(stream))
        status, answered = await stream.head()
        observation.response(status, answered)
        await self._start(status, answered)
        await self._relay(stream)
        self._release(None)

    async def _relay(self, stream: Stream) -> None:
        """Send the body of the answer as it comes."""
        close, more = self._close, True
        while more:
            data = await stream.read()
            more = not stream.complete
            try:
                await self._send({"type": "http.response.body", "body": data, "more_body": more or close is not None})
                self._sent += len(data)
            finally:
                self._observation.feed(data)
        if close is not None:
            close()

    def _check_length(self, headers: Headers) -> None:
        limit = self._shared.settings.max_body
        for name, value in headers:
            if name.lower() == b"content-length" and int(value) > limit:
                raise _too_large(limit)

    def _call(self, target: bytes, headers: Headers) -> Call:
        kept = for_upstream(headers, self._shared.settings.upstream.authority.encode())
        if not any(name.lower() == b"host" for name, _ in kept):  # HTTP/1.0 needs none
            kept.insert(0, (b"Host", self._shared.settings.upstream.authority.encode()))
        if not isinstance(self._observation, Unobserved):
            names = {name.lower() for name, _ in kept}
            added = [(name.encode(), value.encode()) for name, value in self._shared.observer.adds.items()]
            kept += [(name, value) for name, value in added if name.lower() not in names]
        chunked = any(name.lower() == b"transfer-encoding" for name, _ in headers)
        return Call(self._scope["method"].encode(), target, kept, chunked)

    async def _start(self, status: int, answered: Headers) -> None:
        headers = for_client(answered, bodiless=status in _BODILESS)
        for name, value in headers:
            if name == b"x-generation-id":
                self._generation_id = value.decode("latin-1")
        self._status = status
        extensions = self._scope["extensions"]
        if CLOSE in extensions and not any(name == b"content-length" for name, _ in headers):
            extensions[LAST_UNTIL_CLOSE]()
            self._close = extensions[CLOSE]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _hand_on(self, stream: Stream) -> None:
        """Hand on the request's body, then wait for the client to leave."""
        observation, limit, size, more = self._observation, self._shared.settings.max_body, 0, True
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._stop(None)
                return
            if not more:
                continue
            data, more = message["body"], message["more_body"]
            size += len(data)
            if size > limit:
                self._stop(_too_large(limit))
                return
            if data:
                observation.asked(data)
                await stream.send(data)
            if not more:
                stream.finish()
                observation.begin()

    async def _hear(self) -> None:
        """Take the request's body, which goes nowhere, so that the call's record says what was asked for."""
        more = True
        while more:
            message = await self._receive()
            more = message.get("more_body", False)
            self._observation.asked(message.get("body", b""))

    def _stop(self, failure: ProxyError | None) -> None:
        if self._task is not None and not self._task.done():
            self._failure = failure
            self._task.cancel()

    async def _fail(self, error: ProxyError | None) -> None:
        """End a call that cannot go on: by an answer of ours if there was none yet, else by breaking it off."""
        self._release(Outcome.CANCELLED if error is None else error.__cause__ or error)
        self._failure = error
        if error is None or self._status is not None:
            self._scope["extensions"][TEAR]()
            return
        body = failures.body_of(error)
        self._status, self._sent = error.status, len(body)
        headers = failures.headers_of(error, len(body))
        await self._send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _release(self, reason: BaseException | Outcome | None) -> None:
        """End the call upstream, then its record; only the first time counts."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.release()
        self._observation.end(reason)

    def _leave(self) -> None:
        if self._pump is not None:
            self._pump.cancel()
        log = self._shared.log
        if log is not None:
            path = self._scope["extensions"][TARGET].partition(b"?")[0].decode("ascii")
            seconds = time.monotonic() - self._started_at
            error = None if self._failure is None else self._failure.code
            log.write(Entry(self._scope["method"], path, self._status, self._sent, seconds, self._generation_id, error))


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, "body_too_large", f"the body is longer than {limit} bytes")
