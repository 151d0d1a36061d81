"""With another GenAI instrumentation active there is one costed span per call, whoever came first.

Each combination runs in a process of its own (`driver.py`): not all of these packages take their patches off again.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.coexist.cases import CASES

ROOT = Path(__file__).parents[2]
ORDERS = (
    "provider, other, sdks, ours",
    "provider, ours, other, sdks",
    "provider, sdks, other, ours",
    "provider, sdks, ours, other",
)
OURS_BEFORE_ANY_PROVIDER = "ours, provider, other, sdks"
MODES = ("enrich", "span", "off")
AGENT = [name for name in CASES if name.startswith("agent")]
MESSAGES = [name for name in CASES if name.startswith("message")]
DIRECT = [name for name in CASES if name not in AGENT]
FAMILIES = {
    "genai": DIRECT,
    "openinference": DIRECT,
    "traceloop": DIRECT,
    "logfire": DIRECT,
    "native": MESSAGES,
    "pydantic-ai": AGENT,
}
ORDERS_OF = dict.fromkeys(FAMILIES, ORDERS) | {
    "genai": (*ORDERS, OURS_BEFORE_ANY_PROVIDER),
    "logfire": (*ORDERS, OURS_BEFORE_ANY_PROVIDER),
    # Nothing is patched for these two, so that there is less to come first.
    "native": ("provider, ours, sdks", "sdks, provider, ours"),
    "pydantic-ai": ("provider, ours, sdks", "sdks, provider, ours"),
}
# The Anthropic SDK traces itself unless it is told not to: this is what people really run.
WITH_NATIVE = ("genai", "openinference", "traceloop", "logfire")

# Streamed Messages have no inline cost.
UNPRICED = {"message stream", "message helper", "message async helper"}
STREAMED = {name for name in CASES if "stream" in name or "helper" in name}
# Where their span is not current during the call, or is over before the record is there, ours carries it.
OURS = {
    "openinference": {"message helper", "message async helper"},
    "traceloop": {"responses", "responses stream", *MESSAGES},
}
LATE = {"logfire": STREAMED}
COST = "openrouter.cost.total"
GENERATION = "openrouter.generation.id"


@functools.cache
def run(family: str, order: str = "", *, native: bool = False) -> dict[str, Any]:
    """Run a family's cases in a process of its own, once. The first order goes through all modes."""
    first = ORDERS_OF[family][0]
    spec = {
        "family": family,
        "order": order or first,
        "modes": MODES if (order or first) == first and not native else ["enrich"],
        "native": native or family == "native",
        "cases": MESSAGES if native else FAMILIES[family],
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    done = subprocess.run(
        [sys.executable, "-m", "tests.coexist.driver", json.dumps(spec)],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), "OROBSERVE_ENRICHMENT": "never"},  # no record is there to be asked for
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["swallowed"] == {}
    modes: dict[str, Any] = found["modes"]
    return modes


def _spans(seen: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return [span for span in seen["spans"] if key in span["attributes"]]


def _check(seen: dict[str, Any], case: str, *, ours: bool) -> None:
    """Check that one span carries the call: ours or theirs."""
    assert seen["error"] is None
    assert {span["trace"] for span in seen["spans"]} == {seen["trace"]}
    served = {name: bill for name, bill in seen["bills"].items() if bill}
    assert len(served) == 1
    costed = _spans(seen, COST)
    if case in UNPRICED:
        assert not costed
    else:
        assert [span["attributes"][COST] for span in costed] == list(served.values())
    (span,) = [span for span in seen["spans"] if span["attributes"].get(GENERATION) in served]
    assert (span["scope"] == "orobserve") is ours
    assert "error.type" not in span["attributes"], "the call went well in the end"
    assert {span["parent"] for span in seen["spans"]} <= {None, *(span["id"] for span in seen["spans"])}


def _is_ours(family: str, case: str) -> bool:
    return case in OURS.get(family, ()) or case in LATE.get(family, ())


_EVERY = [(family, case) for family, cases in FAMILIES.items() for case in cases if case != "two under one"]


@pytest.mark.parametrize(
    ("family", "case", "order"), [(family, case, order) for family, case in _EVERY for order in ORDERS_OF[family]]
)
def test_the_other_span_is_enriched(family: str, case: str, order: str) -> None:
    seen = run(family, order)["enrich"]["cases"][case]
    _check(seen, case, ours=_is_ours(family, case))


@pytest.mark.parametrize(("family", "case"), _EVERY)
def test_a_span_of_our_own_if_asked(family: str, case: str) -> None:
    seen = run(family)["span"]["cases"][case]
    _check(seen, case, ours=True)
    theirs = [span for span in seen["spans"] if span["scope"] not in {"orobserve", "app"}]
    assert theirs
    assert not [span for span in theirs if GENERATION in span["attributes"]]


@pytest.mark.parametrize(("family", "case"), _EVERY)
def test_nothing_on_spans_if_asked(family: str, case: str) -> None:
    seen = run(family)["off"]["cases"][case]
    if case in OURS.get(family, ()):  # nobody could know that this call has a span already
        _check(seen, case, ours=True)
        return
    assert seen["error"] is None
    assert not _spans(seen, GENERATION)
    assert not _spans(seen, COST)


@pytest.mark.parametrize(("family", "case"), [(family, case) for family in WITH_NATIVE for case in MESSAGES])
def test_beside_the_sdks_own_tracing(family: str, case: str) -> None:
    seen = run(family, native=True)["enrich"]["cases"][case]
    # Logfire keeps that span from being exported unless it is streamed: the cost must not vanish with it.
    assert family == "logfire" or "com.anthropic.sdk.python" in {span["scope"] for span in seen["spans"]}
    assert {span["parent"] for span in seen["spans"]} <= {None, *(span["id"] for span in seen["spans"])}
    carriers = [span for span in _spans(seen, GENERATION) if seen["bills"][span["attributes"][GENERATION]]]
    assert len(carriers) == 1
    assert len(_spans(seen, COST)) == (case not in UNPRICED)


@pytest.mark.parametrize("family", [family for family, cases in FAMILIES.items() if "two under one" in cases])
@pytest.mark.parametrize("mode", MODES)
def test_two_calls_under_one_span_are_two(family: str, mode: str) -> None:
    seen = run(family)[mode]["cases"]["two under one"]
    costs = [span["attributes"][COST] for span in _spans(seen, COST)]
    assert costs == ([] if mode == "off" else list(seen["bills"].values()))
    assert len(seen["bills"]) == 2
    assert {span["trace"] for span in seen["spans"]} == {seen["trace"]}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
def test_money_is_counted_once(family: str, mode: str) -> None:
    found = run(family)[mode]
    bills = [seen["bills"].values() for case, seen in found["cases"].items() if case not in UNPRICED]
    priced = [bill for served in bills for bill in served if bill]
    assert found["metrics"]["cost"] == pytest.approx(sum(priced), rel=1e-9)
    assert found["metrics"]["priced calls"] == len(priced)
    assert found["metrics"]["in flight"] == 0


def test_standard_metrics_are_recorded_by_one() -> None:
    """Who has metrics of their own keeps them; for the others we record."""
    for family in ("openinference", "logfire", "native"):
        found = run(family)["enrich"]
        calls = sum(len(seen["bills"]) for seen in found["cases"].values())
        durations = {key: count for key, count in found["metrics"].items() if key.startswith("durations of")}
        assert durations == {"durations of orobserve": calls}
    recorded = run("genai")["enrich"]["metrics"]
    assert recorded["durations of orobserve"] == 2, "only those of two calls under somebody's span"
    assert recorded["durations of opentelemetry.instrumentation.genai.openai"] > 0
