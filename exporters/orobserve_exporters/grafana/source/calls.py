"""The dashboard of single calls, for engines that keep them: the latest, the dearest, and the way to their traces."""

from __future__ import annotations

from orobserve_exporters.grafana.source.panels import SECONDS, USD, Kind, Panel, Subject

_COLUMNS = (
    "START_TIME AS time, MODEL AS model, PROVIDER_NAME AS provider, STATUS AS status, {seconds} AS duration,"
    ' {number:gen_ai.response.time_to_first_chunk} AS "first token", PROMPT_TOKENS AS "tokens in",'
    ' CACHED_TOKENS AS cached, COMPLETION_TOKENS AS "tokens out", TOTAL_COST AS cost, USER_ID AS "user",'
    " SESSION_ID AS session, {text:openrouter.generation.id} AS generation, TRACE_ID AS trace"
)
_UNITS = {"duration": SECONDS, "first token": SECONDS, "cost": USD}
_LINKED = ("trace",)


def _table(title: str, shows: str, rest: str) -> Panel:
    return Panel(
        title=title,
        shows=shows,
        kind=Kind.TABLE,
        sql=f"SELECT {_COLUMNS} FROM {{calls}} {rest}",
        units=_UNITS,
        links=_LINKED,
        width=24,
    )


CALLS = Subject(
    name="calls",
    title="Calls",
    shows="Single calls: the latest, the dearest, the failed, and the dearest sessions. A click leads to the trace.",
    panels=(
        _table(
            "Recent calls",
            "The latest hundred of the range. No cost is not no charge: nobody knows it (yet).",
            "ORDER BY START_TIME DESC LIMIT 100",
        ),
        _table(
            "Most expensive calls",
            "The dearest twenty of the range.",
            "AND TOTAL_COST > 0 ORDER BY TOTAL_COST DESC LIMIT 20",
        ),
        Panel(
            title="Most expensive sessions",
            shows="The dearest twenty sessions, or conversations, of the range.",
            kind=Kind.TABLE,
            sql=(
                "SELECT SESSION_ID AS session, sum(TOTAL_COST) AS spent, count(*) AS calls,"
                ' sum(PROMPT_TOKENS) AS "tokens in", sum(COMPLETION_TOKENS) AS "tokens out",'
                ' min(START_TIME) AS "first call", max(START_TIME) AS "last call"'
                " FROM {calls} AND SESSION_ID IS NOT NULL GROUP BY 1"
                " ORDER BY 2 DESC NULLS LAST LIMIT 20"
            ),
            units={"spent": USD},
            width=24,
        ),
        Panel(
            title="Failed calls",
            shows="The latest hundred that failed, with OpenRouter's type of the error.",
            kind=Kind.TABLE,
            sql=(
                "SELECT START_TIME AS time, coalesce(MODEL, {text:gen_ai.request.model}) AS model,"
                " PROVIDER_NAME AS provider, {text:error.type} AS error, {text:openrouter.error.code} AS code,"
                " {seconds} AS duration, TOTAL_COST AS cost, SESSION_ID AS session, TRACE_ID AS trace"
                " FROM {calls} AND STATUS = 'error' ORDER BY START_TIME DESC LIMIT 100"
            ),
            units=_UNITS,
            links=_LINKED,
            width=24,
        ),
    ),
)
