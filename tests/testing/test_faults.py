"""Faults do what they say on a real socket."""

from __future__ import annotations

import gzip
import http.client
import importlib
import json
import socket
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.testing import SCENARIOS, Attempt, Failure, Framing, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable

DATA_EVENTS = 15


def shape(client: Any, scenario: Scenario) -> Any:
    """Stream one chat answer by a scenario."""
    client.simulator.next(scenario)
    return client.chat(stream=True)


@pytest.fixture
def plain(client: Any) -> Any:
    """Stream one chat answer without any fault."""
    return client.chat(stream=True)


@pytest.mark.parametrize("stream", [False, True])
def test_reset_before_the_response(client: Any, stream: bool) -> None:
    """The connection is reset before any byte."""
    with pytest.raises(ConnectionResetError):
        client.chat("reset", stream=stream)


def test_reset_midstream(client: Any, sim: Simulator) -> None:
    """The connection is reset inside the body, after the generation id was told."""
    client.connection.request("POST", "/api/v1/chat/completions", *_chat_request("reset_midstream"))
    response = client.connection.getresponse()
    assert response.headers["x-generation-id"] == sim.calls[0].generation_id
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)):
        response.read()


def _chat_request(scenario: str, **fields: Any) -> tuple[bytes, dict[str, str]]:
    body = {"messages": [{"role": "user", "content": "hello there"}], "stream": True, **fields}
    return json.dumps(body).encode(), {"Authorization": "Bearer k", "x-simulator-scenario": scenario}


def test_torn_body(client: Any) -> None:
    """The body ends without its last chunk."""
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.chat("truncated", stream=True)
    assert caught.value.partial.count(b"data: {") == 3
    client.connection.close()
    with pytest.raises(http.client.IncompleteRead):
        client.chat("truncated")


def test_clean_end_without_terminal_event(client: Any) -> None:
    """HTTP is satisfied, the protocol is not."""
    answered = client.chat("truncated_clean", stream=True)
    assert len(answered.events) == 3
    assert b"[DONE]" not in answered.body
    assert b"usage" not in answered.body
    assert client.chat().status == 200, "the connection stays usable"


@pytest.mark.parametrize(("name", "cancelled"), [("held", True), ("default", False)])
def test_hang_up_is_noticed(
    sim: Simulator, make_client: Callable[[Simulator], Any], name: str, cancelled: bool
) -> None:
    """A client that leaves in the middle leaves a cancelled record, billed in full unless said otherwise."""
    leaver, asker = make_client(sim), make_client(sim)
    leaver.connection.request("POST", "/api/v1/chat/completions", *_chat_request(name))
    response = leaver.connection.getresponse()
    generation_id = response.headers["x-generation-id"]
    asker.key = "k"
    response.readline() if cancelled else response.read()
    response.close()
    leaver.connection.close()
    record = _await_record(asker, generation_id)
    assert record["cancelled"] is cancelled
    assert (record["finish_reason"] is None) == cancelled
    assert record["total_cost"] > 0
    asker.connection.close()


def _await_record(client: Any, generation_id: str) -> dict[str, Any]:
    """Ask until the record is there; the server needs a moment to notice."""
    for _ in range(2_000):
        found = client.call("GET", f"/generation?id={generation_id}")
        if found.status == 200:
            data: dict[str, Any] = found.json["data"]
            return data
    pytest.fail("the record never appeared")


def test_partial_billing(sim: Simulator, make_client: Callable[[Simulator], Any]) -> None:
    """A provider that stops on hang-up bills what it had written."""
    client = make_client(sim)
    full = client.chat("default").json["usage"]["cost"]
    sim.next(Scenario(truncated_after=3, truncated_clean=True, billing="partial"))
    part = client.chat(stream=True).headers["x-generation-id"]
    assert 0 < sim.bill_for(part) < full
    client.connection.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_encodings(client: Any, name: str, stream: bool) -> None:
    """Encoded bodies decode to what is sent plainly."""
    decoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.decompress,
        "deflate": zlib.decompress,
        "br": lambda data: bytes(importlib.import_module("brotli").decompress(data)),
        "zstd": lambda data: bytes(
            importlib.import_module("zstandard").ZstdDecompressor().decompressobj().decompress(data)
        ),
    }
    answered = client.chat(name, stream=stream)
    assert answered.headers["content-encoding"] == name
    text = decoders[name](answered.body).decode()
    assert ("data: [DONE]" in text) == stream
    assert "You" in text


@pytest.mark.parametrize(("name", "newline"), [("cr", "\r"), ("crlf", "\r\n"), ("default", "\n")])
def test_newlines(client: Any, name: str, newline: str) -> None:
    """Lines end as the scenario says."""
    text = client.chat(name, stream=True).body.decode()
    assert text.endswith(f"data: [DONE]{newline}{newline}")
    assert text.replace(newline, "").isprintable()


def test_dressing(client: Any, plain: Any) -> None:
    """Keep-alives, byte order mark, split data lines and missing spaces change the bytes and not the meaning."""
    assert len(plain.events) == DATA_EVENTS
    many = client.chat("keepalives", stream=True).body.decode()
    assert many.startswith(": OPENROUTER PROCESSING\n\n" * 3 + "data: ")
    assert many.count(": OPENROUTER PROCESSING") == 3 + DATA_EVENTS
    assert client.chat("bom", stream=True).body.startswith(b"\xef\xbb\xbfdata: ")
    assert b'data: {\ndata:  "id"' in client.chat("multiline", stream=True).body
    assert client.chat("no_space", stream=True).body.startswith(b"data:{")
    assert client.chat("keepalives").body.startswith(b"\n         \n         \n         {")
    assert client.chat("no_role_chunk", stream=True).events[0][1]["choices"][0]["delta"]["content"] == "You "


def test_usage_chunk_forms(client: Any, plain: Any) -> None:
    """The usage chunk follows the finish; its choices are empty or carry an idle choice."""
    finish, usage = (payload for _, payload in plain.events[-2:])
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    idle = client.chat("usage_choices", stream=True).events[-1][1]
    assert idle["usage"]["cost"] > 0
    assert idle["choices"][0]["finish_reason"] is None


def test_bytewise_writes(sim: Simulator) -> None:
    """Every byte travels in a chunk of its own, through the middle of characters."""
    body, headers = _chat_request("bytewise")
    host = sim.root.removeprefix("http://")
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": str(len(body))}.items())
    with socket.create_connection((host.partition(":")[0], int(host.partition(":")[2])), timeout=10) as raw:
        raw.sendall(
            f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\n{head}Connection: close\r\n\r\n".encode() + body
        )
        received = b"".join(iter(lambda: raw.recv(65536), b""))
    chunks = received.partition(b"\r\n\r\n")[2]
    assert chunks.startswith(b"1\r\nd\r\n1\r\na\r\n1\r\nt\r\n")
    assert len(sim.calls[0].response) * 6 + 5 == len(chunks)


@pytest.mark.parametrize(("name", "body"), [("empty", b""), ("array", b"[1,2]")])
def test_odd_bodies(client: Any, name: str, body: bytes) -> None:
    """A 200 can carry something that is not the promised object."""
    answered = client.chat(name)
    assert (answered.status, answered.body) == (200, body)
    assert "x-generation-id" in answered.headers


def test_malformed_json(client: Any) -> None:
    """A body or an event can stop being JSON."""
    with pytest.raises(json.JSONDecodeError):
        client.chat("malformed").json  # noqa: B018 - reading is the test
    with pytest.raises(json.JSONDecodeError):
        client.chat("malformed", stream=True).events  # noqa: B018 - reading is the test


def test_html_page(client: Any) -> None:
    """A gateway in between answers in HTML, without a generation."""
    answered = client.chat("html")
    assert (answered.status, answered.headers["content-type"]) == (502, "text/html; charset=UTF-8")
    assert "x-generation-id" not in answered.headers


def test_delays(make_client: Callable[[Simulator], Any]) -> None:
    """Pauses come before the first token and between tokens, never before keep-alives."""
    slept: list[float] = []
    with Simulator(sleep=slept.append) as simulator:
        client = make_client(simulator)
        slow = Scenario(first_delay=1.5, chunk_delay=0.25, text="a b", framing=Framing(comments=2))
        events = shape(client, slow).events
        assert slept == [1.5] + [0.25] * len(events)
        slept.clear()
        simulator.next(slow)
        client.chat()
        assert slept == [1.5]
        client.connection.close()


@pytest.mark.parametrize("after", [0, 1, 5])
def test_midstream_error(client: Any, after: int) -> None:
    """The error chunk comes after the given number of events and before the terminator."""
    answered = shape(client, Scenario(error=Failure(error_type="timeout", place="midstream", after=after)))
    events = [payload for _, payload in answered.events]
    assert len(events) == after + 1
    assert events[-1]["error"]["code"] == 408
    assert events[-1]["choices"][0]["finish_reason"] == "error"
    assert answered.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("kind", "status"),
    [("payment_required", 402), ("rate_limit_exceeded", 429), ("provider_overloaded", 529), ("invalid_prompt", 400)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_http_errors(client: Any, kind: str, status: int, stream: bool) -> None:
    """An early error is JSON even when a stream was asked for; it names a generation once a provider was reached."""
    client.simulator.next(Scenario(error=Failure(error_type=kind, retry_after=3)))
    answered = client.chat(stream=stream)
    assert (answered.status, answered.headers["content-type"]) == (status, "application/json")
    assert answered.headers["retry-after"] == "3"
    assert answered.json["error"]["metadata"]["error_type"] == kind
    assert ("x-generation-id" in answered.headers) == (status in {429, 529})
    assert ("x-ratelimit-limit" in answered.headers) == (status == 429)


def test_responses_turns_length_errors_into_an_incomplete_answer(client: Any) -> None:
    """What is too long is an incomplete success in the Responses API."""
    client.simulator.next(Scenario(error=Failure(error_type="context_length_exceeded", place="midstream")))
    answered = client.call("POST", "/responses", {"input": "hi", "stream": True})
    last = answered.events[-1][1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_fallbacks_in_the_router_metadata(client: Any) -> None:
    """The attempts are told when asked for, and the model is the next of ``models``."""
    asked = {"model": "openai/gpt-4o", "models": ["openai/gpt-4o", "anthropic/claude-sonnet-4"]}
    body = {**asked, "messages": [{"role": "user", "content": "hi"}]}
    failed = (Attempt(provider="OpenAI", status=503, model="openai/gpt-4o"),)
    client.simulator.next(Scenario(failed_attempts=failed, fallback=True))
    answer = client.call("POST", "/chat/completions", body, X_OpenRouter_Metadata="Enabled").json
    story = answer["openrouter_metadata"]
    assert (answer["model"], answer["provider"]) == ("anthropic/claude-sonnet-4", "Anthropic")
    assert (story["requested"], story["strategy"], story["attempt"]) == ("openai/gpt-4o", "fallback", 2)
    assert [attempt["status"] for attempt in story["attempts"]] == [503, 200]
    assert "openrouter_metadata" not in client.chat().json


def test_order_of_scenarios(client: Any) -> None:
    """What was queued wins over the header, the header over the default."""
    sim = client.simulator
    sim.default = Scenario(text="default")
    sim.next(Scenario(text="first"), Scenario(text="second"))
    texts = [client.chat(name).json["choices"][0]["message"]["content"] for name in ("long", "", "unicode", "")]
    assert texts == ["first", "second", SCENARIOS["unicode"].text, "default"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/chat/completions", 405), ("POST", "/key", 405), ("GET", "/nowhere", 404), ("GET", "/api/v2/key", 404)],
)
def test_wrong_paths_and_methods(client: Any, method: str, path: str, status: int) -> None:
    """Everything else is refused in the common envelope."""
    answered = client.call(method, path)
    assert (answered.status, answered.json["error"]["code"]) == (status, status)


def test_prefix_and_alpha_path(make_client: Callable[[Simulator], Any]) -> None:
    """A gateway's path can precede the API, and the older Responses path still answers."""
    with Simulator(prefix="/gateway") as simulator:
        client = make_client(simulator)
        assert simulator.url.endswith("/gateway/api/v1")
        client.connection.request(
            "POST", "/gateway/api/alpha/responses", b'{"input":"hi"}', {"Authorization": "Bearer k"}
        )
        response = client.connection.getresponse()
        assert json.loads(response.read())["object"] == "response"
        assert client.call("GET", "/models").status == 404
        client.connection.close()


def test_start_and_stop() -> None:
    """Starting or stopping twice is harmless, and what was seen stays readable."""
    simulator = Simulator().start()
    assert simulator.start().url == simulator.url
    simulator.stop()
    simulator.stop()
    assert simulator.calls == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(simulator.root.rpartition(":")[2])), timeout=1)
