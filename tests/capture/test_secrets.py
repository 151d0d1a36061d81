"""A key that is sent, echoed or quoted in an exception is found nowhere: not exported, not logged, not shown."""

from __future__ import annotations

import base64
import json
import logging
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from opentelemetry import _logs
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

import orobserve
from orobserve import _runtime
from orobserve.wire.exchange import Exchange
from tests.capture.sides import every_side, side_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.capture.sides import Side
    from tests.conftest import Telemetry

CANARY = "sk-or-v1-c4n4ryc4n4ryc4n4ryc4n4ry"
ODD = "Zk9!canary+/canary=="  # a gateway's key need not look like one
PLACES = ("authorization", "x-api-key", "query")
ANSWERS = ("error", "exception", "stream error", "content", "html")


def spellings(secret: str) -> list[bytes]:
    """Return what the secret may look like in exported bytes."""
    return [secret.encode(), quote(secret, safe="").encode(), base64.b64encode(secret.encode())]


def request_options(place: str, secret: str) -> dict[str, Any]:
    if place == "query":
        return {"params": {"api_key": secret}, "headers": {"authorization": ""}}
    value = f"Bearer {secret}" if place == "authorization" else secret
    return {"headers": {"authorization": "", place: value}}


def responder(side: Side, kind: str, secret: str) -> Callable[[Any], Any]:
    """Return a server that quotes the secret wherever it can."""
    text = f"Invalid key {secret} in {{'Authorization': 'Bearer {secret}'}} for https://x/?api_key={quote(secret)}"
    error = {"error": {"code": 401, "message": text, "metadata": {"raw": text, "provider_name": "P"}}}

    def handler(request: Any) -> Any:
        if kind == "exception":
            raise side.lib.ConnectError(text, request=request)
        if kind == "html":
            return side.lib.Response(502, html=f"<html>{text}</html>")
        if kind == "stream error":
            event = f"data: {json.dumps({'choices': [], **error})}\n\n".encode()
            headers = {"content-type": "text/event-stream"}
            return side.lib.Response(200, headers=headers, stream=side.body([event]))
        if kind == "content":
            message = {"role": "assistant", "content": text}
            return side.lib.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})
        return side.lib.Response(401, json=error)

    return handler


def exported(telemetry: Telemetry) -> bytes:
    """Return everything that leaves the process, as OTLP."""
    parts = [encode_spans(telemetry.spans), encode_logs(telemetry.log_exporter.get_finished_logs())]
    metrics = telemetry.reader.get_metrics_data()
    return b"".join(part.SerializeToString() for part in [*parts, encode_metrics(metrics)])


@pytest.fixture
def shown(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, str]]:
    """Return a function that hands over what we have logged, written, and shown of an exchange."""
    seen: list[str] = []
    respond = Exchange.response
    monkeypatch.setattr(Exchange, "response", lambda self, *a, **k: seen.append(repr(self)) or respond(self, *a, **k))
    caplog.set_level(logging.DEBUG, "orobserve")

    def take() -> dict[str, str]:
        logged = [item.getMessage() for item in caplog.records if item.name.startswith("orobserve")]
        return {"repr of the exchange": "".join(seen), "logs": "".join(logged), "console": "".join(capsys.readouterr())}

    return take


@every_side
@pytest.mark.parametrize("secret", [CANARY, ODD], ids=["key", "odd"])
@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("place", PLACES)
def test_the_key_is_nowhere(
    side: Side,
    place: str,
    kind: str,
    secret: str,
    telemetry: Telemetry,
    records: Callable[[], list[Any]],
    shown: Callable[[], dict[str, str]],
) -> None:
    _logs.set_logger_provider(telemetry.logger_provider)
    # Content that quotes the key is the caller's own text: only what looks like a key is taken out of it.
    content = "span_and_event" if secret is CANARY or kind != "content" else "no_content"
    telemetry.instrument(content=content, emit_event=True, console=True, api_key_hash=True, hosts=["gateway.test"])

    async def visit() -> None:
        options = request_options(place, secret)
        question = [{"role": "user", "content": f"my key is {secret}" if secret is CANARY else "hello"}]
        body = {"model": "m", "messages": question}
        async with side.client(side.mock(responder(side, kind, secret)), headers=options["headers"]) as client:
            url = "https://gateway.test/v1/chat/completions"
            request = client.inner.build_request("POST", url, json=body, params=options.get("params"))
            if kind == "exception":
                with pytest.raises(side.lib.ConnectError, match=re.escape(secret)):  # the caller's stays as it is
                    await client.send(request, stream=True)
            else:
                await client.read(await client.send(request, stream=True))

    side.run(visit)

    (record,) = records()
    places = {
        "exported bytes": exported(telemetry),
        "repr of the record": repr(replace(record, content=None)).encode(),  # content is the caller's own text
        "repr of the settings": repr(_runtime._state).encode(),
        **{name: text.encode() for name, text in shown().items()},
    }
    assert not [name for name, found in places.items() if any(spelling in found for spelling in spellings(secret))]
    assert bool(record.error) is (kind != "content")


def test_the_hash_of_a_key_is_not_exported_unless_asked_for(telemetry: Telemetry) -> None:
    side = side_of("httpx", "sync")
    telemetry.instrument()

    async def visit() -> None:
        async with side.client(side.mock(responder(side, "content", CANARY))) as client:
            await client.post()

    side.run(visit)
    assert not [name for name in telemetry.span.attributes if "api_key" in name]


def test_prompts_are_not_exported_unless_asked_for(telemetry: Telemetry) -> None:
    side = side_of("httpx", "sync")
    telemetry.instrument(emit_event=True)

    async def visit() -> None:
        async with side.client(side.mock(responder(side, "content", "an answer"))) as client:
            await client.post(json={"model": "m", "messages": [{"role": "user", "content": "a question of mine"}]})

    side.run(visit)
    assert b"an answer" not in exported(telemetry)
    assert b"a question of mine" not in exported(telemetry)


def test_configuration_errors_do_not_quote_keys() -> None:
    with pytest.raises(orobserve.ConfigurationError) as caught:
        orobserve.instrument(semconv=CANARY)
    assert CANARY not in str(caught.value)
