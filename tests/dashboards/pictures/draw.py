"""Draws the dashboards of examples/grafana: `tox run -e pictures`. Optional; needs Chromium, Prometheus, node.

The figures are those of the load, asked of a real Prometheus (and ClickHouse's engine for the calls) by the panels' own
queries. Grafana's own React components draw them; the page around them is ours, since no Grafana can be installed here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from tests.dashboards import grafana
from tests.dashboards import load as loads
from tests.dashboards.engines import Prometheus, prometheus
from tests.exporters.clickhouse_server import Engine, clickhouse
from tests.support.deliver import deliver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
INTO = loads.ROOT / "examples" / "grafana"
PROMETHEUS = ("spend", "performance", "cache", "routing", "trust")
_CELL = 36  # pixels of a grid's row, as in app.jsx
_PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="app.css">
<style>body { margin: 0; background: #111217 }</style><div id="root"></div>
<script>window.board = BOARD; window.__grafana_public_path__ = "";</script><script src="app.js"></script>
"""


def view(board: dict[str, Any]) -> grafana.View:
    return grafana.View(board, loads.START - loads.STEP, loads.END, loads.STEP, {"budget": "0.12"})


def _number(text: Any) -> float | None:
    value = float(text)
    return value if value == value else None  # noqa: PLR0124 - NaN


def from_prometheus(server: Prometheus, board: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield each panel with its frames."""
    panels: dict[int, tuple[dict[str, Any], list[tuple[dict[str, Any], list[dict[str, Any]]]]]] = {}
    for panel, target, seen in view(board).targets():
        expression = seen.promql(target["expr"])
        if target.get("instant"):
            found = server.instant(expression, seen.end)
        else:
            found = server.over_time(expression, seen.start, seen.end, seen.step)
        panels.setdefault(panel["id"], (panel, []))[1].append((target, found))
    for panel, asked in panels.values():
        yield panel, [_table(panel, asked)] if panel["type"] == "table" else list(_series(asked))


def _series(asked: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> Iterator[dict[str, Any]]:
    for target, found in asked:
        for one in found:
            name = target["legendFormat"]
            for label in one["metric"]:
                name = name.replace(f"{{{{{label}}}}}", one["metric"][label])
            points = one.get("values") or [one["value"]]
            name = "?" if "{{" in name else name
            yield {
                "fields": [
                    {"name": "time", "type": "time", "values": [at * 1000 for at, _ in points]},
                    {
                        "name": name,
                        "type": "number",
                        "values": [_number(value) for _, value in points],
                        "config": {"displayNameFromDS": name},
                    },
                ]
            }


def _table(panel: dict[str, Any], asked: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> dict[str, Any]:
    """Join the queries of a table by their labels, as its transformations do."""
    titles = panel["transformations"][1]["options"]["renameByName"]
    rows: dict[tuple[tuple[str, str], ...], dict[str, float | None]] = {}
    for target, found in asked:
        for one in found:
            column = titles[f"Value #{target['refId']}"]
            rows.setdefault(tuple(sorted(one["metric"].items())), {})[column] = _number(one["value"][1])
    labels = sorted({label for row in rows for label, _ in row})
    fields = [
        {"name": titles.get(name, name), "type": "string", "values": [dict(row).get(name, "") for row in rows]}
        for name in labels
    ]
    columns = [titles[f"Value #{target['refId']}"] for target, _ in asked]
    fields += [{"name": name, "type": "number", "values": [row.get(name) for row in rows.values()]} for name in columns]
    return {"fields": fields}


def from_clickhouse(engine: Engine, board: dict[str, Any]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """Yield each panel with its frames."""
    for panel, target, seen in view(board).targets():
        rows = engine.query(seen.clickhouse(target["rawSql"]), "JSONEachRow")
        columns = list(rows[0]) if rows else []
        numbers = {name for name in columns if name in {"cost", "spent"}} | {
            name for name in columns if any(isinstance(row[name], (int, float)) for row in rows)
        }
        yield (
            panel,
            [
                {
                    "fields": [
                        {
                            "name": name,
                            "type": "number" if name in numbers else "string",
                            "values": [
                                float(row[name]) if name in numbers and row[name] is not None else row[name]
                                for row in rows
                            ],
                        }
                        for name in columns
                    ]
                }
            ],
        )


def draw(folder: Path, name: str, board: dict[str, Any], panels: list[tuple[dict[str, Any], list[Any]]]) -> None:
    """Write the picture of a dashboard."""
    told = {"title": board["title"], "start": loads.START - loads.STEP, "end": loads.END}
    told["panels"] = [{"panel": panel, "frames": frames} for panel, frames in panels]
    data = json.dumps(told).replace("<", "\\u003c")
    page = folder / f"{name}.html"
    page.write_text(_PAGE.replace("BOARD", data))
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels) * _CELL + 44
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "apt-get install chromium"
    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    command += [f"--user-data-dir={folder / 'profile'}", f"--window-size=1448,{height}", "--virtual-time-budget=4000"]
    command += [f"--screenshot={folder / 'picture.png'}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with Image.open(folder / "picture.png") as picture:  # flat colours: a palette is a quarter of the size
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(INTO / f"{name}.png", optimize=True)


def main() -> None:
    """Draw all of them."""
    loads.FAST |= {"first_delay": 0.18, "chunk_delay": 0.012}
    with tempfile.TemporaryDirectory(prefix="orobserve-pictures-") as name:
        folder = Path(name)
        bundle = [str(HERE / "node_modules" / ".bin" / "esbuild"), str(HERE / "app.jsx"), "--bundle"]
        bundle += [
            f"--outfile={folder / 'app.js'}",
            "--loader:.svg=dataurl",
            "--loader:.ttf=empty",
            "--define:process.env.NODE_ENV='development'",
        ]
        subprocess.run(bundle, check=True, cwd=HERE, timeout=300, capture_output=True)
        load = loads.run(folder)
        with prometheus(folder, load.openmetrics) as server, clickhouse(folder) as engine:
            deliver(engine.exporter("OPENROUTER_TRACES"), load.generations)
            only = sys.argv[1:] or [*PROMETHEUS, "calls"]
            sources: dict[str, tuple[str, Callable[..., Any], Any]] = dict.fromkeys(
                PROMETHEUS, ("prometheus", from_prometheus, server)
            )
            sources["calls"] = ("clickhouse", from_clickhouse, engine)
            for one in only:
                kind, asked, source = sources[one]
                board = grafana.dashboards(kind)[one]
                draw(folder, one, board, list(asked(source, board)))
    print(f"bill of the load: {load.bill} USD")  # noqa: T201 - the picture of Spend shows it


if __name__ == "__main__":
    main()
