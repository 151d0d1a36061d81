"""SQL's side of the panels: one statement, spelt for ClickHouse and for PostgreSQL.

A statement is written in what both understand, column names in capitals as Broadcast has them, and `{word}` or
`{word:argument}` where the engines differ or a piece recurs:

    {calls}         the table, with the time range and the variables: FROM {calls} AND more conditions
    {time}          the moment, rounded to the panel's step
    {text:a} {number:a} {usd:a} {flag:a}    an OpenTelemetry attribute by its name; NULL where it is missing
    {p95:x}         a percentile
    {each:TAGS}     a row for each element
    {attempts}      a table of provider attempts: TIMESTAMP, provider, status, place (1 is the first), attempts (in all)
    {lag:x}         x of the row before, to be followed by OVER (...)
    {spend}         the sum of the costs that are known, 0 if there was no call, NULL if no cost is known
    {estimate:x}    an amount of money as a floating number, for averages and projections
    {unpriced}      the condition of a call whose cost nobody knows though it did not fail
    {step}          the panel's step in seconds
    {words}         the type of a text; {age}: seconds since the newest call
    {elapsed} {month}    seconds from the range's start to its end, and in the month of its start
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ALL = "'__all__'"  # what Grafana puts for a variable where everything is chosen, as it is
_TOKEN = re.compile(r"(?<!\$)\{([a-z0-9]+)(?::([^{}]*))?\}")  # not ${...}, which is Grafana's
_PERCENTILE = re.compile(r"p(\d\d)")
_ATTEMPTS = tuple(f"openrouter.routing.attempt_{name}" for name in ("providers", "statuses"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How an engine spells what engines spell differently; `{}` stands for the argument."""

    words: Mapping[str, str]
    tags: str  # the condition on them


CLICKHOUSE = Dialect(
    words={
        "time": "$__timeInterval(TIMESTAMP) AS time",
        "text": "nullIf(JSONExtractString(ATTRIBUTES, '{}'), '')",
        "number": "JSONExtract(ATTRIBUTES, '{}', 'Nullable(Float64)')",
        "usd": "JSONExtract(ATTRIBUTES, '{}', 'Nullable(Decimal(38, 15))')",
        "flag": "JSONExtractBool(ATTRIBUTES, '{}')",
        "percentile": "quantileExact({share})({})",
        "each": "arrayJoin({})",
        "lag": "lagInFrame({})",
        "ago": "now() - INTERVAL 90 DAY",
        "step": "$__interval_s",
        "nothing": "sum(assumeNotNull(TOTAL_COST))",
        "estimate": "toFloat64({})",
        "words": "String",
        "age": "dateDiff('second', max(START_TIME), now())",
        "elapsed": "dateDiff('second', $__fromTime, $__toTime)",
        "month": "dateDiff('second', toStartOfMonth($__fromTime), toStartOfMonth($__fromTime) + INTERVAL 1 MONTH)",
        "attempts": (
            "(SELECT TIMESTAMP, tupleElement(tried, 1) AS provider, tupleElement(tried, 2) AS status,"
            " tupleElement(tried, 3) AS place, attempts FROM ("
            "SELECT TIMESTAMP, length(providers) AS attempts,"
            f" JSONExtract(ATTRIBUTES, '{_ATTEMPTS[0]}', 'Array(String)') AS providers,"
            f" JSONExtract(ATTRIBUTES, '{_ATTEMPTS[1]}', 'Array(Int64)') AS statuses,"
            " arrayJoin(arrayZip(providers, statuses, arrayEnumerate(providers))) AS tried"
            " FROM {calls})) AS tries"
        ),
    },
    tags="hasAny(TAGS, [{}])",
)
POSTGRES = Dialect(
    words={
        "time": "$__timeGroup(TIMESTAMP, $__interval) AS time",
        "text": "(ATTRIBUTES->>'{}')",
        "number": "(ATTRIBUTES->>'{}')::double precision",
        "usd": "(ATTRIBUTES->>'{}')::numeric",
        "flag": "coalesce((ATTRIBUTES->>'{}')::boolean, false)",
        "percentile": "percentile_cont({share}) WITHIN GROUP (ORDER BY {})",
        "each": "unnest({})",
        "lag": "lag({})",
        "ago": "now() - interval '90 days'",
        "step": "($__interval_ms / 1000.0)",
        "nothing": "0",
        "estimate": "({})::double precision",
        "words": "text",
        "age": "extract(epoch FROM now() - max(START_TIME))",
        "elapsed": "extract(epoch FROM $__timeTo()::timestamptz - $__timeFrom()::timestamptz)",
        "month": (
            "extract(epoch FROM date_trunc('month', $__timeFrom()::timestamp) + interval '1 month'"
            " - date_trunc('month', $__timeFrom()::timestamp))"
        ),
        "attempts": (
            "(SELECT TIMESTAMP, tried.provider, tried.status::int AS status, tried.place,"
            f" jsonb_array_length(ATTRIBUTES->'{_ATTEMPTS[0]}') AS attempts FROM {{table}},"
            f" ROWS FROM (jsonb_array_elements_text(ATTRIBUTES->'{_ATTEMPTS[0]}'),"
            f" jsonb_array_elements_text(ATTRIBUTES->'{_ATTEMPTS[1]}'))"
            " WITH ORDINALITY AS tried(provider, status, place) WHERE {wanted}) AS tries"
        ),
    },
    tags="TAGS && ARRAY[{}]",
)
_COMMON = {
    "table": "${table:raw}",
    "calls": "{table} WHERE {wanted}",
    "spend": "CASE WHEN count(*) = 0 THEN {nothing} ELSE sum(TOTAL_COST) END",
    "unpriced": "(TOTAL_COST IS NULL AND STATUS <> 'error')",
    "seconds": "DURATION_MS / 1000.0",
}


def spelt(statement: str, dialect: Dialect) -> str:
    """Return a statement as an engine understands it, with Grafana's macros and variables."""
    while True:
        found = _TOKEN.sub(_replacement(dialect), statement)
        if found == statement:
            return " ".join(found.split())
        statement = found


def variable(expression: str, dialect: Dialect) -> str:
    """Return the statement that lists a variable's values, of the last ninety days."""
    return spelt("SELECT DISTINCT " + expression + " AS found FROM {table} WHERE TIMESTAMP > {ago} ORDER BY 1", dialect)


def _replacement(dialect: Dialect) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        word, argument = match[1], match[2] or ""
        if word == "wanted":
            return _wanted(dialect)
        percentile = _PERCENTILE.fullmatch(word)
        if percentile:
            return dialect.words["percentile"].replace("{share}", f"0.{percentile[1]}").replace("{}", argument)
        return {**_COMMON, **dialect.words}[word].replace("{}", argument)

    return replaced


def _wanted(dialect: Dialect) -> str:
    """Return the conditions of the time range and the variables; unknown is chosen as `?`."""
    found = ["$__timeFilter(TIMESTAMP)"]
    for name, column in (("model", "MODEL"), ("provider", "PROVIDER_NAME"), ("key", "API_KEY_NAME")):
        chosen = f"${{{name}:sqlstring}}"
        found.append(f"({ALL} IN ({chosen}) OR coalesce({column}, '?') IN ({chosen}))")
    chosen = "${tag:sqlstring}"
    found.append(f"({ALL} IN ({chosen}) OR {dialect.tags.replace('{}', chosen)})")
    return " AND ".join(found)
