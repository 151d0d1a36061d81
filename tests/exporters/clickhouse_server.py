"""ClickHouse's engine behind the tests' front, as a server of its own; tables are told apart by name."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from orobserve_exporters.clickhouse import ClickHouse
from tests.support.otlp import make
from tests.support.programs import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRONT = Path(__file__).parent / "clickhouse_front.py"
USER, PASSWORD = "me", "pass-word-7"


class Engine(Program):
    """The engine behind its front."""

    url: str

    def exporter(self, table: str, **config: Any) -> ClickHouse:
        own = {"host": self.url, "username": USER, "password": PASSWORD, "table": table}
        found: ClickHouse = make(ClickHouse, **own | config)
        return found

    def query(self, query: str, form: str = "JSONCompactEachRow") -> list[Any]:
        """Return the rows of a query; what is no query gives none."""
        asked = {"query": query, "default_format": form, "output_format_json_quote_decimals": "1"}
        headers = {"X-ClickHouse-User": USER, "X-ClickHouse-Key": PASSWORD}
        answer = httpx.post(self.url, params=asked, headers=headers, timeout=60, trust_env=False)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.split("\n") if line]

    def count(self, table: str) -> int:
        ((found,),) = self.query(f"SELECT count() FROM `{table}`")
        return int(found)


@contextmanager
def clickhouse(folder: Path) -> Iterator[Engine]:
    """Run the engine with its data in a folder."""
    (port,) = free_ports(1)
    command = [sys.executable, str(_FRONT), str(port), str(folder / "data"), USER, PASSWORD]
    with Engine(command, folder, {}, "ready") as found:
        found.url = f"http://127.0.0.1:{port}"
        yield found
