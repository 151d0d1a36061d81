"""The dashboard of caches: the providers' prompt caches and OpenRouter's response cache."""

from __future__ import annotations

from orobserve_exporters.grafana.source import promql as p
from orobserve_exporters.grafana.source.panels import GREEN, ORANGE, RED, SHARE, USD, Kind, Panel, Subject

_RATE = "sum(CACHED_TOKENS) * 1.0 / nullif(sum(PROMPT_TOKENS), 0)"
_SAVED = "{usd:openrouter.cost.cache_discount}"
_STATUS = "{text:openrouter.response_cache.status}"
_GOOD = ((RED, None), (ORANGE, 0.2), (GREEN, 0.5))
_SWITCHED = (
    "(SELECT TIMESTAMP, MODEL, PROVIDER_NAME, {lag:PROVIDER_NAME} OVER (PARTITION BY SESSION_ID,"
    " {text:gen_ai.request.model} ORDER BY TIMESTAMP ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before FROM {calls}"
    " AND SESSION_ID IS NOT NULL AND PROVIDER_NAME IS NOT NULL) AS told WHERE before <> PROVIDER_NAME"
)


def _rate(by: str, window: str) -> str:
    read = p.total(p.DETAILS, by, window, wanted=p.detail("cache_read"))
    given = p.total(p.TOKENS, by, window, wanted=p.token("input"))
    return f"({read} or 0 * {given}) / {given}"


def _hits(by: str, window: str) -> str:
    hits = p.total(p.RESPONSE_CACHE, by, window, wanted=f'{p.CHOSEN}, {p.CACHE_STATUS}="hit"')
    return f"({hits} or 0 * {p.total(p.RESPONSE_CACHE, by, window)})"


CACHE = Subject(
    name="cache",
    title="Cache",
    shows="How much of the input came from the providers' prompt caches, what that saved, and what broke it.",
    panels=(
        Panel(
            title="Prompt cache rate",
            shows="Input tokens read from the providers' prompt caches, as a share of all input tokens.",
            unit=SHARE,
            promql={"rate": _rate("", p.RANGE)},
            sql=f"SELECT {_RATE} AS rate FROM {{calls}}",
            steps=_GOOD,
            width=6,
            height=4,
        ),
        Panel(
            title="Saved by the prompt caches",
            shows="As OpenRouter's records of the calls say; what writing to a cache cost extra is taken off.",
            unit=USD,
            promql={"saved": p.changed(p.SAVINGS)},
            sql=f"SELECT sum({_SAVED}) AS saved FROM {{calls}}",
            width=6,
            height=4,
        ),
        Panel(
            title="Answered from the response cache",
            shows="Calls that OpenRouter answered from its response cache, which are free, of those that asked for it.",
            unit=SHARE,
            promql={"hits": f"{_hits('', p.RANGE)} / {p.total(p.RESPONSE_CACHE)}"},
            sql=(
                f"SELECT count(*) FILTER (WHERE {_STATUS} = 'hit') * 1.0 / nullif(count({_STATUS}), 0) AS hits"
                " FROM {calls}"
            ),
            width=6,
            height=4,
        ),
        Panel(
            title="Provider switches",
            shows="Calls of a session that another provider served than the call before, with the same model: there the"
            " prompt cache is cold. Pin the provider (provider.order) where this is not small.",
            promql={"switches": p.or_zero(p.total(p.SWITCHES))},
            sql=f"SELECT count(*) AS switches FROM {_SWITCHED}",
            steps=((GREEN, None), (ORANGE, 1)),
            width=6,
            height=4,
        ),
        Panel(
            title="Prompt cache rate by model",
            shows="Cached input tokens as a share of all input tokens in each step.",
            kind=Kind.LINES,
            unit=SHARE,
            promql={f"{{{{{p.ANSWERED}}}}}": _rate(p.ANSWERED, p.INTERVAL)},
            sql=(
                f"SELECT {{time}}, coalesce(MODEL, '?') AS series, {_RATE} AS rate FROM {{calls}}"
                " AND PROMPT_TOKENS > 0 GROUP BY 1, 2 ORDER BY 1"
            ),
            most=1.0,
        ),
        Panel(
            title="Provider switches over time",
            shows="By the model, in each step.",
            kind=Kind.BARS,
            promql={f"{{{{{p.ANSWERED}}}}}": p.total(p.SWITCHES, p.ANSWERED, p.STEP)},
            sql=f"SELECT {{time}}, MODEL AS series, count(*) AS switches FROM {_SWITCHED} GROUP BY 1, 2 ORDER BY 1",
        ),
        Panel(
            title="Cached tokens",
            shows="Read from the prompt caches, in each step, and with Prometheus also written to them.",
            kind=Kind.BARS,
            promql={
                "read": p.total(p.DETAILS, "", p.STEP, wanted=p.detail("cache_read")),
                "written": p.total(p.DETAILS, "", p.STEP, wanted=p.detail("cache_write")),
            },
            sql='SELECT {time}, sum(CACHED_TOKENS) AS "read" FROM {calls} GROUP BY 1 ORDER BY 1',
        ),
        Panel(
            title="Response cache",
            shows="Calls that asked for OpenRouter's response cache, by what it said, in each step.",
            kind=Kind.BARS,
            promql={f"{{{{{p.CACHE_STATUS}}}}}": p.total(p.RESPONSE_CACHE, p.CACHE_STATUS, p.STEP)},
            sql=(
                f"SELECT {{time}}, {_STATUS} AS series, count(*) AS calls FROM {{calls}}"
                f" AND {_STATUS} IS NOT NULL GROUP BY 1, 2 ORDER BY 1"
            ),
        ),
        Panel(
            title="By model and provider",
            shows="Where the cache works and where it does not.",
            kind=Kind.TABLE,
            promql={
                "tokens in": p.total(p.TOKENS, f"{p.ANSWERED}, {p.UPSTREAM}", wanted=p.token("input")),
                "rate": _rate(f"{p.ANSWERED}, {p.UPSTREAM}", p.RANGE),
                "saved": p.changed(p.SAVINGS, f"{p.ANSWERED}, {p.UPSTREAM}"),
            },
            sql=(
                'SELECT MODEL AS model, PROVIDER_NAME AS provider, sum(PROMPT_TOKENS) AS "tokens in",'
                f" sum(CACHED_TOKENS) AS cached, {_RATE} AS rate, sum({_SAVED}) AS saved"
                " FROM {calls} AND PROMPT_TOKENS > 0 GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 100"
            ),
            units={"rate": SHARE, "saved": USD},
            width=24,
        ),
    ),
)
