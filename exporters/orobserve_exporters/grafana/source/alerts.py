"""Alert rules, said once: for Prometheus and Mimir to load, and for Grafana to provision or to be told by its API."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from orobserve_exporters.grafana.source import promql as p
from orobserve_exporters.grafana.source.variables import DATASOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

_GROUP, _FOLDER, _EVERY = "orobserve", "OpenRouter", 60  # seconds
_SOURCE = "prometheus"  # uid of the data source in provisioning files, where none can be chosen by name
_BACK = 600  # seconds; Grafana wants a range with an instant query too
_MODEL, _UPSTREAM = f"{{{{ $labels.{p.ANSWERED} }}}}", f"{{{{ $labels.{p.UPSTREAM} }}}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One rule: it fires where the expression's value is above the limit for so long.

    Args:
        name: in Prometheus' spelling.
        summary: one line; `{value}` and `{percent}` stand for the value.
        why: what it means and what to do.
        expression: without the comparison.
        limit: a number that everyone should set for himself.
        lasting: minutes.
        severity: a label.
    """

    name: str
    summary: str
    why: str
    expression: str
    limit: float
    lasting: int = 0
    severity: str = "warning"


def _spent(window: str, by: str = "") -> str:
    return p.total(p.COST, by, window, wanted="")


def _usual_hour() -> str:
    """Return the day's average hour by model, or the dearest around this time yesterday: a nightly job is no spike."""
    average = f"{_spent('1d', p.ANSWERED)} / 24"
    hours = f"sum by ({p.ANSWERED}) (increase({p.COST}[1h]))"
    yesterday = f"max_over_time(({hours})[2h:10m] offset 23h)"
    return f"{average} > {yesterday} or {yesterday} or {average}"


def _cache_rate(window: str) -> str:
    return f"({p.total(p.DETAILS, p.ANSWERED, window, wanted=_CACHED)} or 0 * {_given(window)}) / {_given(window)}"


def _given(window: str) -> str:
    return p.total(p.TOKENS, p.ANSWERED, window, wanted=f'{p.TOKEN_TYPE}="input"')


def _seen(labels: str) -> str:
    """Return what there was in the week before the last hour; a series is there as long as its process lives."""
    return f'count by ({labels}) (count_over_time({p.CALLS}{{{p.UPSTREAM}!=""}}[7d:30m] offset 1h))'


_CACHED = f'{p.TOKEN_KIND}="cache_read"'
_PAIR = f"{p.ANSWERED}, {p.UPSTREAM}"
_HOUR, _SIX_HOURS = f"{_spent('1h')} * 720", f"{_spent('6h')} * 120"
_FAILED = p.total(p.CALLS, "", "15m", wanted=f'{p.ERROR}!=""')

ALERTS = (
    Alert(
        name="OpenRouterDailyCap",
        summary="OpenRouter has cost {value} USD in the last 24 hours",
        why="That is above the daily cap. The dashboard Spend shows the model, key and tag.",
        expression=_spent("1d"),
        limit=20,
        severity="critical",
    ),
    Alert(
        name="OpenRouterBurnRate",
        summary="At the present pace a month of OpenRouter costs {value} USD",
        why="The last hour and the last six hours were both as dear as that: the smaller of the two paces is above the"
        " limit, which should be about twice the month's budget. The dashboard Spend shows the model, key and"
        " tag.",
        expression=f"({_HOUR} < {_SIX_HOURS} or {_SIX_HOURS})",
        limit=200,
        lasting=5,
    ),
    Alert(
        name="OpenRouterSpendSpike",
        summary=f"{_MODEL} costs {{value}} times as much as in a usual hour",
        why="The model's last hour is so much dearer than its average hour of the day, and than the same hour of the"
        " day before, and cost more than a dollar. The dashboard Spend shows the key and tag.",
        expression=(
            f"({_spent('1h', p.ANSWERED)} > 1) / ({_usual_hour()})"
            f" and on ({p.ANSWERED}) count by ({p.ANSWERED}) (last_over_time({p.COST}[1h] offset 12h))"
        ),
        limit=5,
        lasting=5,
    ),
    Alert(
        name="OpenRouterUnpricedCalls",
        summary="The cost of {value} more calls is not known",
        why="They did not fail, and OpenRouter has not said what they cost, so that sums are too small. The dashboard"
        " Trust shows what became of their records.",
        expression=p.changed(p.UNPRICED, "", "1h", wanted=""),
        limit=0,
        lasting=15,
    ),
    Alert(
        name="OpenRouterCacheRateDrop",
        summary=f"The prompt cache rate of {_MODEL} is {{percent}} lower than over the day",
        why="The prompt's beginning has changed, or another provider serves: the cache is cold. See Cache.",
        expression=f"{_cache_rate('1d')} - {_cache_rate('1h')} and on ({p.ANSWERED}) ({_given('1h')} > 10000)",
        limit=0.3,
        lasting=15,
    ),
    Alert(
        name="OpenRouterProviderChange",
        summary=f"{_UPSTREAM} now serves {_MODEL}: {{value}} calls",
        why="It had not in the week before, when others did. Prices, speed, caches and data policies may differ:"
        " provider.order or provider.only in the request say who may. See Routing.",
        expression=(
            f"{p.total(p.CALLS, _PAIR, '1h', wanted=f'{p.UPSTREAM}!=' + chr(34) * 2)}"
            f" unless on ({_PAIR}) {_seen(_PAIR)} and on ({p.ANSWERED}) {_seen(p.ANSWERED)}"
        ),
        limit=0,
        severity="info",
    ),
    Alert(
        name="OpenRouterErrorRate",
        summary="{percent} of the OpenRouter calls fail",
        why="Of at least ten calls in a quarter of an hour. The dashboard Performance shows the types of the errors.",
        expression=f"{_FAILED} / ({p.total(p.CALLS, '', '15m', wanted='')} >= 10)",
        limit=0.1,
        lasting=5,
    ),
    Alert(
        name="OrobserveDeliveryStuck",
        summary="{value} records wait for {{ $labels.destination }}, and none is taken",
        why="`orobserve test` says what is wrong with a destination. The oldest records will be lost when the queue is"
        " full.",
        expression=(
            f"sum by (destination) ({p.QUEUED}) unless on (destination)"
            f" ({p.total(p.DELIVERED, 'destination', '15m', wanted='')} > 0)"
        ),
        limit=0,
        lasting=15,
    ),
)


def files() -> Iterator[tuple[str, str]]:
    """Yield the path of every file and what is in it."""
    head = "# Alert rules of orobserve. The limits are examples: set your own at the end of each expression.\n"
    rules = [_for_prometheus(alert) for alert in ALERTS]
    yield "alerts/prometheus.yaml", head + _yaml({"groups": [{"name": _GROUP, "rules": rules}]})
    head = f"# Alert rules of orobserve, for Grafana's provisioning. The data source's uid is {_SOURCE!r}; the limits\n"
    head += "# are examples: set your own in the parameters of each evaluator.\n"
    group = {"orgId": 1, "name": _GROUP, "folder": _FOLDER, "interval": f"{_EVERY}s"}
    told = [_for_grafana(alert, _SOURCE) for alert in ALERTS]
    yield "alerts/grafana.yaml", head + _yaml({"apiVersion": 1, "groups": [{**group, "rules": told}]})
    told = [_for_grafana(alert, DATASOURCE) for alert in ALERTS]
    told_to_api = {"title": _GROUP, "interval": _EVERY, "rules": told}
    yield "alerts/api.json", json.dumps(told_to_api, indent=2) + "\n"


def _yaml(value: Any) -> str:  # noqa: ANN401 - of any kind
    return str(yaml.safe_dump(value, sort_keys=False, width=1000, allow_unicode=True))


def _for_prometheus(alert: Alert) -> dict[str, Any]:
    value = {"{value}": "{{ $value | humanize }}", "{percent}": "{{ $value | humanizePercentage }}"}
    return {
        "alert": alert.name,
        "expr": f"({alert.expression}) > {alert.limit:g}",
        "for": f"{alert.lasting}m" if alert.lasting else "0s",  # as Grafana spells it
        "labels": {"severity": alert.severity},
        "annotations": _annotations(alert, value),
    }


def _annotations(alert: Alert, values: dict[str, str]) -> dict[str, str]:
    summary = alert.summary
    for name, template in values.items():
        summary = summary.replace(name, template)
    return {"summary": summary, "description": alert.why}


def _for_grafana(alert: Alert, source: str) -> dict[str, Any]:
    value = {"{value}": "{{ humanize $values.A.Value }}", "{percent}": "{{ humanizePercentage $values.A.Value }}"}
    asked = {"refId": "A", "expr": alert.expression, "instant": True, "range": False}
    evaluator = {"type": "gt", "params": [alert.limit]}
    compared = {"refId": "B", "type": "threshold", "expression": "A", "conditions": [{"evaluator": evaluator}]}
    return {
        "uid": alert.name,
        "title": alert.name,
        "condition": "B",
        "for": f"{alert.lasting}m" if alert.lasting else "0s",  # as Grafana spells it
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": {"severity": alert.severity},
        "annotations": _annotations(alert, value),
        "data": [
            {
                "refId": "A",
                "datasourceUid": source,
                "relativeTimeRange": {"from": _BACK, "to": 0},
                "model": asked,
            },
            {
                "refId": "B",
                "datasourceUid": "__expr__",
                "relativeTimeRange": {"from": _BACK, "to": 0},
                "model": compared,
            },
        ],
    }
