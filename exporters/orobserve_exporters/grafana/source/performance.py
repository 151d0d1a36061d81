"""The dashboard of performance: how long calls took, how fast they wrote, how they failed."""

from __future__ import annotations

from orobserve_exporters.grafana.source import promql as p
from orobserve_exporters.grafana.source.panels import RATE, SECONDS, SHARE, Kind, Panel, Subject, limits

_BOTH = f"{p.ANSWERED}, {p.UPSTREAM}"
_FAILED = f'{p.CHOSEN}, {p.ERROR}!=""'
_FIRST = "{number:gen_ai.response.time_to_first_chunk}"
_WRITTEN = "sum(COMPLETION_TOKENS) FILTER (WHERE DURATION_MS > 0) / nullif(sum({seconds}) FILTER"
_WRITTEN += " (WHERE COMPLETION_TOKENS IS NOT NULL AND DURATION_MS > 0), 0)"
_SERIES = "coalesce(MODEL, '?') AS series"
_FROM = "FROM {calls} GROUP BY 1, 2 ORDER BY 1"


def _speed(by: str, window: str) -> str:
    tokens = p.total(p.TOKENS, by, window, wanted=p.token("output"))
    return f"{tokens} / {p.total(f'{p.DURATION}_sum', by, window)}"


PERFORMANCE = Subject(
    name="performance",
    title="Performance",
    shows="Latency, time to the first token, tokens per second and errors, by model and provider.",
    panels=(
        Panel(
            title="Latency, p95",
            shows="From the request to the last byte of the answer, for 95 of 100 calls, failed ones included.",
            unit=SECONDS,
            promql={"p95": p.quantile(0.95, p.DURATION, window=p.RANGE)},
            sql="SELECT {p95:{seconds}} AS p95 FROM {calls}",
            steps=limits(30, 120),
            width=6,
            height=4,
        ),
        Panel(
            title="First token, p95",
            shows="From the request to the first piece of content; streamed calls only.",
            unit=SECONDS,
            promql={"p95": p.quantile(0.95, p.FIRST_CHUNK, window=p.RANGE)},
            sql=f"SELECT {{p95:{_FIRST}}} AS p95 FROM {{calls}}",
            steps=limits(5, 20),
            width=6,
            height=4,
        ),
        Panel(
            title="Tokens per second",
            shows="Output tokens over the calls' whole time, waiting included.",
            promql={"tokens/s": _speed("", p.RANGE)},
            sql=f'SELECT {_WRITTEN} AS "tokens/s" FROM {{calls}}',
            width=6,
            height=4,
        ),
        Panel(
            title="Error rate",
            shows="Failed calls, errors within a stream included, as a share of all. A retry that works is a call too.",
            unit=SHARE,
            promql={"errors": f"{p.or_zero(p.total(p.CALLS, wanted=_FAILED))} / {p.total(p.CALLS)}"},
            sql="SELECT count(*) FILTER (WHERE STATUS = 'error') * 1.0 / nullif(count(*), 0) AS errors FROM {calls}",
            steps=limits(0.02, 0.1),
            width=6,
            height=4,
        ),
        Panel(
            title="Latency",
            shows="Percentiles over all chosen calls. With Prometheus they are interpolated within its buckets.",
            kind=Kind.LINES,
            unit=SECONDS,
            promql={f"p{share}": p.quantile(share / 100, p.DURATION) for share in (50, 95, 99)},
            sql=(
                "SELECT {time}, {p50:{seconds}} AS p50, {p95:{seconds}} AS p95, {p99:{seconds}} AS p99"
                " FROM {calls} GROUP BY 1 ORDER BY 1"
            ),
        ),
        Panel(
            title="Latency by model, p95",
            shows="By the model that answered; ? where none did.",
            kind=Kind.LINES,
            unit=SECONDS,
            promql={f"{{{{{p.ANSWERED}}}}}": p.quantile(0.95, p.DURATION, p.ANSWERED)},
            sql=f"SELECT {{time}}, {_SERIES}, {{p95:{{seconds}}}} AS p95 {_FROM}",
        ),
        Panel(
            title="First token by model, p95",
            shows="Streamed calls only, by the model that answered.",
            kind=Kind.LINES,
            unit=SECONDS,
            promql={f"{{{{{p.ANSWERED}}}}}": p.quantile(0.95, p.FIRST_CHUNK, p.ANSWERED)},
            sql=(
                f"SELECT {{time}}, {_SERIES}, {{p95:{_FIRST}}} AS p95 FROM {{calls}} AND {_FIRST} IS NOT NULL"
                " GROUP BY 1, 2 ORDER BY 1"
            ),
        ),
        Panel(
            title="Tokens per second by model",
            shows="Output tokens over the calls' whole time, waiting included.",
            kind=Kind.LINES,
            promql={f"{{{{{p.ANSWERED}}}}}": _speed(p.ANSWERED, p.INTERVAL)},
            sql=f'SELECT {{time}}, {_SERIES}, {_WRITTEN} AS "tokens/s" {_FROM}',
        ),
        Panel(
            title="By model and provider",
            shows="The same model may be served by several providers, at very different speeds.",
            kind=Kind.TABLE,
            promql={
                "calls": p.total(p.CALLS, _BOTH),
                **{f"p{share}": p.quantile(share / 100, p.DURATION, _BOTH, p.RANGE) for share in (50, 95, 99)},
                "first token p50": p.quantile(0.5, p.FIRST_CHUNK, _BOTH, p.RANGE),
                "tokens/s": _speed(_BOTH, p.RANGE),
                "errors": p.total(p.CALLS, _BOTH, wanted=_FAILED),
            },
            sql=(
                "SELECT MODEL AS model, PROVIDER_NAME AS provider, count(*) AS calls, {p50:{seconds}} AS p50,"
                f' {{p95:{{seconds}}}} AS p95, {{p99:{{seconds}}}} AS p99, {{p50:{_FIRST}}} AS "first token p50",'
                f" {_WRITTEN} AS \"tokens/s\", count(*) FILTER (WHERE STATUS = 'error') AS errors"
                " FROM {calls} GROUP BY 1, 2 ORDER BY count(*) DESC LIMIT 100"
            ),
            units=dict.fromkeys(("p50", "p95", "p99", "first token p50"), SECONDS),
            width=24,
        ),
        Panel(
            title="Calls",
            shows="Per second, by the model that answered; ? where none did.",
            kind=Kind.LINES,
            unit=RATE,
            promql={f"{{{{{p.ANSWERED}}}}}": f"sum by ({p.ANSWERED}) (rate({p.CALLS}{{{p.CHOSEN}}}[{p.INTERVAL}]))"},
            sql=f"SELECT {{time}}, {_SERIES}, count(*) * 1.0 / {{step}} AS calls {_FROM}",
        ),
        Panel(
            title="Errors by type",
            shows="Failed calls in each step, by OpenRouter's type of the error, or the exception of the transport.",
            kind=Kind.BARS,
            promql={f"{{{{{p.ERROR}}}}}": p.total(p.CALLS, p.ERROR, p.STEP, wanted=_FAILED)},
            sql=(
                "SELECT {time}, coalesce({text:error.type}, '?') AS series, count(*) AS errors"
                " FROM {calls} AND STATUS = 'error' GROUP BY 1, 2 ORDER BY 1"
            ),
        ),
        Panel(
            title="In flight",
            shows="Calls under way, streams included, of all processes. With Prometheus only.",
            kind=Kind.LINES,
            promql={"calls": f"sum({p.ACTIVE})"},
            width=24,
            height=6,
        ),
    ),
)
