"""What a request asks for, from the query of its URL: which calls, how grouped, in which steps of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orobserve.errors import ConfigurationError
from orobserve.ledger.filters import Filter
from orobserve.ledger.moments import moment
from orobserve.ledger.sums import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

SECOND = 10**9
STEPS = {"minute": 60 * SECOND, "hour": 3_600 * SECOND, "day": 86_400 * SECOND}  # nanoseconds
_LONGEST = {"minute": 4 * STEPS["hour"], "hour": 8 * STEPS["day"]}  # what is still drawn in such steps
_LATEST = 2**62  # nanoseconds: the year 2116
_BY = {**{name: name for name in GROUPS if name not in {"day", "api_key"}}, "key": "api_key"}
_SAME = ("model", "provider", "user", "session", "tag")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One request.

    Attributes:
        wanted: which calls.
        by: what they are grouped by, as `Reader.sums` has it.
        now: nanoseconds since the epoch.
        given: the query as it is.
    """

    wanted: Filter
    by: str
    now: int
    given: Mapping[str, str]

    @classmethod
    def read(cls, given: Mapping[str, str], now: int) -> Question:
        """Read the query of a URL.

        Raises:
            ConfigurationError: a value means nothing.
        """
        by = given.get("by") or "model"
        if by not in _BY:
            raise ConfigurationError("by", by, allowed=", ".join(_BY), fix="for example: by=model")
        wanted = Filter(
            since=moment("since", given.get("since"), now),
            until=moment("until", given.get("until"), now),
            **{name: given.get(name) or None for name in _SAME},
            api_key=given.get("key") or None,
            error=True if given.get("errors") == "1" else None,
        )
        return cls(wanted=wanted, by=_BY[by], now=now, given=given)

    def text(self, name: str) -> str:
        """Return a value that must be there."""
        found = self.given.get(name)
        if not found:
            raise ConfigurationError(name, found, allowed="a text", fix=f"add {name}=... to the address")
        return found

    def number(self, name: str, default: int, most: int = _LATEST) -> int:
        """Return a whole number, `most` at most."""
        found = self.given.get(name) or str(default)
        if not (found.isascii() and found.isdigit() and len(found) < 20):  # noqa: PLR2004 - of 64 bits
            raise ConfigurationError(name, found, allowed="a whole number", fix=f"for example: {name}={default}")
        return min(int(found), most)


def step_of(since: int, until: int) -> str:
    """Return the step in which a time is drawn: some dozens to hundreds of points."""
    return next((name for name, longest in _LONGEST.items() if until - since <= longest), "day")
