"""The dashboard of spend: what was billed, for what, and where the month will end."""

from __future__ import annotations

from orobserve_exporters.grafana.source import promql as p
from orobserve_exporters.grafana.source.panels import (
    COUNT,
    MONTH,
    SHARE,
    TODAY,
    USD,
    WEEK,
    Kind,
    Panel,
    Subject,
    limits,
)

_SPENT = {"spent": p.or_zero(p.total(p.COST))}
_SUM = "SELECT {spend} AS spent FROM {calls}"
_KNOWN = "What OpenRouter billed, and providers where the key is yours. Calls whose cost nobody knows are not in it."
_BUDGETED = "(SELECT {spend} AS spent FROM {calls}) AS month"
_AVERAGE = "{estimate:sum(TOTAL_COST)} / nullif(count(TOTAL_COST), 0)"
_COLUMNS = {"spent": USD, "per call": USD}


def _figure(title: str, shows: str, window: str | None, **more: object) -> Panel:
    given: dict[str, object] = {"unit": USD, "promql": _SPENT, "sql": _SUM, "width": 4, "height": 4, **more}
    return Panel(title=title, shows=shows, window=window, **given)  # type: ignore[arg-type]  # `more` are fields of Panel


def _by(title: str, labels: str, column: str, shows: str, sql: str = "") -> Panel:
    """Return a table of what each value of a label, or column, has cost."""
    name, source = title.removeprefix("By ").lower(), sql or column

    def total(metric: str, wanted: str = p.CHOSEN) -> str:
        found = p.total(metric, labels, wanted=wanted)
        return p.by_tag(found) if labels == p.TAG else found

    return Panel(
        title=title,
        shows=shows,
        kind=Kind.TABLE,
        promql={
            "spent": total(p.COST),
            "calls": total(p.CALLS),
            "tokens in": total(p.TOKENS, p.token("input")),
            "tokens out": total(p.TOKENS, p.token("output")),
        }
        if labels
        else None,
        sql=(
            f'SELECT {source} AS "{name}", sum(TOTAL_COST) AS spent, count(*) AS calls,'
            ' sum(PROMPT_TOKENS) AS "tokens in", sum(COMPLETION_TOKENS) AS "tokens out",'
            f' {_AVERAGE} AS "per call", count(*) FILTER (WHERE {{unpriced}}) AS unpriced'
            f" FROM {{calls}} GROUP BY 1 ORDER BY 2 DESC NULLS LAST LIMIT 100"
        ),
        units=_COLUMNS,
    )


def _over_time(title: str, label: str, column: str) -> Panel:
    return Panel(
        title=title,
        shows="What was billed in each step. The bars add up to the sum of the range, where it begins with a step.",
        kind=Kind.BARS,
        unit=USD,
        promql={f"{{{{{label}}}}}": p.total(p.COST, label, p.STEP)},
        sql=(
            f"SELECT {{time}}, coalesce({column}, '?') AS series, sum(TOTAL_COST) AS spent"
            " FROM {calls} AND TOTAL_COST > 0 GROUP BY 1, 2 ORDER BY 1"
        ),
    )


SPEND = Subject(
    name="spend",
    title="Spend",
    shows="What OpenRouter billed: today, this month and where it will end, by model, provider, key and tag.",
    panels=(
        _figure("Today", f"Since midnight, UTC. {_KNOWN}", TODAY),
        _figure("Last 7 days", _KNOWN, WEEK),
        _figure("Month to date", f"Since the first of the month, UTC. {_KNOWN}", MONTH),
        _figure(
            "Projection of the month",
            "Month to date, carried on at the same pace to the month's end.",
            MONTH,
            promql={"spent": f"{_SPENT['spent']} / $__range_s * 86400 * days_in_month()"},
            sql="SELECT {estimate:{spend}} * {month} / nullif({elapsed}, 0) AS spent FROM {calls}",
        ),
        Panel(
            title="Budget used",
            shows="Month to date as a share of the budget that stands above; what is known of the cost.",
            kind=Kind.GAUGE,
            unit=SHARE,
            promql={"used": f"{_SPENT['spent']} / $budget"},
            sql=f"SELECT {{estimate:spent}} / nullif(${{budget}}, 0) AS used FROM {_BUDGETED}",
            window=MONTH,
            steps=limits(0.8, 1.0),
            width=4,
            height=4,
            most=1.0,
        ),
        Panel(
            title="Calls of unknown cost",
            shows="Calls that did not fail and whose cost nobody knows, so that sums are too small. With Prometheus"
            " as the processes count them, each since it began.",
            promql={"calls": p.or_zero(f"sum(last_over_time({p.UNPRICED}{{{p.CHOSEN}}}[{p.RANGE}]))")},
            sql="SELECT count(*) FILTER (WHERE {unpriced}) AS calls FROM {calls}",
            steps=limits(1, 100),
            width=4,
            height=4,
        ),
        _figure("In this range", _KNOWN, None, width=6),
        _figure(
            "Per call",
            "What a call cost on average, of those whose cost is known; with Prometheus of all calls.",
            None,
            promql={"per call": f"{p.total(p.COST)} / {p.total(p.CALLS)}"},
            sql=f'SELECT {_AVERAGE} AS "per call" FROM {{calls}}',
            width=6,
        ),
        _figure(
            "Calls",
            "All of them, failed ones included.",
            None,
            unit=COUNT,
            promql={"calls": p.or_zero(p.total(p.CALLS))},
            sql="SELECT count(*) AS calls FROM {calls}",
            width=6,
        ),
        _figure(
            "Left of the keys' limits",
            "What the API keys in use may still spend, the least of them. With Prometheus, and key_budget = true.",
            None,
            promql={"left": f"min(last_over_time({p.KEY_REMAINING}[{p.RANGE}]))"},
            sql=None,
            width=6,
        ),
        _over_time("Spend by model", p.ANSWERED, "MODEL"),
        _over_time("Spend by provider", p.UPSTREAM, "PROVIDER_NAME"),
        _by("By model", p.ANSWERED, "MODEL", "What each model that answered has cost in this range."),
        _by("By provider", p.UPSTREAM, "PROVIDER_NAME", "What each provider that served the calls has cost."),
        _by(
            "By key",
            p.KEY,
            "API_KEY_NAME",
            "By your names for the API keys (api_key_labels); the empty one stands for all keys that have none.",
        ),
        _by(
            "By tag",
            p.TAG,
            "",
            "With Prometheus by the label that stands above (metric_tags); else a call with several tags counts for"
            " each of them, so that these sums add up to more than was spent.",
            "{each:TAGS}",
        ),
        _by("By user", "", "USER_ID", "By the user that a request, or orobserve.context, named."),
        Panel(
            title="Tokens by kind",
            shows="Input that was not cached, input read from the prompt cache, answers, and reasoning within them.",
            kind=Kind.BARS,
            promql={
                "input": (
                    f"{p.total(p.TOKENS, '', p.STEP, wanted=p.token('input'))} - "
                    f"{p.or_zero(p.total(p.DETAILS, '', p.STEP, wanted=p.detail('cache_read')))}"
                ),
                "cache read": p.total(p.DETAILS, "", p.STEP, wanted=p.detail("cache_read")),
                "output": (
                    f"{p.total(p.TOKENS, '', p.STEP, wanted=p.token('output'))} - "
                    f"{p.or_zero(p.total(p.DETAILS, '', p.STEP, wanted=p.detail('reasoning')))}"
                ),
                "reasoning": p.total(p.DETAILS, "", p.STEP, wanted=p.detail("reasoning")),
            },
            sql=(
                "SELECT {time}, sum(PROMPT_TOKENS) - sum(coalesce(CACHED_TOKENS, 0)) AS input,"
                ' sum(CACHED_TOKENS) AS "cache read", sum(COMPLETION_TOKENS) - sum(coalesce(REASONING_TOKENS, 0))'
                " AS output, sum(REASONING_TOKENS) AS reasoning FROM {calls} GROUP BY 1 ORDER BY 1"
            ),
            width=24,
        ),
    ),
)
