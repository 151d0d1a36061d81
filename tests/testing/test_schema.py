"""What the simulator serves agrees with OpenRouter's OpenAPI document, but for gaps that are listed and needed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import referencing
from referencing.jsonschema import DRAFT202012

from orobserve.testing import SCENARIOS, Framing, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BASE = "urn:openrouter"
TEXT = (Path(__file__).parents[1] / "openapi" / "openrouter.json").read_text(encoding="utf-8")
DOCUMENT = json.loads(TEXT.replace('"$ref":"#/', f'"$ref":"{BASE}#/'))
TURN = [{"role": "user", "content": "hello there"}]
REQUESTS: dict[str, dict[str, Any]] = {
    "/chat/completions": {"model": "openai/gpt-4o", "messages": TURN},
    "/responses": {"model": "openai/gpt-4o", "input": "hello there"},
    "/messages": {"model": "anthropic/claude-sonnet-4", "max_tokens": 50, "messages": TURN},
    "/embeddings": {"model": "openai/text-embedding-3-small", "input": ["a", "b"]},
    "/rerank": {"model": "cohere/rerank-v3.5", "query": "a", "documents": ["a b", {"text": "c"}]},
    "/images": {"model": "google/gemini-2.5-flash-image", "prompt": "a panda", "n": 2},
    "/audio/speech": {"model": "openai/gpt-4o-mini-tts", "input": "hello", "voice": "alloy"},
    "/audio/transcriptions": {"input_audio": {"data": "UklGRg==", "format": "wav"}, "response_format": "verbose_json"},
    "/videos": {"model": "google/veo-3.1", "prompt": "a lake"},
}
STREAMING = ("/chat/completions", "/responses", "/messages", "/images")
ENDPOINTS = [(path, stream) for path in REQUESTS for stream in ((False, True) if path in STREAMING else (False,))]

# These scenarios damage the usage on purpose; what they serve is wrong by design.
DAMAGED = {"cost_string", "cost_null", "usage_absent", "usage_null", "usage_nulls", "usage_wrong_types", "usage_huge"}

# Fields OpenRouter sends although its schema does not declare them: (path, field) -> why they are served.
UNDECLARED = {
    ("/chat/completions", "provider"): "documented in prose, seen on every result and chunk",
    ("/chat/completions", "choices[].native_finish_reason"): "documented in prose",
    ("/chat/completions", "choices[].error"): "documented in prose: a choice that failed",
    ("/chat/completions", "choices[].message.annotations"): "documented in prose: citations",
    ("/chat/completions", "choices[].delta.annotations"): "documented in prose: citations",
    ("/chat/completions", "choices[].delta.images"): "documented in prose: image output in streams",
    ("/chat/completions", "choices[].message.images[].type"): "documented in prose: image output",
    ("/chat/completions", "choices[].message.images[].index"): "seen on image output",
    ("/chat/completions", "usage.completion_tokens_details.image_tokens"): "documented in prose",
    ("/messages", "request_id"): "the error event is documented as the error object, which has it",
    ("/messages", "content[].input.city"): "a tool's input is the tool's own business",
    ("/messages", "content[].input.zone"): "a tool's input is the tool's own business",
    ("/responses", "error"): "the error page nests what the schema has flat",
    ("/responses", "error.code"): "the error page nests what the schema has flat",
    ("/responses", "error.message"): "the error page nests what the schema has flat",
    **{
        (path, f"error.{field}"): "the documented shape of availability errors"
        for path in REQUESTS
        for field in ("error_type", "http_status", "availability")
        if path != "/messages" or field == "availability"
    },
}

# Values OpenRouter sends although its schema forbids them: pattern of the complaint -> why they are served.
FORBIDDEN = {
    r"^\$\.error: 'code' is a required property": "availability errors are documented without a code",
    r"\.error\.code: 'server_error' is not of type 'integer'": "an older page shows string codes",
    r"'type': 'response\.error', 'error'.* is not valid under any": "the error page has an event name of its own",
    r"^\$: '(code|message|param)' is a required property": "the error page nests what the schema has flat",
}

# Statuses OpenRouter documents in general, yet not for this endpoint; judged as the endpoint's status 500.
UNDOCUMENTED_STATUSES = {
    ("/messages", 402),
    ("/messages", 502),
    ("/messages", 524),
    ("/embeddings", 403),
    ("/rerank", 403),
    ("/images", 503),
    ("/audio/speech", 403),
    ("/audio/transcriptions", 403),
    ("/videos", 403),
    ("/videos", 502),
    ("/videos", 503),
    ("/videos", 524),
    ("/videos", 529),
}


def _readable(scenario: Scenario) -> bool:
    """Whether the scenario delivers well-formed JSON in the plainest framing."""
    cuts = (scenario.truncated_after, scenario.reset_after, scenario.hold_after)
    plain = (scenario.framing.newline, scenario.framing.multiline, scenario.framing.space, scenario.framing.bom)
    framed = Framing()
    return (
        scenario.body == "normal"
        and not scenario.encoding
        and all(cut is None for cut in cuts)
        and plain == (framed.newline, framed.multiline, framed.space, framed.bom)
        and scenario.name not in DAMAGED | {"long"}
    )


NAMES = [name for name, scenario in SCENARIOS.items() if _readable(scenario)]


class Contract:
    """Judges payloads by the reduced OpenAPI document."""

    def __init__(self) -> None:
        """Index the document once; a validator per schema is kept."""
        resource = referencing.Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
        self._registry = referencing.Registry().with_resource(BASE, resource)
        self._validators: dict[int, jsonschema.Draft202012Validator] = {}

    def schema(self, path: str, status: int, content_type: str) -> dict[str, Any]:
        """Find the schema of a response; empty when the document has none."""
        operations: dict[str, Any] = DOCUMENT["paths"].get(path, {})
        for operation in operations.values():
            found = operation["responses"].get(str(status), {}).get("content", {}).get(content_type)
            if found:
                schema: dict[str, Any] = found["schema"]
                return schema
        return {}

    def event(self, schema: dict[str, Any], payload: Any) -> dict[str, Any]:
        """Find the schema of one event's data; the discriminator saves trying every alternative."""
        data: dict[str, Any] = self._resolved(schema)["properties"]["data"]
        union = self._resolved(data)
        name = union.get("discriminator", {}).get("mapping", {}).get(payload.get("type"), "").rpartition("/")[2]
        chosen: dict[str, Any] = DOCUMENT["components"]["schemas"].get(name, data)
        return chosen

    def problems(self, schema: dict[str, Any], payload: Any) -> list[str]:
        """List the ways in which a payload breaks a schema of the document."""
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = jsonschema.Draft202012Validator(schema, registry=self._registry)
            self._validators[id(schema)] = validator
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(payload)]

    @staticmethod
    def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def undeclared(self, schema: dict[str, Any], payload: Any, where: str = "") -> set[str]:
        """Name the fields of a payload that no alternative of its schema declares."""
        found: set[str] = set()
        flat = list(self._flat(schema))
        if isinstance(payload, list):
            items = {"anyOf": [part["items"] for part in flat if part.get("items")]}
            for item in payload:
                found |= self.undeclared(items, item, f"{where}[]") if items["anyOf"] else set()
        if not isinstance(payload, dict) or any("additionalProperties" in part for part in flat):
            return found
        for name, value in payload.items():
            declared = [part["properties"][name] for part in flat if name in part.get("properties", {})]
            path = f"{where}.{name}".lstrip(".")
            found |= self.undeclared({"anyOf": declared}, value, path) if declared else {path}
        return found

    def _flat(self, schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Walk the alternatives and parts of a schema."""
        schema = self._resolved(schema)
        for key in ("allOf", "anyOf", "oneOf"):
            for part in schema.get(key, ()):
                yield from self._flat(part)
        yield schema


@pytest.fixture(scope="module")
def contract() -> Contract:
    """Index the document once for all cases."""
    return Contract()


@pytest.fixture(scope="module")
def shared(make_client: Callable[[Simulator], Any]) -> Iterator[Any]:
    """One client for all cases: they do not depend on each other."""
    with Simulator() as simulator:
        client = make_client(simulator)
        yield client
        client.connection.close()


Findings = tuple[set[Any], set[Any], set[Any]]
_FOUND: dict[tuple[str, bool, str], Findings] = {}


def findings(shared: Any, contract: Contract, path: str, stream: bool, name: str) -> Findings:
    """Judge a case once: undeclared fields, forbidden values, undocumented statuses."""
    case = (path, stream, name)
    if case not in _FOUND:
        _FOUND[case] = judge(shared, contract, path, stream, name)
    return _FOUND[case]


def judge(shared: Any, contract: Contract, path: str, stream: bool, name: str) -> Findings:
    """Make the call and compare all it brings with the document."""
    body = {**REQUESTS[path], "stream": True} if stream else REQUESTS[path]
    answered = shared.call("POST", path, body, x_simulator_scenario=name, x_openrouter_metadata="enabled")
    content_type = answered.headers["content-type"]
    if content_type.startswith("audio/"):
        return set(), set(), set()
    streamed = content_type == "text/event-stream"
    payloads = [data for _, data in answered.events] if streamed else [answered.json]
    undeclared, forbidden = set(), set()
    status = answered.status
    missing = set() if contract.schema(path, status, content_type) else {(path, status)}
    for payload in payloads:
        # An error inside a 200 body is judged as the error it is.
        judged_as = 500 if missing or (not streamed and path != "/responses" and payload.get("error")) else status
        schema = contract.schema(path, judged_as, content_type)
        schema = contract.event(schema, payload) if streamed else schema
        forbidden |= set(contract.problems(schema, payload))
        undeclared |= {(path, field) for field in contract.undeclared(schema, payload)}
    return undeclared, forbidden, missing


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("path", "stream"), ENDPOINTS)
def test_inference_bodies(shared: Any, contract: Contract, path: str, stream: bool, name: str) -> None:
    """Every body and every event validates, and declares nothing that is not listed."""
    undeclared, forbidden, missing = findings(shared, contract, path, stream, name)
    assert undeclared <= UNDECLARED.keys()
    assert [problem for problem in forbidden if not any(re.search(gap, problem) for gap in FORBIDDEN)] == []
    assert missing <= UNDOCUMENTED_STATUSES


def test_every_listed_gap_is_needed(shared: Any, contract: Contract) -> None:
    """A gap that OpenRouter closed must leave the lists when the document is refreshed."""
    undeclared: set[Any] = set()
    forbidden: set[Any] = set()
    missing: set[Any] = set()
    for path, stream in ENDPOINTS:
        for name in NAMES:
            found = findings(shared, contract, path, stream, name)
            undeclared, forbidden, missing = undeclared | found[0], forbidden | found[1], missing | found[2]
    assert undeclared == UNDECLARED.keys()
    assert {gap for gap in FORBIDDEN if not any(re.search(gap, problem) for problem in forbidden)} == set()
    assert missing == UNDOCUMENTED_STATUSES


@pytest.mark.parametrize("path", REQUESTS)
@pytest.mark.parametrize(("key", "status"), [("", 401), ("sk-or-v1-invalid", 401)])
def test_refusals(shared: Any, contract: Contract, path: str, key: str, status: int) -> None:
    """A missing or wrong key is refused in the dialect's own shape, a body without its main field as well."""
    shared.key = key
    try:
        answered = shared.call("POST", path, REQUESTS[path])
    finally:
        shared.key = "sk-or-v1-test"
    assert answered.status == status
    assert contract.problems(contract.schema(path, status, "application/json"), answered.json) == []
    empty = shared.call("POST", path, {})
    assert empty.status == 400
    assert contract.problems(contract.schema(path, 400, "application/json"), empty.json) == []


@pytest.mark.parametrize("name", NAMES)
def test_generation_records(shared: Any, contract: Contract, name: str) -> None:
    """The record and the stored content of every kind of generation validate, and so does their absence."""
    answered = shared.chat(name, user="u1", session_id="s1")
    generation_id = answered.headers.get("x-generation-id", "gen-none")
    for _ in range(7):
        record = shared.call("GET", f"/generation?id={generation_id}")
        schema = contract.schema("/generation", record.status, "application/json")
        assert contract.problems(schema, record.json) == []
        assert contract.undeclared(schema, record.json) == set()
    content = shared.call("GET", f"/generation/content?id={generation_id}")
    schema = contract.schema("/generation/content", content.status, "application/json")
    assert contract.problems(schema, content.json) == []


AROUND = [
    ("GET", "/key", "/key", None),
    ("GET", "/credits", "/credits", None),
    ("GET", "/activity", "/activity", None),
    ("GET", "/models", "/models", None),
    ("GET", "/models/user", "/models/user", None),
    ("GET", "/models/count", "/models/count", None),
    ("GET", "/providers", "/providers", None),
    ("POST", "/presets/mine/chat/completions", "/presets/{slug}/chat/completions", REQUESTS["/chat/completions"]),
    ("POST", "/presets/mine/messages", "/presets/{slug}/messages", {**REQUESTS["/messages"], "system": "Be kind."}),
    ("POST", "/presets/mine/responses", "/presets/{slug}/responses", REQUESTS["/responses"]),
]


@pytest.mark.parametrize("case", AROUND, ids=lambda case: str(case[1]))
def test_other_endpoints(shared: Any, contract: Contract, case: tuple[str, str, str, Any]) -> None:
    """The endpoints around inference validate and send nothing undeclared."""
    method, path, template, body = case
    answered = shared.call(method, path, body)
    schema = contract.schema(template, 200, "application/json")
    assert answered.status == 200
    assert contract.problems(schema, answered.json) == []
    assert contract.undeclared(schema, answered.json) == set()


@pytest.mark.parametrize("name", ["default", "byok", "late_id", "job_failed"])
def test_video_polls(shared: Any, contract: Contract, name: str) -> None:
    """Every state of a video job validates."""
    job = shared.call("POST", "/videos", REQUESTS["/videos"], x_simulator_scenario=name).json
    schema = contract.schema("/videos/{jobId}", 200, "application/json")
    states = [shared.call("GET", job["polling_url"]).json for _ in range(3)]
    for state in states:
        assert contract.problems(schema, state) == []
        assert contract.undeclared(schema, state) == set()
    ending = "failed" if name == "job_failed" else "completed"
    assert [state["status"] for state in states] == ["in_progress", ending, ending]
    assert ("generation_id" in job) == (name != "late_id")


def test_feedback(shared: Any, contract: Contract) -> None:
    """Feedback on a known generation is accepted."""
    generation_id = shared.chat().headers["x-generation-id"]
    answered = shared.call("POST", "/generation/feedback", {"generation_id": generation_id, "category": "other"})
    assert contract.problems(contract.schema("/generation/feedback", 200, "application/json"), answered.json) == []


def test_activity_rows(contract: Contract, make_client: Callable[[Simulator], Any]) -> None:
    """Yesterday's calls show up in the activity, today's do not yet."""
    now = [1_700_000_000.0]
    with Simulator(clock=lambda: now[0]) as simulator:
        client = make_client(simulator)
        client.chat("byok")
        today = client.call("GET", "/activity").json
        now[0] += 86_400
        answered = client.call("GET", "/activity").json
        client.connection.close()
    schema = contract.schema("/activity", 200, "application/json")
    assert today == {"data": []}
    assert [row["requests"] for row in answered["data"]] == [1]
    assert contract.problems(schema, answered) == []
    assert contract.undeclared(schema, answered) == set()


def test_activity_filters_and_refusals(contract: Contract, make_client: Callable[[Simulator], Any]) -> None:
    """Activity is of one day, key or workspace where asked; other days, and keys that manage nothing, are refused."""
    now = [1_700_000_000.0]  # 2023-11-14
    with Simulator(clock=lambda: now[0]) as simulator:
        client = make_client(simulator)
        client.chat()
        now[0] += 86_400
        rows = {
            query: client.call("GET", f"/activity?{query}").json["data"]
            for query in ("date=2023-11-14", "date=2023-11-13", "api_key_hash=00", "group_by=workspace", "user_id=x")
        }
        refused = [client.call("GET", f"/activity?date={day}") for day in ("2023-11-15", "2023-10-01", "yesterday")]
        simulator.account.management_keys = frozenset({"sk-or-v1-management"})
        denied = [client.call("GET", path) for path in ("/activity", "/credits")]
        client.connection.close()
    assert {query: len(found) for query, found in rows.items()} == {
        "date=2023-11-14": 1,
        "date=2023-11-13": 0,
        "api_key_hash=00": 0,
        "group_by=workspace": 1,
        "user_id=x": 0,
    }
    schema = contract.schema("/activity", 200, "application/json")
    assert contract.problems(schema, {"data": rows["group_by=workspace"]}) == []
    assert rows["group_by=workspace"][0]["workspace_id"]
    for answers, status in ((refused, 400), (denied, 403)):
        for answer in answers:
            assert answer.status == status
            assert contract.problems(contract.schema("/activity", status, "application/json"), answer.json) == []
