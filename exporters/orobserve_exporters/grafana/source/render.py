"""Panels as Grafana's JSON, by the official SDK. The only place that knows what a panel looks like there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from grafana_foundation_sdk.builders import common, dashboard, gauge, piechart, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.piechart import PieChartLegendValues
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from orobserve_exporters.grafana.source import promql, sql
from orobserve_exporters.grafana.source.panels import GREEN, Kind
from orobserve_exporters.grafana.source.variables import DATASOURCE, TRACES, variables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve_exporters.grafana.source.panels import Panel, Subject
    from orobserve_exporters.grafana.source.sql import Dialect

_WIDTH = 24
_TITLES = {promql.ASKED: "asked", promql.ANSWERED: "model", promql.UPSTREAM: "provider", promql.KEY: "key"}
_BESIDE = [PieChartLegendValues.VALUE, PieChartLegendValues.PERCENT]
_WIDTHS = {"time": 170, "model": 210, "asked": 210}  # pixels of a table's columns that hold long words
_OVER_TIME = {Kind.LINES, Kind.BARS}
_HOLE = re.compile(r"(\$\{[^}]*\})")


@dataclass(frozen=True, slots=True)
class Backend:
    """A kind of data source: its title, Grafana's id of its plugin, and its SQL, if that is what it speaks."""

    title: str
    plugin: str
    dialect: Dialect | None = None


BACKENDS = {
    "prometheus": Backend("Prometheus", "prometheus"),
    "clickhouse": Backend("ClickHouse", "grafana-clickhouse-datasource", sql.CLICKHOUSE),
    "postgres": Backend("PostgreSQL", "grafana-postgresql-datasource", sql.POSTGRES),
    "tempo": Backend("Tempo", "tempo"),
}


@dataclass(frozen=True)
class _Target:
    """A query of a plugin that the SDK has no builder for."""

    fields: dict[str, Any]

    def build(self) -> _Target:
        return self

    def to_json(self) -> dict[str, Any]:
        return self.fields


def rendered(subject: Subject, name: str) -> str | None:
    """Return the JSON of a subject's dashboard for a kind of data source; None where it has nothing to show."""
    backend = BACKENDS[name]
    panels = [(panel, targets) for panel in subject.panels if (targets := list(_targets(panel, name)))]
    if not panels:
        return None
    board = (
        dashboard.Dashboard(f"OpenRouter {subject.title} ({backend.title})")
        .uid(f"orobserve-{name}-{subject.name}")
        .description(subject.shows)
        .tags(["openrouter", "orobserve", name])
        .timezone("utc")  # OpenRouter's days and months are UTC
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .link(_others(name))
    )
    for variable in variables(subject, backend.plugin, backend.dialect):
        board = board.with_variable(variable)
    x = y = row = 0
    for number, (panel, targets) in enumerate(panels, 1):
        if x + panel.width > _WIDTH:
            x, y, row = 0, y + row, 0
        place = model.GridPos(x=x, y=y, w=panel.width, h=panel.height)
        board = board.with_panel(_panel(panel, backend, targets).id(number).grid_pos(place))
        x, row = x + panel.width, max(row, panel.height)
    found = json.loads(json.dumps(board.build(), cls=JSONEncoder))
    return json.dumps(_of_today(found), indent=1, ensure_ascii=False) + "\n"


def _of_today(board: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard with what the SDK does not know yet, and without what Grafana knows no more."""
    for variable in board["templating"]["list"]:
        for key in ("id", "auto", "auto_min", "auto_count"):
            variable.pop(key, None)
    for panel in board["panels"]:
        if panel["type"] == "table":
            del panel["options"]["footer"]
            panel["fieldConfig"]["defaults"]["custom"] = {"minWidth": 70}  # pixels: more columns than by default
    del board["style"]
    return board


def _others(name: str) -> Any:  # noqa: ANN401 - the SDK's builders
    kind = model.DashboardLinkType.DASHBOARDS
    return dashboard.DashboardLink("OpenRouter").type(kind).tags(["orobserve", name]).keep_time(True).include_vars(True)


def _targets(panel: Panel, name: str) -> Iterator[Any]:
    backend = BACKENDS[name]
    source = {"type": backend.plugin, "uid": DATASOURCE}
    over_time = panel.kind in _OVER_TIME
    if name == "prometheus":
        for place, (legend, expression) in enumerate((panel.promql or {}).items()):
            query = prometheus.Dataquery().ref_id(chr(65 + place)).expr(expression).legend_format(legend)
            query = query.range() if over_time else query.instant()
            yield query.format(PromQueryFormat.TABLE if panel.kind is Kind.TABLE else PromQueryFormat.TIME_SERIES)
    elif backend.dialect is not None and panel.sql:
        statement = {"refId": "A", "datasource": source, "rawSql": sql.spelt(panel.sql, backend.dialect)}
        if name == "clickhouse":
            kind = "timeseries" if over_time else "table"
            yield _Target({**statement, "editorType": "sql", "queryType": kind, "format": 0 if over_time else 1})
        else:
            form: dict[str, Any] = {
                "format": "time_series" if over_time else "table",
                "editorMode": "code",
                "rawQuery": True,
            }
            yield _Target({**statement, **form})
    elif name == "tempo" and panel.traceql:
        asked = {"refId": "A", "datasource": source, "queryType": "traceql", "query": panel.traceql, "limit": 50}
        yield _Target({**asked, **({} if over_time else {"tableType": "spans"})})


def _panel(panel: Panel, backend: Backend, targets: list[Any]) -> Any:  # noqa: ANN401
    made = _drawn(panel, backend)
    made = (
        made.title(panel.title)
        .description(panel.shows)
        .datasource(model.DataSourceRef(type_val=backend.plugin, uid=DATASOURCE))
        .targets(targets)
        .thresholds(_thresholds(panel))
        .no_value("?" if panel.kind in {Kind.STAT, Kind.GAUGE} else "")
        .min(0)
    )
    if panel.kind is not Kind.TABLE:
        made = made.unit(panel.unit)
    if panel.window:
        made = made.time_from(panel.window)
    if panel.decimals is not None:
        made = made.decimals(panel.decimals)
    if panel.most is not None:
        made = made.max(panel.most)
    for column, unit in (panel.units or {}).items():
        made = made.override_by_name(column, [model.DynamicConfigValue(id_val="unit", value=unit)])
    for column, width in _WIDTHS.items() if panel.kind is Kind.TABLE else ():
        made = made.override_by_name(column, [model.DynamicConfigValue(id_val="custom.width", value=width)])
    for column in panel.links:
        link = {"title": "Open the trace", "url": _trace_url(), "targetBlank": True}
        made = made.override_by_name(column, [model.DynamicConfigValue(id_val="links", value=[link])])
    return made


def _drawn(panel: Panel, backend: Backend) -> Any:  # noqa: ANN401
    if panel.kind is Kind.TABLE:
        return _table(panel, backend)
    if panel.kind in _OVER_TIME:
        return _over_time(panel, backend)
    if panel.kind is Kind.SHARES:  # SQL gives a row for each value, Prometheus a series
        legend: Any = piechart.PieChartLegendOptions().show_legend(True).display_mode(looks.LegendDisplayMode.TABLE)
        legend = legend.placement(looks.LegendPlacement.RIGHT).values(_BESIDE)
        reduced = _reduced(is_rows=backend.dialect is not None)
        return piechart.Panel().reduce_options(reduced).legend(legend).tooltip(_tooltip())
    if panel.kind is Kind.GAUGE:
        return gauge.Panel().reduce_options(_reduced())
    coloured = looks.BigValueColorMode.VALUE if panel.steps else looks.BigValueColorMode.NONE
    made: Any = stat.Panel().reduce_options(_reduced()).graph_mode(looks.BigValueGraphMode.NONE)
    return made.color_mode(coloured).text_mode(looks.BigValueTextMode.VALUE)


def _reduced(*, is_rows: bool = False) -> Any:  # noqa: ANN401
    return common.ReduceDataOptions().calcs([] if is_rows else ["lastNotNull"]).values(is_rows).fields("")


def _over_time(panel: Panel, backend: Backend) -> Any:  # noqa: ANN401
    legend = common.VizLegendOptions().show_legend(True).display_mode(looks.LegendDisplayMode.LIST)
    legend = legend.placement(looks.LegendPlacement.BOTTOM).calcs([])
    made: Any = timeseries.Panel().legend(legend).tooltip(_tooltip()).line_width(1)
    if backend.dialect is not None and " AS series" in (panel.sql or ""):
        made = made.display_name("${__field.labels.series}")
    if panel.kind is Kind.BARS:
        stacked = common.StackingConfig().mode(looks.StackingMode.NORMAL)
        return made.draw_style(looks.GraphDrawStyle.BARS).fill_opacity(70).stacking(stacked)
    return made.fill_opacity(5).span_nulls(True).show_points(looks.VisibilityMode.AUTO)


def _table(panel: Panel, backend: Backend) -> Any:  # noqa: ANN401
    made = tables.Panel().show_header(True)
    if backend.plugin != "prometheus":  # SQL sorts by itself
        return made
    first = next(iter(panel.promql or {}))
    made = made.sort_by([common.TableSortByFieldState().display_name(first).desc(True)])
    values = {f"Value #{chr(65 + place)}": column for place, column in enumerate(panel.promql or {})}
    organised = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {**_TITLES, **values}}
    return made.transformations(
        [
            model.DataTransformerConfig(id_val="merge", options={}),
            model.DataTransformerConfig(id_val="organize", options=organised),
        ]
    )


def _tooltip() -> Any:  # noqa: ANN401
    return common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)


def _thresholds(panel: Panel) -> Any:  # noqa: ANN401
    steps = [model.Threshold(value=value, color=colour) for colour, value in panel.steps or ((GREEN, None),)]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _trace_url() -> str:
    query = {"refId": "A", "datasource": {"type": "tempo", "uid": TRACES}, "queryType": "traceql"}
    pane = {
        "datasource": TRACES,
        "queries": [{**query, "query": "${__value.raw}"}],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    parts = _HOLE.split(json.dumps({"trace": pane}, separators=(",", ":")))
    panes = "".join(part if _HOLE.fullmatch(part) else quote(part, safe="") for part in parts)
    return f"/explore?schemaVersion=1&panes={panes}"
