"""The bill is exact, and what the wire says adds up to it."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.testing import SCENARIOS, Scenario, Simulator
from orobserve.testing.pricing import MODELS, Tokens, charge, model_of

if TYPE_CHECKING:
    from collections.abc import Callable

PATHS: dict[str, dict[str, Any]] = {
    "/chat/completions": {"messages": [{"role": "user", "content": "hello there"}]},
    "/completions": {"prompt": "hello there"},
    "/responses": {"input": "hello there"},
    "/messages": {"messages": [{"role": "user", "content": "hello there"}], "max_tokens": 9},
    "/embeddings": {"input": "hello there"},
    "/rerank": {"query": "hello", "documents": ["hello", "there"]},
    "/images": {"prompt": "hello there", "n": 3},
    "/audio/transcriptions": {"input_audio": {"data": "A" * 40_000, "format": "wav"}},
}


def exact(body: bytes) -> Any:
    """Read JSON with its numbers as decimals, as a careful client would."""
    return json.loads(body, parse_float=Decimal, parse_int=Decimal)


@pytest.mark.parametrize("model", [*MODELS, "unlisted/model", "meta-llama/llama-3.3-70b-instruct:free"])
@pytest.mark.parametrize("path", PATHS)
def test_inline_cost_is_the_bill(sim: Simulator, client: Any, path: str, model: str) -> None:
    """The JSON number of the cost is the exact decimal of the bill, for every model and endpoint."""
    answered = client.call("POST", path, {"model": model, **PATHS[path]})
    assert exact(answered.body)["usage"]["cost"] == sim.bill == sim.bill_for(answered.headers["x-generation-id"])
    assert (sim.bill == 0) == (model.endswith(":free") or not _priced(model, path))


def _priced(slug: str, path: str) -> bool:
    """Whether the endpoint uses what the model charges for."""
    model = model_of(slug)
    by_piece = path in {"/rerank", "/images", "/audio/transcriptions"}
    return bool(model.prompt or model.completion or (by_piece and model.unit))


@pytest.mark.parametrize("name", [name for name in SCENARIOS if name.startswith(("byok", "upstream", "prompt_cache"))])
def test_total_is_charged_plus_upstream_when_byok(sim: Simulator, client: Any, name: str) -> None:
    """Only calls on the caller's own provider key add the upstream cost to the bill."""
    usage = exact(client.chat(name).body)["usage"]
    upstream = usage.get("cost_details", {}).get("upstream_inference_cost") or Decimal(0)
    own = name.startswith("byok")
    assert sim.bill == usage["cost"] + (upstream if own else 0)
    assert usage.get("is_byok") == (None if name == "byok_unflagged" else own)
    if name == "byok":
        assert usage["cost"] == upstream * Decimal("0.05") > 0
    elif own:
        assert usage["cost"] == 0 < upstream


def test_prompt_cache_prices() -> None:
    """Cached tokens have their own price and are part of the prompt."""
    tokens = Tokens(prompt=2000, completion=10, cached=1000, cache_write=500)
    bill = charge("anthropic/claude-sonnet-4", tokens)
    assert bill.prompt == Decimal("0.003675")
    assert bill.completion == Decimal("0.00015")


def test_anthropic_counts_exclude_the_cache(sim: Simulator, client: Any) -> None:
    """Messages reports the uncached input only; the other dialects report the sum."""
    sim.next(*[Scenario(prompt_tokens=1000, cached_tokens=600, cache_write_tokens=300)] * 2)
    usage = client.call("POST", "/messages", {"model": "anthropic/claude-sonnet-4", **PATHS["/messages"]}).json["usage"]
    assert (usage["input_tokens"], usage["cache_read_input_tokens"]) == (100, 600)
    assert usage["cache_creation_input_tokens"] == usage["cache_creation"]["ephemeral_5m_input_tokens"] == 300
    assert client.chat().json["usage"]["prompt_tokens"] == 1000


@pytest.mark.parametrize(
    ("name", "cost"),
    [("cost_string", "0.0001575"), ("cost_null", None), ("cost_absent", "-"), ("usage_wrong_types", "0.0001575")],
)
def test_cost_forms(sim: Simulator, client: Any, name: str, cost: str | None) -> None:
    """A cost that is spelled oddly is billed all the same."""
    assert client.chat(name).json["usage"].get("cost", "-") == cost
    assert sim.bill == Decimal("0.0001575")


@pytest.mark.parametrize(("name", "usage"), [("usage_absent", "-"), ("usage_null", None)])
def test_missing_usage(sim: Simulator, client: Any, name: str, usage: str | None) -> None:
    """Usage can be missing altogether."""
    assert client.chat(name).json.get("usage", "-") == usage
    assert sim.bill > 0


def test_streamed_messages_have_no_money(client: Any) -> None:
    """The cost of a streamed Messages call is only in its record."""
    body = {"model": "anthropic/claude-sonnet-4", "stream": True, **PATHS["/messages"]}
    answered = client.call("POST", "/messages", body)
    assert b"cost" not in answered.body
    assert b"is_byok" not in answered.body
    assert [name for name, _ in answered.events][-2:] == ["message_delta", "message_stop"]


@pytest.mark.parametrize("name", ["rate_limited", "midstream_error", "error_in_choice", "html", "reset"])
def test_failures_are_free(sim: Simulator, client: Any, name: str) -> None:
    """What failed is not billed unless the scenario says so."""
    try:
        client.chat(name, stream=name == "midstream_error")
    except ConnectionError:
        client.connection.close()
    assert sim.bill == 0
    sim.next(Scenario(error=SCENARIOS["midstream_error"].error, billing="full"))
    client.chat(stream=True)
    assert sim.bill > 0


def test_presets_are_not_inference(sim: Simulator, client: Any) -> None:
    """Creating a preset looks like an inference call, yet generates and bills nothing."""
    answered = client.call("POST", "/presets/mine/chat/completions", PATHS["/chat/completions"])
    assert answered.status == 200
    assert "x-generation-id" not in answered.headers
    assert sim.bill == 0
    assert sim.inference_calls == []


def test_bill_for_unknown_generation(sim: Simulator) -> None:
    """There is no bill for what was never generated."""
    with pytest.raises(KeyError):
        sim.bill_for("gen-0-none")


def test_many_threads(sim: Simulator, make_client: Callable[[Simulator], Any]) -> None:
    """Thirty-two clients at once get their own generations, and the bill is the sum of what they were told."""
    told: list[tuple[str, Decimal]] = []
    start = threading.Barrier(32)

    def work(number: int) -> None:
        client = make_client(sim)
        start.wait()
        for stream in (True, False):
            answered = client.chat(stream=stream, messages=[{"role": "user", "content": "word " * number}])
            payload = answered.events[-1][1] if stream else answered.json
            told.append((payload["id"], Decimal(repr(payload["usage"]["cost"]))))
            assert payload["id"] == answered.headers["x-generation-id"]
        client.connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(dict(told)) == len(sim.calls) == 64
    assert sum((cost for _, cost in told), Decimal(0)) == sim.bill
    assert all(sim.bill_for(generation_id) == cost for generation_id, cost in told)


def test_same_seed_same_ids(make_client: Callable[[Simulator], Any]) -> None:
    """Ids repeat with the seed and the clock."""

    def first_id(seed: int) -> str:
        with Simulator(seed=seed, clock=lambda: 1_700_000_000.0) as simulator:
            client = make_client(simulator)
            client.chat()
            client.connection.close()
            return simulator.calls[0].generation_id

    assert first_id(3) == first_id(3) != first_id(4)
    assert first_id(3).startswith("gen-1700000000-")
