"""US dollars that sum exactly in a database of 64-bit integers.

A cost arrives as a float that was read from decimal text, and its shortest decimal form is that text again. It may have
17 digits, and OpenRouter's own arithmetic does leave such (0.00014250000000000002): the last stands at 1e-20, or lower.
Integers of 1e-15 USD would cut it off, and their sum would overflow at 9223 dollars. So a cost is two integers: whole
nano-dollars (sums up to 9.2 billion dollars), and what is left, in units of 1e-27 dollars. Of these less than 1e18 make
a nano-dollar, and the sum of ten such would overflow: a sum adds their upper and lower nine digits apart. SQLite adds
integers quickly and exactly; of text in decimals it can do neither.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import NamedTuple

EXACT = Context(prec=60)  # all digits that a sum of the ledger has
_REST, HALF = Decimal("1e-27"), 10**9
_MOST = 1_000_000  # dollars that one call may be said to cost: beyond it, it is no cost


class Amount(NamedTuple):
    """A cost as two columns."""

    nano: int
    rest: int


def split(dollars: object) -> Amount | None:
    """Return the columns of a cost; None where it is unknown, or is none."""
    if not isinstance(dollars, (int, float)) or isinstance(dollars, bool):
        return None
    if not abs(dollars) <= _MOST:  # NaN is not
        return None
    units = int(EXACT.to_integral_value(EXACT.divide(Decimal(repr(dollars)), _REST)))
    return Amount(*divmod(units, 10**18))


def total(nano: int, upper: int, lower: int) -> Decimal:
    """Return the dollars of three sums: of nano-dollars, and of the upper and lower halves of the rests."""
    units = (nano * HALF + upper) * HALF + lower
    found = EXACT.multiply(Decimal(units), _REST).normalize(EXACT)
    return found or Decimal(0)


def amount(nano: int | None, rest: int | None) -> Decimal | None:
    """Return the dollars of the two columns of one call; None is unknown."""
    return None if nano is None or rest is None else total(nano, *divmod(rest, HALF))


def columns(name: str, amount: Amount | None) -> dict[str, int | None]:
    """Return the columns of an amount; None where it is unknown."""
    return {f"{name}_{field}": getattr(amount, field, None) for field in Amount._fields}


def sums(name: str) -> dict[str, str]:
    """Return the SQL of what a call adds to the sums of an amount: three integers, and whether it is known."""
    nano, rest = f"{name}_nano", f"{name}_rest"
    return {
        nano: f"ifnull({nano}, 0)",
        f"{name}_upper": f"ifnull({rest} / {HALF}, 0)",
        f"{name}_lower": f"ifnull({rest} % {HALF}, 0)",
        f"{name}_known": f"{nano} IS NOT NULL",
    }
