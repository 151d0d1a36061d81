"""Clients sit on each other, retry and follow redirects: the outermost layer is seen, and one call is one record."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import pytest
import requests
import requests.adapters
import urllib3

from orobserve.testing import SCENARIOS
from tests.capture.more_sides import HEADERS
from tests.capture.sides import QUESTION, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

BODY = json.dumps(QUESTION).encode()
STREAM = json.dumps(ask(stream=True)).encode()


class Redirecting(BaseHTTPRequestHandler):
    """Sends callers from `/old` to where an answer is."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        if self.path.startswith("/api/v1/old/"):
            self._answer(307, b"", [("location", "/api/v1/chat/completions")])
        else:
            body = json.dumps({"id": "gen-1", "model": "m", "choices": [], "usage": {"cost": 0.5}})
            self._answer(200, body.encode(), [("content-type", "application/json")])

    def _answer(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for name, value in [*headers, ("content-length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def redirecting() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/api/v1/old/chat/completions"
        server.shutdown()
        thread.join()


def by_requests(url: str) -> int:
    return requests.post(url, data=BODY, headers=HEADERS, timeout=5).status_code


def by_manager(url: str) -> int:
    with urllib3.PoolManager() as manager:
        return manager.request("POST", url, body=BODY, headers=HEADERS).status


def by_pool(url: str) -> int:
    with urllib3.connectionpool.connection_from_url(url) as pool:
        return pool.urlopen("POST", urllib3.util.parse_url(url).path, BODY, HEADERS).status


def by_urllib(url: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, BODY, HEADERS)) as response:
            return len(response.read()) and response.status
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def by_aiohttp(url: str) -> int:
    async def visit() -> int:
        async with aiohttp.ClientSession() as session, session.post(url, data=BODY, headers=HEADERS) as response:
            await response.read()
            return response.status

    return asyncio.run(visit())


def by_httpx(url: str) -> int:
    with httpx.Client(follow_redirects=True, verify=False) as client:
        return client.post(url, content=BODY, headers=HEADERS).status_code


class OverAiohttp(httpx.AsyncBaseTransport):
    """httpx above aiohttp, as litellm and openai's `DefaultAioHttpClient` have it."""

    async def handle_async_request(self, request: Any) -> Any:
        async with aiohttp.ClientSession() as session:
            headers = [(name, value) for name, value in request.headers.items() if name != "content-length"]
            answer = await session.request(
                request.method, str(request.url), data=await request.aread(), headers=headers
            )
            return httpx.Response(answer.status, headers=answer.headers, content=await answer.read())


class OverRequests(httpx.BaseTransport):
    def handle_request(self, request: Any) -> Any:
        answer = requests.post(str(request.url), data=request.read(), headers=request.headers, timeout=5)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def by_httpx_over_aiohttp(url: str) -> int:
    async def visit() -> int:
        async with httpx.AsyncClient(transport=OverAiohttp()) as client:
            return (await client.post(url, content=BODY, headers=HEADERS)).status_code

    return asyncio.run(visit())


def by_httpx_over_requests(url: str) -> int:
    with httpx.Client(transport=OverRequests()) as client:
        return client.post(url, content=BODY, headers=HEADERS).status_code


WAYS = [by_requests, by_manager, by_pool, by_urllib, by_aiohttp, by_httpx]
LAYERED = [by_httpx_over_aiohttp, by_httpx_over_requests]
named = {"ids": lambda way: way.__name__}


@pytest.mark.parametrize("way", [*WAYS, *LAYERED], **named)
def test_one_call_is_one_record(
    way: Callable[[str], int], sim: Simulator, telemetry: Telemetry, records: Callable[[], list[Any]]
) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    assert way(f"{sim.url}/chat/completions") == 200
    (record,) = records()
    (entry,) = sim.ledger.entries()
    assert record.id == entry.answer.generation_id
    assert record.cost.total > 0
    assert telemetry.in_flight == 0
    assert way(f"{sim.url}/chat/completions") == 200, "and what was inside is seen again outside"
    assert len(records()) == 2


@pytest.mark.parametrize("way", WAYS, **named)
def test_redirects_are_one_record(way: Callable[[str], int], redirecting: str, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    if way is by_urllib:  # which does not follow them when it posts
        assert way(redirecting) == 307
        assert telemetry.span
    else:
        assert way(redirecting) == 200
        assert telemetry.span.attributes["openrouter.cost.total"] == 0.5


RETRY = urllib3.Retry(
    3, status_forcelist=[429], allowed_methods=None, backoff_factor=0, respect_retry_after_header=False
)


@pytest.mark.parametrize("streamed", [True, False], ids=["streamed", "read"])
@pytest.mark.parametrize("outer", ["urllib3", "requests"])
def test_retries_of_urllib3_are_one_record(
    outer: str, streamed: bool, sim: Simulator, telemetry: Telemetry, records: Callable[[], list[Any]]
) -> None:
    sim.next(SCENARIOS["rate_limited"])
    sim.next(SCENARIOS["rate_limited"])
    telemetry.instrument(hosts=["127.0.0.1"])
    url, body = f"{sim.url}/chat/completions", STREAM if streamed else BODY
    if outer == "urllib3":
        with urllib3.PoolManager(retries=RETRY) as manager:
            manager.request("POST", url, body=body, headers=HEADERS, preload_content=not streamed).data  # noqa: B018
    else:
        with requests.Session() as session:
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=RETRY))
            session.post(url, data=body, headers=HEADERS, stream=streamed).content  # noqa: B018
    (record,) = records()
    assert len(sim.inference_calls) == 3
    assert record.id == sim.inference_calls[-1].generation_id
    assert (record.status_code, record.resend_count) == (200, 2)
    assert telemetry.span.attributes["http.request.resend_count"] == 2


def test_what_is_open_does_not_hide_others(sim: Simulator, telemetry: Telemetry) -> None:
    """The outermost layer wins while it waits for its response, and no longer."""
    telemetry.instrument(hosts=["127.0.0.1"])
    url = f"{sim.url}/chat/completions"
    with requests.post(url, data=STREAM, headers=HEADERS, stream=True, timeout=5) as response:
        lines = response.iter_lines()
        next(lines)
        assert by_urllib(url) == 200
        assert len(telemetry.spans) == 1
        list(lines)
    assert len(telemetry.spans) == 2


def test_tasks_do_not_hide_each_other(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    url = f"{sim.url}/chat/completions"

    async def visit() -> None:
        async with aiohttp.ClientSession() as session:

            async def call() -> None:
                async with session.post(url, data=STREAM, headers=HEADERS) as response:
                    await response.read()

            await asyncio.gather(*(call() for _ in range(8)))

    asyncio.run(visit())
    assert len(telemetry.spans) == 8


def test_a_connection_that_is_dropped_before_its_answer(sim: Simulator, telemetry: Telemetry) -> None:
    import http.client

    telemetry.instrument(hosts=["127.0.0.1"])
    connection = http.client.HTTPConnection(sim.root.partition("://")[2])
    connection.request("POST", "/api/v1/chat/completions", BODY, HEADERS)
    connection.close()
    assert telemetry.in_flight == 1
    del connection
    assert telemetry.in_flight == 0
    assert telemetry.span
