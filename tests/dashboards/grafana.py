"""What Grafana makes of a panel's query before an engine sees it: variables, and the macros of its plugins.

Written after the plugins' sources: `grafana/clickhouse-datasource` (`pkg/macros/macros.go`), and Grafana's own
`grafana-postgresql-datasource` (`macros.go`) and templating.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import orobserve_exporters.grafana as package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = files(package)
SCRAPE = 60  # seconds
_VARIABLE = re.compile(r"\$\{(\w+)(?::(\w+))?\}|\$(\w+)")
_CLICKHOUSE = re.compile(r"\$__(timeFilter|timeInterval|fromTime|toTime|interval_s)\b(?:\(([^)]*)\))?")
_POSTGRES = re.compile(r"\$([_a-zA-Z0-9]+)\(([^)]*)\)")


def dashboards(backend: str) -> dict[str, dict[str, Any]]:
    """Return the shipped dashboards of a backend by the name of their file."""
    folder = FOLDER / "dashboards" / backend
    return {item.name.removesuffix(".json"): json.loads(item.read_text()) for item in folder.iterdir()}


@dataclass(frozen=True, slots=True)
class View:
    """A dashboard as somebody looks at it: from when to when, and what he has chosen."""

    board: Mapping[str, Any]
    start: int
    end: int
    step: int = 300
    chosen: Mapping[str, list[str] | str] = field(default_factory=dict)

    def targets(self) -> Iterator[tuple[dict[str, Any], dict[str, Any], View]]:
        """Yield every query with its panel, and the view with the panel's own time range."""
        for panel in self.board["panels"]:
            for target in panel["targets"]:
                yield panel, target, self.within(panel.get("timeFrom"))

    def within(self, window: str | None) -> View:
        """Return the view with the time range that a panel has of its own."""
        now = datetime.fromtimestamp(self.end, timezone.utc)
        midnight = now.replace(hour=0, minute=0, second=0)
        starts = {None: self.start, "now/d": midnight.timestamp(), "now/M": midnight.replace(day=1).timestamp()}
        starts["7d"] = self.end - 7 * 86_400
        return View(self.board, int(starts[window]), self.end, self.step, self.chosen)

    def promql(self, expression: str) -> str:
        """Return an expression of a panel as Prometheus gets it."""
        rate = max(self.step + SCRAPE, 4 * SCRAPE)
        return self._filled(expression, {"__rate_interval": f"{rate}s"})

    def clickhouse(self, statement: str) -> str:
        """Return a panel's statement as ClickHouse gets it."""

        def expanded(match: re.Match[str]) -> str:
            start, end, column = f"toDateTime({self.start})", f"toDateTime({self.end})", match[2]
            return {
                "timeFilter": f"{column} >= {start} AND {column} <= {end}",
                "timeInterval": f"toStartOfInterval(toDateTime({column}), INTERVAL {self.step} second)",
                "fromTime": start,
                "toTime": end,
                "interval_s": str(self.step),
            }[match[1]]

        return _CLICKHOUSE.sub(expanded, self._filled(statement))

    def postgres(self, statement: str) -> str:
        """Return a panel's statement as PostgreSQL gets it."""
        start, end = (
            datetime.fromtimestamp(at, timezone.utc).isoformat().replace("+00:00", "Z") for at in (self.start, self.end)
        )

        def expanded(match: re.Match[str]) -> str:
            column, *rest = (part.strip() for part in match[2].split(","))
            if match[1] == "__timeFilter":
                return f"{column} BETWEEN '{start}' AND '{end}'"
            if match[1] == "__timeGroup":
                step = int(rest[0].removesuffix("s"))
                return f"floor(extract(epoch from {column})/{step})*{step}"
            return {"__timeFrom": f"'{start}'", "__timeTo": f"'{end}'"}[match[1]]

        return _POSTGRES.sub(expanded, self._filled(statement))

    def _filled(self, query: str, more: Mapping[str, str] | None = None) -> str:
        span = self.end - self.start
        fixed = {"__range": f"{span}s", "__range_s": str(span), "__interval": f"{self.step}s", **(more or {})}
        fixed["__interval_ms"] = str(self.step * 1000)
        listed = {variable["name"]: variable for variable in self.board["templating"]["list"]}

        def filled(match: re.Match[str]) -> str:
            name, form = match[1] or match[3], match[2]
            if name in fixed:
                return fixed[name]
            if name not in listed:
                return match[0]  # a macro
            return self._value(listed[name], form)

        return _VARIABLE.sub(filled, query)

    def _value(self, variable: Mapping[str, Any], form: str | None) -> str:
        chosen = self.chosen.get(variable["name"])
        if variable["type"] == "textbox":
            return str(chosen or variable["query"])
        if chosen is None:
            return str(variable["allValue"])  # which Grafana does not format
        if form == "sqlstring":
            return ",".join("'" + one.replace("'", "''") + "'" for one in chosen)
        escaped = [re.sub(r"([\\^$*+?.()|\[\]{}])", r"\\\\\1", one) for one in chosen]
        return escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
