"""The variables above the panels, for each kind of data source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

from orobserve_exporters.grafana.source import promql, sql, traces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve_exporters.grafana.source.panels import Subject
    from orobserve_exporters.grafana.source.sql import Dialect

DATASOURCE, TRACES = "${datasource}", "${traces}"
_HARMLESS = "/^([^\\\\']*)$/"  # names come from users and models: those that could end a text in SQL are not offered
_QUOTABLE = '/^([^\\\\"]*)$/'  # and in TraceQL
_TEMPO_QUERY, _VALUES = "TempoDatasourceVariableQueryEditor-VariableQuery", 1  # as Grafana's editor writes them
_WORDS = {"model": "Model", "provider": "Provider", "key": "API key", "tag": "Tag"}
_COLUMNS = {
    "model": "coalesce(MODEL, '?')",
    "provider": "coalesce(PROVIDER_NAME, '?')",
    "key": "coalesce(API_KEY_NAME, '?')",
    "tag": "{each:TAGS}",
}
_LABELS = {"model": promql.ASKED, "provider": promql.UPSTREAM, "key": promql.KEY, "tag": promql.TAG}
_HINTS = {
    "model": "With Prometheus and Tempo the model that was asked for, since a failed call has no other.",
    "provider": "The provider that served the call.",
    "key": "Your name for the key, from api_key_labels.",
    "tag": "",
}


def variables(subject: Subject, plugin: str, dialect: Dialect | None) -> Iterator[Any]:
    """Yield builders of a dashboard's variables; `plugin` is the type of its data source."""
    yield _source("datasource", "Data source", plugin)
    if plugin == "tempo":
        for name in ("model", "provider", "key"):
            yield _choice(name, plugin, dialect)
        yield _text("tag", "Tag", ".*", "A regular expression of the list of tags: .*beta.* for one of them.")
        yield _text("dear", "Expensive is", "0.1", "USD of one call.")
        return
    if dialect is None:
        yield _text("tag_label", "Tag label", "openrouter_tag_team", "Of the setting metric_tags: openrouter_tag_NAME.")
    else:
        yield _text("table", "Table", "OPENROUTER_TRACES", "Where the destination writes, with its schema if need be.")
    for name in _WORDS:
        yield _choice(name, plugin, dialect)
    if subject.name == "spend":
        yield _text("budget", "Budget", "100", "USD a month.")
    if any(panel.links for panel in subject.panels) and dialect is not None:
        yield _source("traces", "Traces", "tempo")


def _source(name: str, label: str, plugin: str) -> Any:  # noqa: ANN401 - the SDK's builders
    return build.DatasourceVariable(name).label(label).type(plugin)


def _text(name: str, label: str, default: str, hint: str) -> Any:  # noqa: ANN401
    option = model.VariableOption(text=default, value=default)
    return build.TextBoxVariable(name).label(label).default_value(default).current(option).description(hint)


def _choice(name: str, plugin: str, dialect: Dialect | None) -> Any:  # noqa: ANN401
    query: Any
    if plugin == "tempo":
        query = {"refId": _TEMPO_QUERY, "type": _VALUES, "label": traces.CHOICES[name]}
    elif dialect is None:
        query = {"query": f"label_values({promql.CALLS}, {_LABELS[name]})", "refId": "A"}
    else:
        query = sql.variable(_COLUMNS[name], dialect)
    return (
        build.QueryVariable(name)
        .label(_WORDS[name])
        .description(_HINTS[name])
        .datasource(model.DataSourceRef(type_val=plugin, uid=DATASOURCE))
        .query(query)
        .regex(_HARMLESS if dialect is not None else _QUOTABLE if plugin == "tempo" else "")
        .refresh(model.VariableRefresh.ON_DASHBOARD_LOAD)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*" if dialect is None else sql.ALL)
        .current(model.VariableOption(selected=True, text=["All"], value=["$__all"]))
    )
