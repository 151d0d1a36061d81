"""A Prometheus of Debian's package, filled with samples of the past, and asked for what panels ask."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.programs import Program, free_ports, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Prometheus:
    """A server, by its HTTP interface."""

    def __init__(self, url: str) -> None:
        self.url = url

    def instant(self, expression: str, at: int) -> list[dict[str, Any]]:
        """Return the series of an expression at a moment."""
        return self._ask("query", query=expression, time=at)

    def over_time(self, expression: str, start: int, end: int, step: int) -> list[dict[str, Any]]:
        """Return the series of an expression over time."""
        return self._ask("query_range", query=expression, start=start, end=end, step=step)

    def _ask(self, path: str, **asked: Any) -> list[dict[str, Any]]:
        answer = httpx.post(f"{self.url}/api/v1/{path}", data=asked, timeout=60, trust_env=False)
        assert answer.status_code == 200, (asked, answer.text)
        found = answer.json()["data"]["result"]
        assert isinstance(found, list)
        return found


@contextmanager
def prometheus(folder: Path, openmetrics: str) -> Iterator[Prometheus]:
    """Run a server that has scraped these samples long ago."""
    (folder / "samples.om").write_text(openmetrics)
    (folder / "prometheus.yml").write_text("{}")
    data, promtool, server = folder / "data", program("promtool"), program("prometheus")
    assert promtool
    assert server
    made = [promtool, "tsdb", "create-blocks-from", "openmetrics", str(folder / "samples.om"), str(data)]
    subprocess.run(made, check=True, capture_output=True, timeout=120)
    (port,) = free_ports(1)
    command = [server, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={data}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=100y"]
    with Program(command, folder, {}, "Server is ready to receive web requests"):
        yield Prometheus(f"http://127.0.0.1:{port}")
