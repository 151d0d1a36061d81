"""Every panel of the Prometheus dashboards, asked of a real Prometheus that has scraped the load."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import pytest

from orobserve_exporters.grafana.source import promql
from tests.dashboards import figures, grafana
from tests.dashboards import load as loads
from tests.dashboards.engines import Prometheus, prometheus
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.dashboards.load import Load

pytestmark = pytest.mark.skipif(
    program("prometheus") is None and "CI" not in os.environ, reason="no Prometheus: apt-get install prometheus"
)
BOARDS = grafana.dashboards("prometheus")


@pytest.fixture(scope="module")
def server(load: Load, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with prometheus(tmp_path_factory.mktemp("prometheus"), load.openmetrics) as found:
        yield found


def view(name: str, **chosen: list[str] | str) -> grafana.View:
    return grafana.View(BOARDS[name], loads.START - loads.STEP, loads.END, loads.STEP, chosen)


def asked(server: Prometheus, target: dict[str, Any], seen: grafana.View) -> list[dict[str, Any]]:
    """Return the series of a query, each with one value or all of them."""
    expression = seen.promql(target["expr"])
    if target.get("instant"):
        return server.instant(expression, seen.end)
    return server.over_time(expression, seen.start, seen.end, seen.step)


def values(series: dict[str, Any]) -> list[float]:
    return [float(value) for _, value in ([series["value"]] if "value" in series else series["values"])]


def shown(server: Prometheus, seen: grafana.View, title: str, query: int = 0) -> dict[str, float]:
    """Return the figures of a panel by the values of their labels; over time their sums."""
    _, target, within = [each for each in seen.targets() if each[0]["title"] == title][query]
    return {", ".join(one["metric"].values()): sum(values(one)) for one in asked(server, target, within)}


def single(server: Prometheus, seen: grafana.View, title: str) -> float:
    return shown(server, seen, title)[""]


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_shows_something(server: Prometheus, name: str) -> None:
    empty = []
    for panel, target, seen in view(name).targets():
        found = asked(server, target, seen)
        if not any(not math.isnan(value) for series in found for value in values(series)):
            empty.append((panel["title"], seen.promql(target["expr"])))
    assert not empty


def test_the_sums_are_the_bill(server: Prometheus, load: Load) -> None:
    seen, bill = view("spend"), float(load.bill)
    for title in ("Today", "Last 7 days", "Month to date", "In this range"):
        assert single(server, seen, title) == pytest.approx(bill, rel=1e-12)
    for title in ("By model", "By provider", "By key", "Spend by model", "Spend by provider"):
        assert sum(shown(server, seen, title).values()) == pytest.approx(bill, rel=1e-12), title
    month = (loads.END - 1_793_491_200) / 86_400  # days since the first of November
    assert single(server, seen, "Projection of the month") == pytest.approx(bill / month * 30)
    assert single(server, view("spend", budget="0.2"), "Budget used") == pytest.approx(bill / 0.2)


def test_figures_are_those_of_the_records(server: Prometheus, load: Load) -> None:
    calls = load.generations
    spend = view("spend")
    assert single(server, spend, "Calls") == len(calls)
    assert single(server, spend, "Calls of unknown cost") == figures.unpriced(calls) > 0
    assert sum(shown(server, spend, "By model", 2).values()) == figures.tokens_in(calls)
    by_model = {name or "": float(total) for name, total in figures.by(calls, lambda call: call.model).items()}
    assert shown(server, spend, "By model") == pytest.approx(by_model)
    by_key = {name or "": float(total) for name, total in figures.by(calls, lambda c: c.request.api_key_name).items()}
    assert shown(server, spend, "By key") == pytest.approx(by_key)
    assert shown(server, spend, "By tag") == pytest.approx(by_key)  # the load's teams have a key each
    assert shown(server, view("performance"), "Errors by type") == figures.errors(calls)
    assert single(server, view("routing"), "Failed attempts") == figures.failed_attempts(calls) > 0
    assert single(server, view("cache"), "Provider switches") == figures.switches(calls) > 0
    assert single(server, view("cache"), "Saved by the prompt caches") == pytest.approx(float(figures.saved(calls)))


def test_what_is_chosen_is_shown_alone(server: Prometheus, load: Load) -> None:
    model = "meta-llama/llama-3.3-70b-instruct"
    llama = [call for call in load.generations if call.model == model and call.provider == "Together"]
    seen = view("spend", model=[model], provider=["Together", "Azure"], key=["support"])
    assert single(server, seen, "In this range") == pytest.approx(float(figures.cost(llama)))
    assert single(server, seen, "Calls") == len(llama) > 0


def test_names_that_are_chosen_are_names_and_not_patterns(server: Prometheus) -> None:
    assert single(server, view("spend", model=["openai/gpt.4o"]), "Calls") == 0


def test_expressions_are_promql() -> None:
    parser = pytest.importorskip("promql_parser", reason="no promql-parser: it is in the tox environment `dashboards`")
    for name in BOARDS:
        for _, target, seen in view(name).targets():
            parser.parse(seen.promql(target["expr"]))


def test_processes_that_begin_and_end_within_the_range_are_counted(tmp_path: Path) -> None:
    """By the minute, what a process's counter says; one that begins anew at the same address starts at nothing."""
    minutes, start = 120, loads.START
    told: dict[str, Callable[[int], float | None]] = {
        "steady": lambda at: 5 + at * 0.01,
        "gone within": lambda at: 2 + at * 0.02 if at < 30 else None,
        "gone before": lambda at: 9.0 if at < -30 else None,
        "new": lambda at: 0.25 + at * 0.01 if at >= 40 else None,
        "anew at the edge": lambda at: 0.1 if at <= 0 else 0.01 + at * 0.01,  # and then beyond what it was before
        "anew within": lambda at: 3 + at * 0.01 if at < 60 else (at - 60) * 0.03,
    }
    lines = [
        f'openrouter_client_cost_USD_total{{job="app",instance="{name}"}} {value} {start + at * 60 - 30}'
        for name, value_at in told.items()
        for at in range(-60, minutes + 1)
        if (value := value_at(at)) is not None
    ]
    seen = grafana.View(BOARDS["spend"], start, start + minutes * 60)
    with prometheus(tmp_path, "\n".join([*lines, "# EOF", ""])) as server:
        spent = server.instant(seen.promql(promql.grown(promql.COST)), seen.end)
        assert single(server, seen, "In this range") == pytest.approx(6.84, rel=0.01)
    found = {one["metric"]["instance"]: float(one["value"][1]) for one in spent}
    assert found.pop("anew within") == pytest.approx(2.4, rel=0.02)  # increase() extrapolates
    assert found == pytest.approx({"steady": 1.2, "gone within": 0.58, "new": 1.45, "anew at the edge": 1.21})
