"""The budgets of the keys in use, as gauges."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from orobserve import _runtime
from orobserve.wire.request import hash_api_key
from tests.enrichment.conftest import KEY

if TYPE_CHECKING:
    from orobserve.key_budget import KeyBudgets
    from tests.enrichment.conftest import Bench

_PATIENCE = 30.0  # seconds of real time before a test gives up
OTHER = "sk-or-v1-fedcba9876543210"


def budgets_of() -> KeyBudgets:
    budgets = _runtime._state["outlets"]._budgets
    assert budgets is not None
    return budgets


def wait_for_round(budgets: KeyBudgets, number: int) -> None:
    with budgets._changed:
        budgets._changed.notify_all()  # time may have moved
        assert budgets._changed.wait_for(lambda: budgets.rounds >= number, _PATIENCE)


def gauge(bench: Bench, name: str) -> dict[tuple[str, str], float]:
    points = bench.telemetry.metrics.get(name, {})
    found = ((dict(labels), point.value) for labels, point in points.items())
    return {(labels["openrouter.key.label"], labels["openrouter.key.period"]): value for labels, value in found}


def test_remaining_limit_and_usage(bench: Bench) -> None:
    bench.sim.account.limit = Decimal(5)
    bench.sim.account.limit_reset = "monthly"
    bench.instrument(key_budget=True, enrichment="never", api_key_labels={hash_api_key(KEY): "search-team"})
    bench.call()
    budgets = budgets_of()
    wait_for_round(budgets, 1)
    spent = float(bench.sim.bill)
    assert gauge(bench, "openrouter.key.limit_remaining") == {("search-team", "monthly"): 5 - spent}
    assert gauge(bench, "openrouter.key.usage") == {
        ("search-team", period): spent for period in ("total", "daily", "weekly", "monthly")
    }
    bench.call()
    assert gauge(bench, "openrouter.key.usage")["search-team", "total"] == spent
    bench.clock._now += 60
    wait_for_round(budgets, 2)
    assert gauge(bench, "openrouter.key.usage")["search-team", "total"] == float(bench.sim.bill) > spent


def test_each_key_in_use_and_never_the_key_itself(bench: Bench) -> None:
    bench.instrument(key_budget=True, enrichment="never")
    bench.call()
    wait_for_round(budgets_of(), 1)
    bench.call(headers={"Authorization": f"Bearer {OTHER}"})
    wait_for_round(budgets_of(), 2)
    labels = {label for label, _ in gauge(bench, "openrouter.key.usage")}
    assert labels == {hash_api_key(KEY)[:8], hash_api_key(OTHER)[:8]}
    assert gauge(bench, "openrouter.key.limit_remaining") == {}  # no limit is set
    for number in range(20):
        bench.call(headers={"Authorization": f"Bearer {OTHER}{number}"})
    assert len(budgets_of()._keys) == 16


def test_what_was_seen_stays_when_nobody_answers(bench: Bench) -> None:
    bench.instrument(key_budget=True, enrichment="never")
    bench.call()
    wait_for_round(budgets_of(), 1)
    before = gauge(bench, "openrouter.key.usage")
    bench.sim.stop()
    bench.clock._now += 60
    wait_for_round(budgets_of(), 2)
    assert gauge(bench, "openrouter.key.usage") == before


def test_off_by_default(bench: Bench) -> None:
    bench.instrument()
    bench.call()
    bench.advance(2)
    assert "openrouter.key.usage" not in bench.telemetry.metrics
    assert not [call for call in bench.sim.calls if call.path.endswith("/key")]
