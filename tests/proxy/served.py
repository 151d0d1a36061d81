"""A receiver on the loopback interface, and what it hands on."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from orobserve.delivery.assembly import assemble
from orobserve.delivery.hub import Hub
from orobserve.delivery.settings import Shared, resolve
from orobserve.proxy.intake import Intake
from orobserve.proxy.receive import Receiver
from orobserve.receivers import Receivers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.generation import Generation
    from orobserve.proxy.receive import Report

JSON = "application/json"
PROTOBUF = "application/x-protobuf"
TRACE, SPAN = "7af15d27557f4b0547b66811c67d365d", "1c555e8b67d6f2a5"


def value(plain: Any) -> dict[str, Any]:
    """Write an attribute's value as OTLP JSON."""
    for kind, name in ((bool, "boolValue"), (int, "intValue"), (float, "doubleValue"), (str, "stringValue")):
        if isinstance(plain, kind):
            return {name: str(plain) if name == "intValue" else plain}
    return {"arrayValue": {"values": [value(item) for item in plain]}}


def attributes(given: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value(plain)} for key, plain in given.items()]


def span(given: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """Return a span as OTLP JSON has it: a call of OpenRouter's by another instrumentation, if nothing else is said."""
    plain = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "openai/gpt-4o",
        "server.address": "openrouter.ai",
    }
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "chat openai/gpt-4o",
        "startTimeUnixNano": "1795375379563896444",
        "endTimeUnixNano": "1795375381563896444",
        "attributes": attributes(plain if given is None else given),
        **fields,
    }


def request(
    *spans: dict[str, Any], scope: str = "app", resource: dict[str, Any] | None = None
) -> dict[str, list[dict[str, Any]]]:
    """Return an export request."""
    groups = [{"scope": {"name": scope}, "spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource or {})}, "scopeSpans": groups}]}


def broadcasts(number: int = 1, **more: Any) -> dict[str, Any]:
    """Return a span as Broadcast sends it; each number is a call of its own."""
    given = {
        "span.type": "generation",
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "openai/gpt-4o",
        "gen_ai.response.id": f"gen-{number}",
        "gen_ai.response.finish_reason": "stop",
        "openrouter.source": "openrouter",
    }
    return span({**given, **more}, spanId=f"{number:016x}")


def hub_of(*destinations: Any) -> Hub:
    """Return real destinations, by their objects."""
    chosen = resolve("destinations", list(destinations), Shared(environ={}))
    return assemble(chosen, lambda: None, lambda *_: None)


class Served:
    """A running receiver; `records` are those that were handed on."""

    def __init__(self, hub: Hub | None = None, *, every: bool = False, **settings: Any) -> None:
        self.records: list[Generation] = []
        self.reports: list[Report] = []
        self.hub = Hub([]) if hub is None else hub
        self.intake = Intake(Receivers(hub=self.hub), every=every, listen=self.records.append)
        self._settings = {"log": self.reports.append, "patience": 0.0, **settings}

    @contextlib.contextmanager
    def running(self) -> Iterator[Served]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            config = uvicorn.Config(
                Receiver(self.intake, **self._settings), lifespan="off", ws="none", log_config=None, access_log=False
            )
            server = uvicorn.Server(config)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            try:
                yield self
            finally:
                server.should_exit = True
                thread.join(10)
                self.hub.close(10)

    def post(
        self,
        body: Any = b"",
        path: str = "/v1/traces",
        kind: str | None = JSON,
        *,
        method: str = "POST",
        **headers: str,
    ) -> httpx.Response:
        """Send a body, JSON if it is an object; header names with underscores."""
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        if kind is not None:
            given["content-type"] = kind
        return httpx.request(
            method,
            self.url + path,
            content=body if isinstance(body, bytes) else _json(body),
            headers=given,
            trust_env=False,
        )


def _json(document: Any) -> bytes:
    import json

    return json.dumps(document).encode()


def packed(document: Any) -> bytes:
    return gzip.compress(_json(document))
