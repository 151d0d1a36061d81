"""`orobserve export`: what comes out is what is in the ledger, to the last digit."""

from __future__ import annotations

import csv
import io
import json
import stat
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli import formats
from orobserve.cli.main import main
from orobserve.delivery import privacy
from orobserve.ledger import codec
from orobserve.ledger.query import Reader
from tests.cli.screens import as_json, hostile, run
from tests.exporters.generations import SAMPLES
from tests.ledger.records import call, exact, priced, stored

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.generation import Generation

ASKED = "Summarise the report."
COSTS = [0.1, 0.2, 0.00014250000000000002, 1.6e-07, 0.30000000000000004, 999.999, 3e-15, -0.25, 0.0, None]


@pytest.fixture
def calls(ledger_path: Path) -> list[Generation]:
    """Fill the ledger; returns its records, in the order of an export."""
    stored(ledger_path, [*(priced(number, cost) for number, cost in enumerate(COSTS)), *SAMPLES.values()])
    with Reader(ledger_path) as reader:
        return list(reader.records())


@pytest.fixture
def total(calls: list[Generation]) -> Decimal:
    return exact(each.cost.total for each in calls if each.cost is not None and each.cost.total is not None)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_json_lines_are_the_records(calls: list[Generation], capsys: pytest.CaptureFixture[str]) -> None:
    found = [codec.decode(line) for line in run(capsys, "export").splitlines()]
    assert found == calls


def test_csv_adds_up_to_what_the_report_says(
    calls: list[Generation], total: Decimal, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows(run(capsys, "export", "--format", "csv"))
    assert sum(Decimal(row["cost"]) for row in found if row["cost"]) == total
    reported = rows(run(capsys, "report", "--by", "user", "--since", "2020-01-01", "--csv"))
    assert sum(Decimal(row["cost"]) for row in reported if row["cost"]) == total
    assert sum(int(row["input_tokens"] or 0) for row in found) == sum(int(row["input_tokens"]) for row in reported)
    assert [row["generation_id"] for row in found] == [each.id or "" for each in calls]


def test_parquet_adds_up_too(
    calls: list[Generation], total: Decimal, ledger_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run(capsys, "export", "--format", "parquet", "-o", "calls.parquet")
    table = parquet.read_table(ledger_path.parent / "calls.parquet")
    found = table.drop_columns("started_at").to_pylist()  # whose nanoseconds want pandas
    assert sum(row["cost"] for row in found if row["cost"] is not None) == total
    assert str(table.schema.field("started_at").type) == "timestamp[ns, tz=UTC]"
    assert [value.value for value in table["started_at"]] == [each.timing.started_at for each in calls]
    assert {str(table.schema.field(name).type) for name in ("cost", "cache_saving")} == {"decimal128(38, 27)"}
    assert [row["duration"] for row in found] == [each.timing.duration for each in calls]


def test_parquet_where_it_is_not_installed(
    calls: list[Generation], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    error = run(capsys, "export", "--format", "parquet", "-o", "calls.parquet", status=2)
    assert "pip install 'orobserve[parquet]'" in error


def test_otlp_is_what_the_destination_writes(
    calls: list[Generation], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_BATCH", 5)
    lines = [json.loads(line) for line in run(capsys, "export", "--format", "otlp").splitlines()]
    assert len(lines) > 2
    scopes: list[Any] = [scope for line in lines for each in line["resourceSpans"] for scope in each["scopeSpans"]]
    spans = [span for scope in scopes for span in scope["spans"]]
    assert {each.span_id for each in calls} <= {span["spanId"] for span in spans}
    _parse(lines)


def _parse(lines: list[Any]) -> None:
    """Have the protocol's own classes read it, where they are."""
    json_format = pytest.importorskip("google.protobuf.json_format")
    service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    for line in lines:
        json_format.ParseDict(line, service.ExportTraceServiceRequest())


@pytest.mark.parametrize("format_", ["jsonl", "otlp"])
def test_without_content(format_: str, calls: list[Generation], capsys: pytest.CaptureFixture[str]) -> None:
    assert ASKED in run(capsys, "export", "--format", format_)
    without = run(capsys, "export", "--format", format_, "--no-content")
    assert ASKED not in without
    if format_ == "jsonl":
        assert [codec.decode(line) for line in without.splitlines()] == list(map(privacy.strip, calls))


def test_a_file_is_whole_and_ones_own(
    calls: list[Generation], ledger_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ledger_path.parent / "calls.jsonl"
    run(capsys, "export", "-o", str(target))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    whole = target.read_text()
    assert len(whole.splitlines()) == len(calls)
    assert "--force" in run(capsys, "export", "-o", str(target), status=2)

    def fail(_record: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(formats, "escaped", fail)
        run(capsys, "export", "-o", str(target), "--force", status=130)
    assert target.read_text() == whole
    run(capsys, "export", "-o", str(target), "--force", "--user", "u-2")
    assert 0 < len(target.read_text().splitlines()) < len(calls)
    assert {path.name for path in ledger_path.parent.iterdir()} - {"calls.jsonl"} == {
        path.name for path in ledger_path.parent.glob("ledger.db*")
    }


@pytest.mark.parametrize("output", [".", "no/such/folder/file"])
def test_where_nothing_can_be_written(output: str, calls: list[Generation], capsys: pytest.CaptureFixture[str]) -> None:
    assert "--output" in run(capsys, "export", "-o", output, status=2)


def test_the_summary(calls: list[Generation], total: Decimal, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "--json"]) == 0
    said = json.loads(capsys.readouterr().err)
    assert (said["calls"], said["cost"]) == (len(calls), float(total))
    reported = as_json(capsys, "report", "--since", "2020-01-01")["total"]
    assert (said["calls"], said["unpriced"]) == (reported["calls"], reported["unpriced"])


@pytest.mark.parametrize("format_", ["jsonl", "csv", "otlp"])
def test_hostile_content(format_: str, ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(ledger_path, [hostile(1), call(2)])
    with Reader(ledger_path) as reader:
        records = list(reader.records())
    found = run(capsys, "export", "--format", format_)
    if format_ == "jsonl":
        assert [codec.decode(line) for line in found.splitlines()] == records
    if format_ == "csv":
        assert [row["generation_id"] for row in rows(found)] == ["gen-1", "gen-2"]
