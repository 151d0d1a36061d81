"""The dashboard of trust: whether the other dashboards tell the truth."""

from __future__ import annotations

from orobserve_exporters.grafana.source import promql as p
from orobserve_exporters.grafana.source.panels import MILLISECONDS, SECONDS, USD, Kind, Panel, Subject, limits

_STATUS = "{text:openrouter.enrichment.status}"
_DELAY = "{number:openrouter.enrichment.delay_ms}"
_ALL = ""  # these have no labels of calls

TRUST = Subject(
    name="trust",
    title="Trust",
    shows="Whether the other dashboards tell the truth: costs that nobody knows, records that did not come, losses.",
    panels=(
        Panel(
            title="Calls of unknown cost",
            shows="Calls that did not fail and whose cost nobody knows. With Prometheus as the processes count them,"
            " each since it began; it falls where a cost comes late.",
            promql={"calls": p.or_zero(f"sum(last_over_time({p.UNPRICED}{{{p.CHOSEN}}}[{p.RANGE}]))")},
            sql="SELECT count(*) FILTER (WHERE {unpriced}) AS calls FROM {calls}",
            steps=limits(1, 100),
            width=6,
            height=4,
        ),
        Panel(
            title="Records not found",
            shows="Look-ups of OpenRouter's record of a call that ended without it.",
            promql={"look-ups": p.or_zero(p.total(p.LOOKUPS, wanted='outcome!~"complete|not_needed|pending"'))},
            sql=(
                f"SELECT count(*) FILTER (WHERE {_STATUS} NOT IN ('complete', 'not_needed', 'pending')) AS calls"
                " FROM {calls}"
            ),
            steps=limits(1, 100),
            width=6,
            height=4,
        ),
        Panel(
            title="Delay of the records, p95",
            shows="From a call's end to OpenRouter's record of it.",
            unit=SECONDS,
            promql={
                "p95": p.quantile(0.95, p.LOOKUP_DURATION, window=p.RANGE, wanted='outcome="complete"'),
            },
            sql=f"SELECT {{p95:{_DELAY}}} / 1000.0 AS p95 FROM {{calls}} AND {_STATUS} = 'complete'",
            steps=limits(5, 10),
            width=6,
            height=4,
        ),
        Panel(
            title="Lost",
            shows="What orobserve itself has lost: a full queue, a limit, a destination that did not take it.",
            promql={"items": p.or_zero(p.total(p.DROPPED, wanted=_ALL))},
            steps=limits(1, 100),
            width=6,
            height=4,
        ),
        Panel(
            title="Newest call",
            shows="How long ago the latest call began that has arrived here.",
            unit=SECONDS,
            sql="SELECT {age} AS age FROM {calls}",
            width=6,
            height=4,
        ),
        Panel(
            title="Look-ups by outcome",
            shows="What came of asking OpenRouter for its record of a call, in each step.",
            kind=Kind.BARS,
            promql={"{{outcome}}": p.total(p.LOOKUPS, "outcome", p.STEP, wanted=_ALL)},
            sql=f"SELECT {{time}}, coalesce({_STATUS}, '?') AS series, count(*) AS calls"
            " FROM {calls} GROUP BY 1, 2 ORDER BY 1",
        ),
        Panel(
            title="Delay of the records",
            shows="From a call's end to OpenRouter's record of it.",
            kind=Kind.LINES,
            unit=SECONDS,
            promql={
                f"p{share}": p.quantile(share / 100, p.LOOKUP_DURATION, wanted='outcome="complete"')
                for share in (50, 95)
            },
            sql=f"SELECT {{time}}, {{p50:{_DELAY}}} / 1000.0 AS p50, {{p95:{_DELAY}}} / 1000.0 AS p95"
            f" FROM {{calls}} AND {_STATUS} = 'complete' GROUP BY 1 ORDER BY 1",
        ),
        Panel(
            title="Lost, by reason",
            shows="In each step, by what was lost and why.",
            kind=Kind.BARS,
            promql={"{{signal}}: {{reason}}": p.total(p.DROPPED, "signal, reason", p.STEP, wanted=_ALL)},
        ),
        Panel(
            title="Waiting for their record",
            shows="Spans that are held until OpenRouter's record is in. With Prometheus only.",
            kind=Kind.LINES,
            promql={"spans": f"sum({p.PENDING})"},
        ),
        Panel(
            title="Delivery",
            shows="By destination: records it has taken in this range, records that wait now, and records lost.",
            kind=Kind.TABLE,
            promql={
                "delivered": p.total(p.DELIVERED, "destination", wanted=_ALL),
                "waiting": f"sum by (destination) (last_over_time({p.QUEUED}[{p.RANGE}]))",
                "lost": p.total(p.DROPPED, "destination", wanted='destination!=""'),
            },
        ),
        Panel(
            title="Waiting for delivery",
            shows="Records that wait to be sent, by destination. A line that rises is a destination that is stuck.",
            kind=Kind.LINES,
            promql={"{{destination}}": f"sum by (destination) ({p.QUEUED})"},
        ),
        Panel(
            title="Where the costs come from",
            shows="`response`: said with the answer; `generation`: OpenRouter's own record; none: not known.",
            kind=Kind.TABLE,
            sql=(
                "SELECT {text:openrouter.cost.source} AS source, {text:openrouter.stream.outcome} AS outcome,"
                " count(*) AS calls, sum(TOTAL_COST) AS spent, count(*) FILTER (WHERE {unpriced}) AS unpriced"
                " FROM {calls} GROUP BY 1, 2 ORDER BY 3 DESC"
            ),
            units={"spent": USD},
        ),
        Panel(
            title="Calls of unknown cost, one by one",
            shows="The latest hundred: what they were, and what came of the look-up.",
            kind=Kind.TABLE,
            sql=(
                "SELECT START_TIME AS time, MODEL AS model, PROVIDER_NAME AS provider, DURATION_MS AS duration,"
                f" {_STATUS} AS record, {{text:openrouter.generation.id}} AS generation, TRACE_ID AS trace"
                " FROM {calls} AND {unpriced} ORDER BY START_TIME DESC LIMIT 100"
            ),
            units={"duration": MILLISECONDS},
            links=("trace",),
        ),
    ),
)
