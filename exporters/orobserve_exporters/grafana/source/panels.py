"""What a panel is: words, unit, and a query for each language that can answer it. Knows nothing of Grafana's JSON."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

USD, SECONDS, MILLISECONDS, SHARE, COUNT, RATE = "currencyUSD", "s", "ms", "percentunit", "short", "reqps"
TODAY, WEEK, MONTH = "now/d", "7d", "now/M"  # windows of panels that do not follow the time picker
RED, ORANGE, GREEN = "red", "orange", "green"


class Kind(Enum):
    """How a panel draws its figures."""

    STAT = "stat"
    GAUGE = "gauge"
    LINES = "lines"  # over time
    BARS = "bars"  # over time, stacked
    SHARES = "shares"  # of a whole
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel.

    Args:
        title: short.
        shows: what the figure means, and what it leaves out.
        kind: how it is drawn.
        unit: Grafana's name of it; of the columns that `units` does not name in a table.
        promql: an expression by the legend of its series, in a table by the title of its column.
        sql: one statement for all SQL engines, in the spelling of `sql.py`.
        traceql: a query.
        window: a time range of its own.
        steps: colours by the value where each begins; the first begins at minus infinity.
        units: of columns by their titles.
        width: of 24.
        links: columns that lead to a trace.
    """

    title: str
    shows: str
    kind: Kind = Kind.STAT
    unit: str = COUNT
    promql: Mapping[str, str] | None = None
    sql: str | None = None
    traceql: str | None = None
    window: str | None = None
    steps: tuple[tuple[str, float | None], ...] = ()
    units: Mapping[str, str] | None = None
    width: int = 12
    height: int = 8
    decimals: int | None = None
    most: float | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What one dashboard is about."""

    name: str
    title: str
    shows: str
    panels: tuple[Panel, ...]


def limits(orange: float, red: float) -> tuple[tuple[str, float | None], ...]:
    """Return steps for a figure that is bad when it is large."""
    return ((GREEN, None), (ORANGE, orange), (RED, red))
