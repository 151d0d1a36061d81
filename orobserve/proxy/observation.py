"""One call as the core sees it: what an edge tells, bounded, and never at the cost of the call itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context
from opentelemetry import propagate
from opentelemetry.context import Context

from orobserve import ambient
from orobserve._guard import guard
from orobserve.capture.observer import headers_of
from orobserve.proxy.headers import said

if TYPE_CHECKING:
    from orobserve.capture.observer import Observer
    from orobserve.generation import Outcome
    from orobserve.proxy.headers import Headers
    from orobserve.wire.exchange import Exchange
    from orobserve.wire.route import Route

TEE_LIMIT = 32 * 1024 * 1024  # bytes of a request's body that are read; a longer one is observed without its detail


class Observation:
    """What happens in one call, told to the core.

    It begins when the request is complete, because only then is it known what was asked for, and counts from when the
    request came.
    """

    __slots__ = ("_body", "_exchange", "_headers", "_observer", "_query", "_route", "_size", "_started_at")

    def __init__(self, observer: Observer, route: Route, headers: Headers, query: bytes) -> None:
        self._observer = observer
        self._route = route
        self._headers = headers
        self._query = query
        self._body: list[bytes] = []
        self._size = 0
        self._started_at = time.time_ns()
        self._exchange: Exchange | None = None

    def asked(self, data: bytes) -> None:
        """Take a piece of the request's body."""
        self._size += len(data)
        if self._size <= TEE_LIMIT:
            self._body.append(data)
        else:
            self._body.clear()

    def begin(self) -> None:
        """Begin, if it has not begun; with all that has come of the request."""
        if self._exchange is not None:
            return
        with guard:
            context = propagate.extract(
                {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in self._headers}, Context()
            )
            token = otel_context.attach(context)
            try:
                with ambient.context(**said(self._headers)):
                    self._exchange, _ = self._observer.begin(
                        self._route, headers_of(self._headers), b"".join(self._body), self._query, self._started_at
                    )
            finally:
                otel_context.detach(token)
        self._body.clear()

    def response(self, status: int, headers: Headers) -> None:
        """Take the response's head."""
        self.begin()
        with guard:
            if self._exchange is not None:
                self._exchange.response(status, headers_of(headers))

    def feed(self, data: bytes) -> None:
        """Take a piece of the response's body."""
        with guard:
            if self._exchange is not None:
                self._exchange.feed(data)

    def end(self, reason: BaseException | Outcome | None = None) -> None:
        """End the call."""
        self.begin()
        with guard:
            if self._exchange is not None:
                self._exchange.end(reason)


class Unobserved(Observation):
    """A call that is none of those that are recorded: model lists, keys, presets."""

    __slots__ = ()

    def __init__(self) -> None:
        """Take nothing."""

    def asked(self, data: bytes) -> None:
        """Ignore."""

    def begin(self) -> None:
        """Ignore."""

    def response(self, status: int, headers: Headers) -> None:
        """Ignore."""

    def feed(self, data: bytes) -> None:
        """Ignore."""

    def end(self, reason: BaseException | Outcome | None = None) -> None:
        """Ignore."""
