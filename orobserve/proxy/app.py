"""The proxy as an ASGI application: three paths of its own, and every other one forwarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from orobserve.proxy import failures
from orobserve.proxy.failures import RefusedError
from orobserve.proxy.inbound import HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from orobserve.proxy.forward import Forwarder, Message, Receive, Send

OWN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})  # the API is below /api


class App:
    """The ASGI application.

    Attributes:
        draining: whether the proxy is about to end, and takes no further calls if it can help it.
    """

    def __init__(self, forwarder: Forwarder, tell_metrics: Callable[[str], tuple[bytes, str]]) -> None:
        """Take who forwards, and what returns the metrics and their content type, by an `Accept` header."""
        self._forward = forwarder
        self._tell_metrics = tell_metrics
        self.draining = False
        self._own = Starlette(
            routes=[
                Route("/healthz", self._health),
                Route("/readyz", self._ready),
                Route("/metrics", self._metrics),
            ]
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer or forward one request."""
        if scope["path"] in OWN_PATHS:
            await self._own(scope, receive, send)
        else:
            await self._forward(scope, receive, send)

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _ready(self, _request: Request) -> Response:
        if self.draining:
            return JSONResponse({"status": "draining"}, 503)
        return JSONResponse({"status": "ready"})

    def _metrics(self, request: Request) -> Response:
        """Answer Prometheus; not a coroutine, so that Starlette runs it on a thread, for collecting takes time."""
        try:
            self._forward.gate.check(request.scope["extensions"][HEADERS])
        except RefusedError as error:
            body = failures.body_of(error)
            headers = {name.decode(): value.decode() for name, value in failures.headers_of(error, len(body))}
            return Response(body, error.status, headers)
        found, content_type = self._tell_metrics(request.headers.get("accept", ""))
        return Response(found, headers={"content-type": content_type})
