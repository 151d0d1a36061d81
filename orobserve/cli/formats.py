"""The formats of an export. Each goes through the calls once and keeps none: memory does not grow with their number."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.cli import selection, table
from orobserve.delivery import privacy
from orobserve.delivery.destination_config import check
from orobserve.delivery.exporter import Verdict
from orobserve.delivery.letters import weigh
from orobserve.delivery.settings import find_exporter
from orobserve.errors import ConfigurationError
from orobserve.ledger import codec, scan
from orobserve.ledger.query import Row
from orobserve.telemetry.console import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orobserve.cli.output import Output
    from orobserve.generation import Generation
    from orobserve.ledger.filters import Filter

Count: TypeAlias = "Callable[[Row], None]"  # told of each call that was exported
Writer: TypeAlias = "Callable[[Source, Output, Count], None]"
_BATCH, _LARGEST = 100, 4_000_000  # calls, and characters of what was said, in a line of OTLP
_ROWS = 10_000  # in a group of Parquet
_SECONDS = ("duration", "first_chunk")  # of a row in nanoseconds
_COLUMNS = tuple(field for field in fields(Row) if field.name != "id")  # which only this file knows a call by


@dataclass(frozen=True, slots=True)
class Source:
    """Which calls are exported, from where, and whether with what was said."""

    path: Path
    wanted: Filter
    content: bool

    def lines(self, count: Count) -> Iterator[str]:
        """Yield whole records as JSON, oldest first; half surrogate pairs are in it as they are."""
        for row, written in scan.written(self.path, self.wanted):
            yield codec.text_of(written if self.content else codec.encode(privacy.strip(codec.decode(written))))
            count(row)

    def records(self, count: Count) -> Iterator[Generation]:
        """Yield whole records, oldest first."""
        return map(codec.decode, self.lines(count))

    def rows(self, count: Count) -> Iterator[dict[str, Any]]:
        """Yield flat rows by column: text, numbers, booleans, tuples, and `Decimal`; times in nanoseconds."""
        for row in scan.rows(self.path, self.wanted):
            yield {field.name: getattr(row, field.name) for field in _COLUMNS}
            count(row)


def _jsonl(source: Source, output: Output, count: Count) -> None:
    for line in source.lines(count):
        output.write(escaped(line) + "\n")


def _csv(source: Source, output: Output, count: Count) -> None:
    def cells(row: Mapping[str, Any]) -> list[Any]:
        plain = {"started_at": selection.utc(row["started_at"]), "tags": json.dumps(row["tags"], ensure_ascii=False)}
        return list({**_seconds(row), **plain}.values())

    table.write_csv(output, [field.name for field in _COLUMNS], map(cells, source.rows(count)))


def _parquet(source: Source, output: Output, count: Count) -> None:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ModuleNotFoundError as error:
        fix = "pip install 'orobserve[parquet]'"
        raise ConfigurationError("--format", "parquet", allowed=f"a Python with {error.name}", fix=fix) from None
    kinds = {
        "int": pa.int64(),
        "str": pa.string(),
        "bool": pa.bool_(),
        "Decimal": pa.decimal128(38, 27),
        "tuple[str, ...]": pa.list_(pa.string()),
    }
    by_column = {field.name: kinds[str(field.type).removesuffix(" | None")] for field in _COLUMNS}
    by_column |= {"started_at": pa.timestamp("ns", tz="UTC"), **dict.fromkeys(_SECONDS, pa.float64())}
    schema = pa.schema(list(by_column.items()))
    rows = source.rows(count)
    with parquet.ParquetWriter(output.file, schema, compression="zstd") as writer:
        while batch := [_seconds(row) for row in islice(rows, _ROWS)]:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))


def _seconds(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, **{name: None if row[name] is None else row[name] / 1e9 for name in _SECONDS}}


def _otlp(source: Source, output: Output, count: Count) -> None:
    """Write what the destination `file` writes: by that destination itself, a batch at a time."""
    kind = find_exporter("file", "--format")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "spans.jsonl"
        exporter: Any = kind(check("--format", {"path": str(lines)}, kind, {}))
        for batch in _batches(source.records(count)):
            result = exporter.export(batch)
            if result.verdict is not Verdict.DELIVERED:
                raise ConfigurationError("--format", "otlp", allowed=f"what can be encoded ({result.reason})", fix="")
            output.write("".join(f"{escaped(line)}\n" for line in lines.read_text("utf-8").split("\n") if line))
            lines.unlink()


def _batches(records: Iterable[Generation]) -> Iterator[list[Generation]]:
    batch: list[Generation] = []
    weight = 0
    for record in records:
        batch.append(record)
        weight += weigh(record)
        if len(batch) >= _BATCH or weight >= _LARGEST:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


FORMATS: dict[str, Writer] = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet, "otlp": _otlp}
