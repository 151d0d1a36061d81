"""The routes: pages and static files from the package, answers and downloads from the ledger."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from starlette.applications import Starlette
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from orobserve._version import __version__
from orobserve.errors import ConfigurationError
from orobserve.ledger.database import LedgerError
from orobserve.ledger.latencies import latencies
from orobserve.ledger.outbox import delivery_states
from orobserve.ledger.query import Reader
from orobserve.viewer import answers, download, record
from orobserve.viewer.gate import Gate
from orobserve.viewer.plain import plain
from orobserve.viewer.questions import Question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    Answer = Callable[[Reader, Question], dict[str, Any]]

_STATIC = Path(__file__).parent / "static"
_PAGES = ("/", "/calls", "/call", "/sessions", "/session", "/delivery")
_ANSWERS: dict[str, Answer] = {
    name: getattr(answers, name)
    for name in ("sums", "series", "calls", "follow", "call", "part", "sessions", "session", "values")
}
_AT_ONCE = 8  # questions to the ledger; each has a thread and a connection


class _Files(StaticFiles):
    """The package's files. They have no version in their names: a browser asks each time whether they are the same."""

    def file_response(self, *given: Any, **named: Any) -> Response:  # noqa: ANN401 - as Starlette has it
        answer = super().file_response(*given, **named)
        answer.headers["cache-control"] = "no-cache"
        return answer


class Viewer:
    """The page over one ledger.

    Args:
        path: of the ledger, whether there is one yet or not.
        labels: of API keys, by their SHA-256.
        port: at which the page is reached.
        token: that lets a browser in.
    """

    def __init__(self, path: Path, labels: Mapping[str, str], port: int, token: str) -> None:
        self._path = path
        self._about = {"ledger": str(path), "labels": dict(labels), "version": __version__}
        self._limiter: anyio.CapacityLimiter | None = None
        routes = [
            *(Route(page, _index) for page in _PAGES),
            Route("/favicon.ico", _icon),  # browsers ask for it where a page names none
            *(Route(f"/api/{name}", self._answering(answer)) for name, answer in _ANSWERS.items()),
            Route("/api/about", self._tell_about),
            Route("/api/latencies", self._answering(self._latencies)),
            Route("/api/delivery", self._answering(self._delivery)),
            Route("/api/text", self._whole_text),
            Route("/download/{kind:str}.{form:str}", self._download),
            Mount("/static", _Files(directory=_STATIC)),
        ]
        self.app = Gate(Starlette(routes=routes), port, _STATIC / "refused.html", token)

    def _answering(self, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._ask(
                request, lambda reader, asked: _json({"missing": True} if reader is None else answer(reader, asked))
            )

        return endpoint

    async def _ask(self, request: Request, answer: Callable[[Reader | None, Question], Response]) -> Response:
        """Return an answer that is made of the ledger (None: there is none yet), on a thread of its own."""

        def ask() -> Response:
            try:
                asked = Question.read(request.query_params, time.time_ns())
                if not self._path.is_file():
                    return answer(None, asked)
                with Reader(self._path) as reader:
                    return answer(reader, asked)
            except ConfigurationError as error:
                return _json({"error": str(error)}, 400)
            except answers.NotFoundError:
                return _json({"error": "it is not in the ledger"}, 404)
            except LedgerError as error:
                return _json({"error": str(error)}, 503)

        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(_AT_ONCE)  # which needs the loop
        return await anyio.to_thread.run_sync(ask, limiter=self._limiter)

    async def _tell_about(self, _: Request) -> Response:
        return _json(self._about)

    def _latencies(self, _: Reader, asked: Question) -> dict[str, Any]:
        found: dict[str, Any] = plain(latencies(self._path, asked.wanted))
        return found

    def _delivery(self, _: Reader, __: Question) -> dict[str, Any]:
        return {"destinations": plain(delivery_states(self._path))}

    async def _whole_text(self, request: Request) -> Response:
        """Hand out one whole text of a call as a file."""

        def text(reader: Reader | None, asked: Question) -> Response:
            found = record.text_at(answers.the_call(reader, asked), answers.path_of(asked)) if reader else None
            if found is None:
                raise answers.NotFoundError
            return _file(found.encode("utf-8", "surrogatepass"), "text/plain; charset=utf-8", "text.txt")

        return await self._ask(request, text)

    async def _download(self, request: Request) -> Response:
        kind, form = request.path_params["kind"], request.path_params["form"]
        pages = {each.__name__: each for each in (download.calls, download.groups, download.sessions)}.get(kind)
        if pages is None or form not in download.FORMATS:
            return _json({"error": "there are calls, groups and sessions, as .csv and .json"}, 404)
        media, written = download.FORMATS[form]

        def start(reader: Reader | None, asked: Question) -> Response:
            body = written(download.columns(kind, asked), pages(self._path, asked) if reader else iter(()))
            return StreamingResponse(body, headers=_attached(f"{kind}.{form}"), media_type=media)

        return await self._ask(request, start)


async def _index(_: Request) -> Response:
    return FileResponse(_STATIC / "index.html", headers={"cache-control": "no-store"})


async def _icon(_: Request) -> Response:
    return FileResponse(_STATIC / "icon.svg")


def _json(document: Any, status: int = 200) -> Response:  # noqa: ANN401 - JSON
    return Response(json.dumps(document), status, media_type="application/json")  # ASCII: any text may hold anything


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="orobserve-{name}"'}


def _file(content: bytes, media: str, name: str) -> Response:
    return Response(content, headers=_attached(name), media_type=media)
