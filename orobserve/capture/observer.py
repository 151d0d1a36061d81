"""What every edge asks: is this call ours, and if so, who is told about it?

The outermost layer wins: while a call is in flight, clients beneath it (a transport over another library) are not seen.
"""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from orobserve import ambient
from orobserve._guard import guard
from orobserve.telemetry.nested import foreign_span, suppressed
from orobserve.wire.exchange import Exchange
from orobserve.wire.route import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context

    from orobserve.config import Config
    from orobserve.telemetry.spans import Recorder
    from orobserve.wire.route import Route

_inside: ContextVar[bool] = ContextVar("orobserve_inside_exchange", default=False)

# The only headers that say something to us, by their bytes on the wire.
_WANTED = {
    name.encode(): name
    for name in (
        "authorization",
        "x-api-key",
        "content-type",
        "content-encoding",
        "x-session-id",
        "x-openrouter-cache",
        "x-openrouter-cache-ttl",
        "http-referer",
        "x-openrouter-title",
        "x-title",
        "x-generation-id",
        "x-openrouter-cache-status",
        "x-openrouter-cache-age",
        "x-openrouter-cache-source-id",
        "retry-after",
    )
}


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers that say something to us, names in lower case."""
    found: dict[str, str] = {}
    for name, value in raw:
        known = _WANTED.get(name.lower())
        if known is not None:
            found[known] = value.decode("latin-1")
    return found


def _never(_host: str) -> bool:
    return False


class Observer:
    """The settings of now, as edges see them.

    Attributes:
        knows: tells whether a call to a host (lower case) may be one of ours; all that other calls pay for.
        adds: headers that the settings ask us to add to inference calls.
    """

    __slots__ = ("_clock", "_config", "_hosts", "_recorder", "adds", "knows")

    def __init__(self, config: Config, recorder: Recorder, clock: Callable[[], int] = time.time_ns) -> None:
        self._config = config
        self._recorder = recorder
        self._hosts = Hosts(config.hosts)
        self._clock = clock
        self.adds = {"X-OpenRouter-Metadata": "enabled"} if config.router_metadata else {}
        self.knows: Callable[[str], bool] = self._hosts.know

    @property
    def active(self) -> bool:
        """Whether calls are still observed."""
        return self.knows is not _never

    def stop(self) -> None:
        """Observe no further calls."""
        self.knows = _never

    def route(self, method: str, host: str, port: int | None, path: str, *, tls: bool) -> Route | None:
        """Return the route of a call that is to be observed, or None."""
        if _inside.get() or (suppressed() and foreign_span() is None):
            return None
        return self._hosts.route(method, host, port, path, tls=tls)

    def begin(
        self,
        route: Route,
        headers: Mapping[str, str],
        body: bytes | Mapping[str, Any],
        query: bytes,
        started_at: int | None = None,
    ) -> tuple[Exchange, Context]:
        """Begin a call; returns what the edge tells, and the context in which the call is to run.

        `started_at` is for an edge that knows the whole request only after it has begun to send it.
        """
        exchange = Exchange(
            route,
            clock=self._clock,
            wants_content=self._config.wants_content,
            defers_content=True,
            keeps_chunk_times=self._config.chunk_metric,
            ambient=ambient.current(),
        )
        if started_at is not None:
            exchange.started_at = started_at
        exchange.request(headers, body, query)
        return exchange, self._recorder.begin(exchange)


class Flight:
    """The time in which the caller's own code sends the call: our span is current, and inner clients are quiet."""

    __slots__ = ("_context", "_inside_token", "_token", "exchange")

    def __init__(self, exchange: Exchange, context: Context) -> None:
        self.exchange = exchange
        self._context = context

    def __enter__(self) -> Exchange:
        """Attach; in the frame that detaches."""
        self._token: Any = None
        self._inside_token: Token[bool] = _inside.set(True)
        with guard:
            self._token = otel_context.attach(self._context)
        return self.exchange

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Detach; an exception ends the call and goes on to the caller."""
        with guard:  # a coroutine that is resumed in another context cannot take back what it has set
            if self._token is not None:
                otel_context.detach(self._token)
            _inside.reset(self._inside_token)
        if error is not None:
            with guard:
                self.exchange.end(error)
