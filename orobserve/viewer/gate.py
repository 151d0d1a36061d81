"""Who may look: the browser that came with the token, at this address, from no other page. It knows no route.

A page on the internet can make a browser ask any address of this machine, and can have its own name lead here. So every
request must name this server as its host, come from a page of ours, and bear a cookie that only the token brings.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from starlette.datastructures import URL, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PUBLIC = "/static/"  # what is in the package anyway
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Gate:
    """An ASGI application around another.

    Args:
        app: what is behind it.
        port: at which this server is reached.
        refusal: the page for who has no token.
        token: what the first request must bear.
    """

    def __init__(self, app: ASGIApp, port: int, refusal: Path, token: str) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._refusal = refusal
        self._token = token
        self._name = f"orobserve_{port}"  # cookies are shared by all ports of a host
        self._secret = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application do so."""
        if scope["type"] != "http":
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        request = Request(scope)
        answer = self._answer(request) or self._app
        await answer(scope, receive, send_guarded)

    def _answer(self, request: Request) -> Response | None:
        """Return what is to be said to this request here; None: it may go on."""
        if request.headers.get("host", "").lower() not in self._hosts:
            told = "this server answers at its own address only; a tunnel to it needs the same port at both ends\n"
            return Response(told, 421, media_type="text/plain")
        if request.method not in {"GET", "HEAD"}:
            return Response("there is nothing to change here\n", 405, {"allow": "GET, HEAD"}, "text/plain")
        if request.url.path.startswith(PUBLIC):
            return None
        if _same(request.query_params.get("token"), self._token):
            return self._let_in(request.url)
        is_foreign = request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        if is_foreign or not _same(request.cookies.get(self._name), self._secret):
            return FileResponse(self._refusal, 403)
        return None

    def _let_in(self, url: URL) -> Response:
        """Return the cookie, and lead on to the address without the token.

        A page leads on, not a redirect: where the link stood on another site, a browser keeps a strict cookie from all
        that follows from it.
        """
        place = url.remove_query_params("token")
        path = "/" + place.path.lstrip("/")  # never another host's
        answer = Response(headers={"refresh": f"0; url={path}{'?' if place.query else ''}{place.query}"})
        answer.set_cookie(self._name, self._secret, httponly=True, samesite="strict", path="/")
        return answer


def _same(given: str | None, secret: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), secret.encode())
