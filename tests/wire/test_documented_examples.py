"""Every documented example of an answer is read without loss: each number has a place, or a reason to have none."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import count
from pathlib import Path

import pytest

from orobserve.generation import Outcome
from orobserve.wire.usage import read_cost, read_usage
from tests.support.transcripts import exchange_for

DOCUMENT = json.loads((Path(__file__).parent.parent / "openapi" / "openrouter.json").read_text("utf-8"))
SCHEMAS = DOCUMENT["components"]["schemas"]
INFERENCE = [
    "/chat/completions",
    "/responses",
    "/messages",
    "/embeddings",
    "/rerank",
    "/images",
    "/audio/speech",
    "/audio/transcriptions",
    "/videos",
    "/videos/{jobId}",
]
# Where a usage object has numbers that no field keeps.
NO_PLACE = {
    "iterations": "the steps of one answer; their sums are the totals that are kept",
}
USAGES = {
    "ChatUsage": False,
    "Usage": False,
    "OpenAIResponsesUsage": False,
    "AnthropicUsage": True,
    "ImageGenerationUsage": False,
    "STTUsage": False,
    "VideoGenerationUsage": False,
}


def answers():
    """Yield the documented examples of all answers: path, status, media type, value."""
    for path in INFERENCE:
        for operation in DOCUMENT["paths"][path].values():
            for status, response in operation["responses"].items():
                for media_type, content in response.get("content", {}).items():
                    found = [item["value"] for item in content.get("examples", {}).values()]
                    found += [place["example"] for place in (content, content.get("schema", {})) if "example" in place]
                    for value in found:
                        if isinstance(value, dict):  # sound and "data: [DONE]" stand there as plain texts
                            yield path, int(status), media_type, value


ANSWERS = list(answers())


def named(value):
    """Name an example in a test's id."""
    return str(value) if isinstance(value, (str, int)) else ""


def record(path, status, media_type, value):
    """Return the record of an answer."""
    method = "GET" if "{" in path else "POST"
    exchange = exchange_for(method, f"https://openrouter.ai/api/v1{path}", wants_content=True)
    made = []
    exchange.on_end(made.append)
    exchange.request({}, b"{}")
    exchange.response(status, {"content-type": media_type})
    if media_type == "text/event-stream":
        name = f"event: {value['event']}\n" if "event" in value else ""
        exchange.feed(f"{name}data: {json.dumps(value['data'])}\n\ndata: [DONE]\n\n".encode())
    else:
        exchange.feed(json.dumps(value).encode())
    exchange.end()
    return made[0]


def numbers(value):
    """Return every number of a JSON value; True and False are none."""
    if isinstance(value, bool):
        return []
    if isinstance(value, (int, float)):
        return [float(value)]
    children = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [number for child in children for number in numbers(child)]


def kept(usage, *, apart=False):
    """Return every number that the records keep of a usage object."""
    records = [read_usage(usage, cache_apart=apart), read_cost(usage)]
    return [number for item in records if item for number in numbers(asdict(item))]


def fill_in(schema, ticks, path=""):
    """Return an instance of a schema in which every number is another one."""
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    for part in [*schema.get("allOf", []), *schema.get("anyOf", []), *schema.get("oneOf", [])]:
        found = fill_in(part, ticks, path)
        if found is not None:
            return found
    kinds = schema.get("type")
    if "properties" in schema:
        return {key: fill_in(item, ticks, f"{path}.{key}") for key, item in schema["properties"].items()}
    if kinds and {"integer", "number"} & ({kinds} if isinstance(kinds, str) else set(kinds)):
        return 1000 + next(ticks)
    if kinds and "array" in kinds and "items" in schema:
        return [fill_in(schema["items"], ticks, path)]
    return None


def test_the_document_has_examples_of_every_endpoint() -> None:
    assert {path for path, *_ in ANSWERS} == set(INFERENCE)
    assert len(ANSWERS) > 100


@pytest.mark.parametrize(("path", "status", "media_type", "value"), ANSWERS, ids=named)
def test_answers(path: str, status: int, media_type: str, value) -> None:
    generation = record(path, status, media_type, value)
    assert generation.body_fault is None
    assert generation.status_code == status
    assert generation.outcome is (Outcome.COMPLETE if status < 400 else Outcome.FAILED)
    body = value["data"] if media_type == "text/event-stream" else value
    if status < 400:
        assert generation.error is None
        assert generation.model == body.get("model")
        if media_type == "application/json" and body.get("usage"):
            records = [asdict(item) for item in (generation.usage, generation.cost) if item]
            assert set(numbers(body["usage"])) <= set(numbers(records))


@pytest.mark.parametrize(
    ("path", "status", "media_type", "value"), [row for row in ANSWERS if row[1] >= 400], ids=named
)
def test_errors(path: str, status: int, media_type: str, value) -> None:
    error = record(path, status, media_type, value).error
    assert error.message == value["error"]["message"]
    assert error.type == value["error"].get("error_type", value["error"].get("type", str(status)))
    assert error.code == (str(value["error"]["code"]) if "code" in value["error"] else None)
    assert not error.transport


@pytest.mark.parametrize("name", USAGES)
def test_every_number_of_a_usage_example_is_kept(name: str) -> None:
    example = SCHEMAS[name]["example"]
    assert set(numbers(example)) <= {*kept(example, apart=USAGES[name])}


@pytest.mark.parametrize("name", USAGES)
def test_every_number_a_usage_may_have_is_kept_or_explained(name: str) -> None:
    usage = fill_in({"$ref": f"#/{name}"}, count())
    # The tokens that stand apart are added to the input, so that count itself is not found again.
    found = {*kept(usage)}
    lost = {key for key, value in usage.items() if not set(numbers(value)) <= found}
    assert lost <= set(NO_PLACE)
    assert len(numbers(usage)) > 0


def events(*names):
    """Return the examples of the schemas that a streaming schema may hold, with their names."""
    pending, seen = list(names), {}
    while pending:
        name = pending.pop()
        schema = SCHEMAS[name]
        parts = [*schema.get("oneOf", []), *schema.get("anyOf", []), *schema.get("allOf", [])]
        pending += [part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part and part["$ref"] not in seen]
        example = schema.get("example")
        if isinstance(example, dict) and isinstance(example.get("type"), str):
            seen[name] = example
    return sorted(seen.items())


IMAGES = ["ImageGenPartialImageEvent", "ImageGenTextChunkEvent", "ImageGenCompletedEvent", "ImageGenStreamErrorEvent"]
STREAMS = [("/images", name, SCHEMAS[name]["example"]) for name in IMAGES]
STREAMS += [("/responses", *found) for found in events("StreamEvents")]
STREAMS += [("/messages", *found) for found in events("MessagesStreamEvents")]


@pytest.mark.parametrize(("path", "name", "example"), STREAMS, ids=named)
def test_events(path: str, name: str, example) -> None:
    generation = record(path, 200, "text/event-stream", {"data": example, "event": example["type"]})
    failed = example["type"] in {"error", "response.failed"}
    assert generation.outcome is (Outcome.FAILED if failed else Outcome.COMPLETE)
    assert generation.stream.chunk_count == (0 if example["type"] == "ping" else 1)
    if example["type"] == "error":
        assert generation.error.message == example.get("error", example)["message"]
