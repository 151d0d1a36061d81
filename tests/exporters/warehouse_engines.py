"""Engines that run the SQL of a warehouse, started for the tests of one module: fakesnow, and bqemulator.

Both run on DuckDB and speak the warehouse's dialect and its client's protocol. They come from packages that only the
environments `snowflake` and `bigquery` have.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx

from tests.exporters.warehouse_calls import moment
from tests.support.programs import Program, free_ports, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROJECT = "my-gcp-project"
_UP = "Uvicorn running on"
_SPATIAL = "from duckdb_extensions import import_extension; import_extension('spatial')"


class Snowflake:
    """fakesnow's server, asked by Snowflake's own connector."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def ask(self, statement: str, *bindings: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a statement and return the names of its columns, and its rows; raises the connector's errors."""
        with self._lock, self._connection.cursor() as cursor:
            cursor.execute(statement, bindings or None)
            return [column[0] for column in cursor.description], cursor.fetchall()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of an answer."""
        return self.ask(statement)[1]


@contextmanager
def snowflake(folder: Path, database: str, schema: str) -> Iterator[Snowflake]:
    """Run fakesnow; its one connection takes bindings as the SQL API does."""
    (port,) = free_ports(1)
    connector = importlib.import_module("snowflake.connector")
    command = [program("fakesnow") or "", "-s", "-p", str(port)]
    with Program(command, folder, {"PYTHONWARNINGS": "ignore"}, _UP):
        connection = connector.connect(
            host="127.0.0.1",
            port=port,
            protocol="http",
            account="fakesnow",
            user="tests",
            authenticator="PROGRAMMATIC_ACCESS_TOKEN",
            token="any",
            database=database,
            schema=schema,
            paramstyle="qmark",
            session_parameters={"CLIENT_TELEMETRY_ENABLED": False},
        )
        try:
            yield Snowflake(connection)
        finally:
            connection.close()


class BigQuery:
    """bqemulator, asked over BigQuery's REST API, with one dataset."""

    def __init__(self, address: str, dataset: str) -> None:
        self.address = address
        reference = {"projectId": PROJECT, "datasetId": dataset}
        self._post("datasets", {"datasetReference": reference})

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of an answer, each value by the type of its column."""
        said = self._post("queries", {"query": query, "useLegacySql": False, "timeoutMs": 60_000})
        assert said["jobComplete"]
        kinds = [field["type"] for field in said.get("schema", {}).get("fields", ())]
        return [
            tuple(_value(cell["v"], kind) for cell, kind in zip(row["f"], kinds, strict=True))
            for row in said.get("rows", ())
        ]

    def _post(self, path: str, said: Any) -> Any:
        url = f"{self.address}/bigquery/v2/projects/{PROJECT}/{path}"
        return httpx.post(url, json=said, timeout=60, trust_env=False).raise_for_status().json()


def _value(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "TIMESTAMP":
        return moment(round(Decimal(value) * (1000 if Decimal(value) > 10**12 else 10**9)))
    if kind in {"FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"}:
        return exact(float(value))
    return {"INTEGER": int, "INT64": int, "DATE": date.fromisoformat}.get(kind, str)(value)


def exact(value: Any) -> Any:
    """Return a number to ten places, as a decimal: engines add up costs as floats."""
    return Decimal(str(round(value, 10))).normalize() if isinstance(value, (float, Decimal)) else value


@contextmanager
def bigquery(folder: Path, dataset: str) -> Iterator[BigQuery]:
    """Run bqemulator."""
    rest, grpc = free_ports(2)
    # It wants a DuckDB extension, which it would download. This one comes from a package, and goes to HOME.
    subprocess.run([sys.executable, "-c", _SPATIAL], env={"HOME": str(folder)}, check=True, timeout=60)
    command = [program("bqemulator") or "", "start", "--rest-port", str(rest), "--grpc-port", str(grpc)]
    with Program([*command, "--project", PROJECT], folder, {}, _UP):
        yield BigQuery(f"http://127.0.0.1:{rest}", dataset)
