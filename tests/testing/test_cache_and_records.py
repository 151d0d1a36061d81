"""OpenRouter's response cache, and the records of GET /generation."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.testing import SCENARIOS, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CACHED = {"X_OpenRouter_Cache": "true"}
BODIES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "hello there"}]},
    "/responses": {"input": "hello there"},
    "/messages": {"messages": [{"role": "user", "content": "hello there"}]},
    "/embeddings": {"input": "hello there"},
}


class Clock:
    """A clock that tests move."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Start a clock."""
    return Clock()


@pytest.fixture
def timed(clock: Clock, make_client: Callable[[Simulator], Any]) -> Iterator[Any]:
    """Connect to a simulator that lives by the clock."""
    with Simulator(clock=clock) as simulator:
        client = make_client(simulator)
        yield client
        client.connection.close()


def cache_headers(answered: Any) -> dict[str, str]:
    """Pick the cache headers."""
    prefix = "x-openrouter-cache-"
    return {name.removeprefix(prefix): value for name, value in answered.headers.items() if name.startswith(prefix)}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
def test_hit_replays_the_body_for_nothing(timed: Any, clock: Clock, path: str, stream: bool) -> None:
    """A hit has a new generation id, the same content, and zero usage."""
    body = {"model": "openai/gpt-4o", **BODIES[path], "stream": stream}
    headers = {**CACHED, "X_OpenRouter_Metadata": "enabled"}
    first = timed.call("POST", path, body, **headers)
    billed = timed.simulator.bill
    clock.now += 7
    second = timed.call("POST", path, body, **headers)
    source, copy = first.headers["x-generation-id"], second.headers["x-generation-id"]
    assert cache_headers(first) == {"status": "MISS", "ttl": "300"}
    assert cache_headers(second) == {"status": "HIT", "age": "7", "ttl": "293", "source-id": source}
    assert source != copy
    assert timed.simulator.bill == billed > 0
    assert b"openrouter_metadata" not in second.body
    if path == "/chat/completions" and not stream:
        assert second.json["choices"] == first.json["choices"]
        assert second.json["id"] == copy
        assert {value for value in second.json["usage"].values() if not isinstance(value, dict | bool)} == {0}


@pytest.mark.parametrize(
    ("ttl", "kept"), [("60abc", 60), ("1.5", 1), ("0", 1), ("999999", 86_400), ("abc", 300), ("", 300)]
)
def test_time_to_live(timed: Any, clock: Clock, ttl: str, kept: int) -> None:
    """The wished time to live is read forgivingly and then holds to the second."""
    headers = {**CACHED, "X_OpenRouter_Cache_TTL": ttl}
    body = {"model": "openai/gpt-4o", **BODIES["/responses"]}
    statuses = []
    for step in (0, kept - 0.5, 1):
        clock.now += step
        statuses.append(cache_headers(timed.call("POST", "/responses", body, **headers))["status"])
    assert statuses == ["MISS", "HIT", "MISS"]


def test_cache_scope(client: Any) -> None:
    """Key, stream flag and every byte of the body tell requests apart; without the header nothing is cached."""

    def status(**fields: Any) -> str | None:
        body = {"model": "openai/gpt-4o", **BODIES["/chat/completions"], **fields}
        return cache_headers(client.call("POST", "/chat/completions", body, **CACHED)).get("status")

    assert [status(), status(), status(stream=True), status(user="u")] == ["MISS", "HIT", "MISS", "MISS"]
    client.key = "sk-or-v1-other"
    assert status() == "MISS"
    assert cache_headers(client.chat()) == {}
    assert cache_headers(client.call("POST", "/rerank", {"query": "a", "documents": []}, **CACHED)) == {}


def test_cache_can_be_cleared(client: Any) -> None:
    """The clear header forgets the stored answer first."""
    body = {"model": "openai/gpt-4o", **BODIES["/responses"]}
    extra: list[dict[str, str]] = [{}, {}, {"X_OpenRouter_Cache_Clear": "true"}, {}]
    found = [cache_headers(client.call("POST", "/responses", body, **CACHED, **more))["status"] for more in extra]
    assert found == ["MISS", "HIT", "MISS", "HIT"]


def test_errors_are_not_cached(client: Any) -> None:
    """Only whole answers are kept."""
    body = {"model": "openai/gpt-4o", **BODIES["/chat/completions"]}
    for name in ("error_in_choice", "rate_limited", "malformed"):
        client.call("POST", "/chat/completions", body, x_simulator_scenario=name, **CACHED)
    answered = client.call("POST", "/chat/completions", body, **CACHED)
    assert cache_headers(answered)["status"] == "MISS"


def test_record_of_a_cache_hit(client: Any) -> None:
    """The record of a hit names its source and costs nothing."""
    body = {"model": "openai/gpt-4o", **BODIES["/embeddings"]}
    source, copy = (client.call("POST", "/embeddings", body, **CACHED).headers["x-generation-id"] for _ in range(2))
    record = look_up(client, copy, 2)[-1].json["data"]
    assert record["response_cache_source_id"] == source
    assert record["total_cost"] == record["native_tokens_prompt"] == 0
    assert record["api_type"] == "embeddings"


def look_up(client: Any, generation_id: str, times: int) -> list[Any]:
    """Ask for a record several times."""
    return [client.call("GET", f"/generation?id={generation_id}") for _ in range(times)]


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("default", [404, 200, 200]),
        ("record_at_once", [200, 200, 200]),
        ("record_late", [404, 404, 404, 404, 404, 200]),
        ("record_never", [404] * 8),
        ("record_rate_limited", [404, 429, 429]),
        ("record_broken", [404, 500, 500]),
        ("record_forbidden", [404, 401, 401]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_when_the_record_appears(client: Any, name: str, statuses: list[int], stream: bool) -> None:
    """The record is missing at first, or for ever."""
    generation_id = client.chat(name, stream=stream).headers["x-generation-id"]
    assert [found.status for found in look_up(client, generation_id, len(statuses))] == statuses


def test_record_by_the_clock(timed: Any, clock: Clock) -> None:
    """The record can also wait for time to pass."""
    timed.simulator.next(Scenario(record_after=0, record_delay=2.5))
    generation_id = timed.chat().headers["x-generation-id"]
    statuses = []
    for step in (0, 2, 1):
        clock.now += step
        statuses.append(look_up(timed, generation_id, 1)[0].status)
    assert statuses == [404, 404, 200]


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith(("byok", "usage", "cost"))])
def test_record_knows_the_money(client: Any, sim: Simulator, name: str) -> None:
    """Whatever the wire said, the record has the truth."""
    generation_id = client.chat(name).headers["x-generation-id"]
    record = look_up(client, generation_id, 2)[-1].json["data"]
    upstream = Decimal(repr(record["upstream_inference_cost"] or 0))
    assert Decimal(repr(record["total_cost"])) + upstream == sim.bill
    assert record["usage"] == record["total_cost"]
    assert record["is_byok"] == name.startswith("byok")


def test_record_fields(client: Any, sim: Simulator) -> None:
    """The record repeats the call, the attempts and the overrides."""
    body = {"model": "openrouter/auto", "session_id": "s1", "user": "u1", "stream": True}
    answered = client.chat("fallback_provider", **body)
    record = look_up(client, answered.headers["x-generation-id"], 2)[-1].json["data"]
    last = answered.events[-1][1]
    assert record["native_tokens_prompt"] == last["usage"]["prompt_tokens"]
    assert record["native_tokens_completion"] == last["usage"]["completion_tokens"]
    assert (record["session_id"], record["external_user"]) == ("s1", "u1")
    assert (record["router"], record["streamed"], record["cancelled"]) == ("openrouter/auto", True, False)
    assert [(item["provider_name"], item["status"]) for item in record["provider_responses"]] == [
        ("Azure", 429),
        ("Amazon Bedrock", 200),
    ]
    sim.next(Scenario(record_after=0, record_overrides={"total_cost": None}))
    generation_id = client.chat().headers["x-generation-id"]
    assert look_up(client, generation_id, 1)[0].json["data"]["total_cost"] is None


def test_record_needs_the_same_key(client: Any) -> None:
    """Another key does not see the generation."""
    generation_id = client.chat("record_at_once").headers["x-generation-id"]
    client.key = "sk-or-v1-other"
    assert look_up(client, generation_id, 1)[0].status == 404
    assert client.call("GET", f"/generation/content?id={generation_id}").status == 404


def test_stored_content(client: Any) -> None:
    """The stored content is the conversation, or the failure."""
    good = client.chat().headers["x-generation-id"]
    data = client.call("GET", f"/generation/content?id={good}").json["data"]
    assert data["input"]["messages"][0]["content"] == "hello there"
    assert data["output"]["completion"].startswith("You said: hello there")
    bad = client.chat("provider_error").headers["x-generation-id"]
    data = client.call("GET", f"/generation/content?id={bad}").json["data"]
    assert (data["output"]["completion"], data["error"]["status"]) == (None, 502)


def test_key_and_credits(client: Any, sim: Simulator) -> None:
    """Budgets follow the bill."""
    sim.account.limit = Decimal(1)
    client.chat("byok")
    budget = client.call("GET", "/key").json["data"]
    assert Decimal(repr(budget["usage"])) == sim.ledger.charged
    assert Decimal(repr(budget["byok_usage"])) + sim.ledger.charged == sim.bill
    assert Decimal(repr(budget["limit_remaining"])) == 1 - sim.ledger.charged
    assert client.call("GET", "/credits").json["data"]["total_usage"] == budget["usage"]
    client.key = "sk-or-v1-other"
    assert client.call("GET", "/key").json["data"]["usage"] == 0
