"""Speech, transcriptions, images, videos and batches."""

from __future__ import annotations

import base64
import struct
from decimal import Decimal
from typing import Any

import pytest

from orobserve.testing import SCENARIOS, Scenario, Simulator


@pytest.mark.parametrize(("kind", "content_type"), [("mp3", "audio/mpeg"), ("pcm", "audio/pcm")])
def test_speech_is_bytes(client: Any, sim: Simulator, kind: str, content_type: str) -> None:
    """Only the headers of speech carry information, and it is billed."""
    body = {"model": "openai/gpt-4o-mini-tts", "input": "hello", "voice": "alloy", "response_format": kind}
    answered = client.call("POST", "/audio/speech", body)
    assert answered.headers["content-type"] == content_type
    assert answered.headers["x-generation-id"] == sim.calls[0].generation_id
    assert answered.body.startswith(b"ID3" if kind == "mp3" else b"\0\0")
    assert sim.bill > 0


def test_multipart_transcription(client: Any) -> None:
    """The multipart form is read like the JSON one."""
    form = (
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nopenai/whisper-large-v3\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        + b"\1" * 40_000
        + b"\r\n--b--\r\n"
    )
    answered = client.call("POST", "/audio/transcriptions", form, Content_Type="multipart/form-data; boundary=b")
    assert answered.json["usage"] == {
        "seconds": 3,
        "input_tokens": 1,
        "output_tokens": 10,
        "total_tokens": 11,
        "cost": 0.00015,
    }


def test_embedding_encodings(client: Any) -> None:
    """Numbers and base64 say the same; a list of numbers is one input."""
    body = {"input": "hello", "dimensions": 5}
    numbers = client.call("POST", "/embeddings", body).json["data"][0]["embedding"]
    text = client.call("POST", "/embeddings", {**body, "encoding_format": "base64"}).json["data"][0]["embedding"]
    assert struct.unpack("<5f", base64.b64decode(text)) == tuple(numbers)
    lengths = [len(client.call("POST", "/embeddings", {"input": item}).json["data"]) for item in ([1, 2], [[1], [2]])]
    assert lengths == [1, 2]


def test_rerank_order(client: Any) -> None:
    """The document that shares most words comes first."""
    body = {"query": "red panda", "documents": ["blue whale", {"text": "a red panda"}, "red car"], "top_n": 2}
    answered = client.call("POST", "/rerank", body).json
    assert [found["index"] for found in answered["results"]] == [1, 2]


def test_image_stream(client: Any) -> None:
    """Partial pictures come first, and only the last finished one has usage."""
    body = {"prompt": "a panda", "n": 2, "stream": True}
    events = [payload for _, payload in client.call("POST", "/images", body).events]
    assert [event["type"].partition(".")[2] for event in events] == [
        "partial_image",
        "partial_image",
        "text_chunk",
        "completed",
        "completed",
    ]
    assert ["usage" in event for event in events[-2:]] == [False, True]
    assert base64.b64decode(events[-1]["b64_json"]).startswith(b"\x89PNG")


def test_video_job(client: Any, sim: Simulator) -> None:
    """A video is accepted, polled, and downloaded."""
    sim.next(Scenario(polls=2, record_after=0))
    job = client.call("POST", "/videos", {"model": "google/veo-3.1", "prompt": "a lake", "duration": 4})
    assert job.status == 202
    states = [client.call("GET", job.json["polling_url"]).json for _ in range(3)]
    assert [state["status"] for state in states] == ["in_progress", "in_progress", "completed"]
    assert states[-1]["usage"] == {"cost": 0.2, "is_byok": False}
    path = states[-1]["unsigned_urls"][0].partition("/api")[2]
    assert client.call("GET", f"/api{path}").body[4:8] == b"ftyp"
    record = client.call("GET", f"/generation?id={job.json['generation_id']}").json["data"]
    assert (record["api_type"], record["total_cost"]) == ("video", 0.2)
    assert client.call("GET", "/videos/job-none").status == 404


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/responses", {"input": "hi"}),
        ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}),
    ],
)
def test_batch(client: Any, sim: Simulator, endpoint: str, body: dict[str, Any]) -> None:
    """A batch is validated, worked on, and ends with results and the summed usage at half price."""
    lines = [{"custom_id": name, "body": body} for name in ("a", "b")]
    sent = {"endpoint": endpoint, "model": "openai/gpt-4o", "requests": lines}
    job = client.call("POST", "/api/beta/batches", sent)
    assert (job.status, job.json["status"], job.json["results"]) == (202, "validating", [])
    assert job.json["id"].startswith("batch-")
    states = [client.call("GET", f"/api/beta/batches/{job.json['id']}").json for _ in range(2)]
    assert [state["status"] for state in states] == ["in_progress", "completed"]
    results = states[-1]["results"]
    assert [result["custom_id"] for result in results] == ["a", "b"]
    assert all(result["response"]["body"]["id"].startswith("gen-batch-") for result in results)
    assert states[-1]["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    costs = [Decimal(repr(result["response"]["body"]["usage"]["cost"])) for result in results]
    assert Decimal(repr(states[-1]["usage"]["cost"])) == sum(costs) == sim.bill > 0
    assert [row["id"] for row in client.call("GET", "/api/beta/batches").json["data"]] == [job.json["id"]]


@pytest.mark.parametrize(
    ("name", "status", "failed"), [("job_failed", "failed", 0), ("error_in_choice", "completed", 1)]
)
def test_failing_batches(client: Any, sim: Simulator, name: str, status: str, failed: int) -> None:
    """A batch can fail as a whole or in one line; neither is billed."""
    line = {"custom_id": "a", "body": {"input": "hi"}}
    sim.next(SCENARIOS[name])
    sent = {"endpoint": "/v1/responses", "model": "openai/gpt-4o", "requests": [line]}
    job = client.call("POST", "/api/beta/batches", sent).json
    for _ in range(2):
        state = client.call("GET", f"/api/beta/batches/{job['id']}").json
    assert (state["status"], state["request_counts"]["failed"]) == (status, failed)
    assert (state["error"] is None) == bool(failed)
    assert sim.bill == 0


def test_batch_refusals(client: Any) -> None:
    """Incomplete batches, unknown ones and early errors are refused."""
    assert client.call("POST", "/api/beta/batches", {"endpoint": "/v1/chat/completions"}).status == 400
    assert client.call("GET", "/api/beta/batches/batch-none").status == 404
    line = {"custom_id": "a", "body": {"input": "hi"}}
    sent = {"endpoint": "/v1/responses", "model": "openai/gpt-4o", "requests": [line]}
    assert client.call("POST", "/api/beta/batches", sent, x_simulator_scenario="rate_limited").status == 429


def test_tools_and_schemas(client: Any) -> None:
    """Tools are asked for once, forced tools and JSON schemas are satisfied."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    tool = {"type": "function", "function": {"name": "count", "parameters": schema}}
    forced = client.chat(tools=[tool], tool_choice="required").json["choices"][0]
    assert forced["finish_reason"] == "tool_calls"
    assert forced["message"]["tool_calls"][0]["function"] == {"name": "count", "arguments": '{"n":3}'}
    turns = [{"role": "user", "content": "hi"}, {"role": "tool", "tool_call_id": "x", "content": "3"}]
    after = client.chat("tools", tools=[tool], messages=turns).json["choices"][0]
    assert after["finish_reason"] == "stop"
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    assert client.chat(response_format=wanted).json["choices"][0]["message"]["content"] == '{"n":3}'
