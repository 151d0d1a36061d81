"""Every panel of the ClickHouse and PostgreSQL dashboards, asked of the real engines that the load was delivered to."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve_exporters.postgres import Postgres
from tests.dashboards import figures, grafana
from tests.dashboards import load as loads
from tests.exporters import postgres_server
from tests.support.deliver import deliver
from tests.support.otlp import make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.dashboards.load import Load

BACKENDS = ("clickhouse", "postgres")
CASES = [(backend, name) for backend in BACKENDS for name in sorted(grafana.dashboards(backend))]


@dataclass(frozen=True, slots=True)
class Warehouse:
    """An engine with the load in it."""

    name: str
    rows: Callable[[str], list[dict[str, Any]]]

    def view(self, board: str, **chosen: list[str] | str) -> grafana.View:
        found = grafana.dashboards(self.name)[board]
        return grafana.View(found, loads.START - loads.STEP, loads.END, loads.STEP, chosen)

    def asked(self, statement: str, seen: grafana.View) -> list[dict[str, Any]]:
        return self.rows(getattr(seen, self.name)(statement))

    def panel(self, title: str, seen: grafana.View) -> list[dict[str, Any]]:
        """Return the rows of a panel."""
        ((target, within),) = ((target, within) for panel, target, within in seen.targets() if panel["title"] == title)
        return self.asked(target["rawSql"], within)

    def single(self, title: str, seen: grafana.View) -> Decimal:
        ((found,),) = (row.values() for row in self.panel(title, seen))
        return Decimal(str(found))


def _clickhouse(load: Load, folder: Any) -> Iterator[Warehouse]:
    if importlib.util.find_spec("chdb") is None:
        pytest.skip("no chdb: it is in the tox environments `warehouses` and `dashboards`")
    from tests.exporters.clickhouse_server import clickhouse

    with clickhouse(folder) as engine:
        assert deliver(engine.exporter("OPENROUTER_TRACES"), load.generations).delivered == len(load.generations)
        yield Warehouse("clickhouse", lambda statement: engine.query(statement, "JSONEachRow"))


def _postgres(load: Load) -> Iterator[Warehouse]:
    psycopg = pytest.importorskip("psycopg")
    if postgres_server.programs() is None and "CI" not in os.environ:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    with postgres_server.postgres() as server, psycopg.connect(server.url, autocommit=True) as connection:
        assert deliver(make(Postgres, url=server.url), load.generations).delivered == len(load.generations)

        def rows(statement: str) -> list[dict[str, Any]]:
            found = connection.execute(statement)
            return [dict(zip([column.name for column in found.description], row, strict=True)) for row in found]

        yield Warehouse("postgres", rows)


@pytest.fixture(scope="module")
def warehouses(load: Load, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Warehouse]]:
    made: dict[str, tuple[Iterator[Warehouse], Warehouse]] = {}

    def warehouse(name: str) -> Warehouse:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            source = _clickhouse(load, folder) if name == "clickhouse" else _postgres(load)
            made[name] = (source, next(source))
        return made[name][1]

    yield warehouse
    for source, _ in made.values():
        assert next(source, None) is None


@pytest.fixture(params=BACKENDS)
def warehouse(request: pytest.FixtureRequest, warehouses: Callable[[str], Warehouse]) -> Warehouse:
    return warehouses(request.param)


@pytest.mark.parametrize(("backend", "name"), CASES)
def test_every_panel_shows_something(warehouses: Callable[[str], Warehouse], backend: str, name: str) -> None:
    warehouse, empty = warehouses(backend), []
    for panel, target, seen in warehouse.view(name).targets():
        rows = warehouse.asked(target["rawSql"], seen)
        if not any(value is not None for row in rows for value in row.values()):
            empty.append(panel["title"])
        if panel["type"] == "timeseries":
            times = [row["time"] for row in rows]
            assert times == sorted(times), panel["title"]  # Grafana's rule
    assert not empty


def test_the_sums_are_the_bill(warehouse: Warehouse, load: Load) -> None:
    seen = warehouse.view("spend")
    for title in ("Today", "Last 7 days", "Month to date", "In this range"):
        assert warehouse.single(title, seen) == load.bill
    for title in ("By model", "By provider", "By key", "By user", "Spend by model", "Spend by provider"):
        rows = warehouse.panel(title, seen)
        assert sum(Decimal(str(row["spent"])) for row in rows if row["spent"] is not None) == load.bill, title
    month = (loads.END - 1_793_491_200) / 86_400  # days since the first of November
    assert float(warehouse.single("Projection of the month", seen)) == pytest.approx(float(load.bill) / month * 30)
    used = warehouse.single("Budget used", warehouse.view("spend", budget="0.2"))
    assert float(used) == pytest.approx(float(load.bill) / 0.2)


def test_figures_are_those_of_the_records(warehouse: Warehouse, load: Load) -> None:
    calls = load.generations
    spend = warehouse.view("spend")
    assert warehouse.single("Calls", spend) == len(calls)
    assert warehouse.single("Calls of unknown cost", spend) == figures.unpriced(calls) > 0
    rows = warehouse.panel("By model", spend)
    assert sum(int(row["tokens in"] or 0) for row in rows) == figures.tokens_in(calls)
    by_model = {row["model"]: Decimal(str(row["spent"])) for row in rows if Decimal(str(row["spent"] or 0))}
    assert by_model == figures.by(calls, lambda call: call.model)
    errors: dict[str, int] = {}
    for row in warehouse.panel("Errors by type", warehouse.view("performance")):
        errors[row["series"]] = errors.get(row["series"], 0) + int(row["errors"])
    assert errors == figures.errors(calls)
    assert warehouse.single("Failed attempts", warehouse.view("routing")) == figures.failed_attempts(calls) > 0
    assert warehouse.single("Provider switches", warehouse.view("cache")) == figures.switches(calls) > 0
    assert warehouse.single("Saved by the prompt caches", warehouse.view("cache")) == figures.saved(calls)


def test_what_is_chosen_is_shown_alone(warehouse: Warehouse, load: Load) -> None:
    model = "meta-llama/llama-3.3-70b-instruct"
    llama = [call for call in load.generations if call.model == model and call.provider == "Together"]
    seen = warehouse.view("spend", model=[model], provider=["Together", "Azure"], key=["support"], tag=["support"])
    assert warehouse.single("In this range", seen) == figures.cost(llama)
    assert warehouse.single("Calls", seen) == len(llama) > 0
    assert warehouse.single("Calls", warehouse.view("spend", model=["it's"])) == 0


def test_variables_offer_what_there_is(warehouse: Warehouse, load: Load) -> None:
    seen = warehouse.view("spend")
    found = {}
    for variable in seen.board["templating"]["list"]:
        if variable["type"] == "query":
            always = variable["query"].replace("90", "3650")  # days
            found[variable["name"]] = {row["found"] for row in warehouse.asked(always, seen)}
    assert found == {
        "model": {call.model or call.request.model for call in load.generations},
        "provider": {call.provider or "?" for call in load.generations},
        "key": {"search", "support"},
        "tag": {"search", "support", "prod"},
    }
