"""Times as people say them, for the commands and the page: a span before now, or a day or time."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from orobserve.errors import ConfigurationError

WHEN = "30m, 24h, 7d, 4w, or a day as 2026-11-01 (UTC)"
_LATEST = 2**62  # nanoseconds: the year 2116, the last that a ledger can hold
_UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(\d{1,9})([mhdw])")
_NANOSECONDS = re.compile(r"\d{19}", re.ASCII)  # since 2001


def moment(setting: str, text: str | None, now: int) -> int | None:
    """Return the nanoseconds since the epoch that a text stands for; None: no limit.

    Args:
        setting: its name, for the error.
        text: a span before now, a day or time (UTC unless it says otherwise), or nanoseconds since the epoch.
        now: nanoseconds since the epoch.

    Raises:
        ConfigurationError: it is no time.
    """
    given = (text or "all").strip()
    if given == "all":
        return None
    span = _SPAN.fullmatch(given)
    if span:
        found = now - int(span[1]) * _UNITS[span[2]] * 10**9
    elif _NANOSECONDS.fullmatch(given):
        found = int(given)
    else:
        try:
            day = datetime.fromisoformat(given.replace("Z", "+00:00"))
            found = int((day if day.tzinfo else day.replace(tzinfo=timezone.utc)).timestamp()) * 10**9
        except (ValueError, OverflowError):
            fix = f"for example: {setting} 24h" if setting.startswith("-") else f"for example: {setting}=24h"
            raise ConfigurationError(setting, text, allowed=WHEN, fix=fix) from None
    return min(max(found, 0), _LATEST)
