"""What may be spent in which time: the setting `budgets`. It knows no ledger, and sends nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.config_values import OneOf, boolean, nearest, number
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

PERIODS = ("hour", "day", "week", "month")
GROUPS = ("user", "key", "tag")
_KEYS = ("amount", "period", "by", *GROUPS, "thresholds", "name", "webhook", "notify", "callback")
_SHORT = re.compile(r"\$?(\d+(?:\.\d+)?)(?:/([a-z]+))?", re.ASCII)
_SECOND = 10**9
_LENGTHS = {"hour": 3600 * _SECOND, "day": 86_400 * _SECOND, "week": 7 * 86_400 * _SECOND}
_MONDAY = -3 * 86_400 * _SECOND  # the epoch was a Thursday
_HASH = 64  # characters of a key's SHA-256
_EXAMPLE = 'budgets=["50/day"] or budgets=[{"amount": 50, "period": "day", "webhook": "https://..."}]'


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent in each period before somebody is told. Calls are never refused.

    Attributes:
        amount: USD.
        period: `hour`, `day`, `week` (from Monday) or `month`, of the UTC calendar.
        by: None, or what has the amount each: `user`, `key` or `tag`.
        value: with `by`: only this user, key (its SHA-256, or your label for it) or tag.
        thresholds: parts of the amount at which somebody is told, in ascending order.
        name: as alerts call it.
        webhook: URL that alerts are posted to.
        notify: whether alerts are shown on the desktop.
        callback: gets each alert, on a background thread.
    """

    amount: Decimal
    period: str = "day"
    by: str | None = None
    value: str | None = None
    thresholds: tuple[float, ...] = (0.8, 1.0)
    name: str = ""
    webhook: str | None = field(default=None, repr=False)  # Slack's is a secret
    notify: bool = False
    callback: Callable[[Any], object] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Give it a name."""
        if not self.name:
            object.__setattr__(self, "name", _name(self))


def _name(budget: Budget) -> str:
    whose = ""
    if budget.value is not None:
        is_hash = budget.by == "key" and len(budget.value) == _HASH
        whose = f" of {budget.by} {budget.value[:8] if is_hash else budget.value}"
    elif budget.by is not None:
        whose = f" by {budget.by}"
    return f"${budget.amount:f} {'an' if budget.period == 'hour' else 'a'} {budget.period}{whose}"


def bounds(period: str, moment: int) -> tuple[int, int]:
    """Return the start of the period that a moment is in, and that of the next; nanoseconds since the epoch."""
    if period == "month":
        first = datetime.fromtimestamp(moment // _SECOND, timezone.utc).date().replace(day=1)
        return _nanoseconds(first), _nanoseconds((first + timedelta(days=31)).replace(day=1))
    length, origin = _LENGTHS[period], _MONDAY if period == "week" else 0
    start = moment - (moment - origin) % length
    return start, start + length


def _nanoseconds(day: date) -> int:
    return (day.toordinal() - date(1970, 1, 1).toordinal()) * 86_400 * _SECOND


def parse(setting: str, value: object) -> tuple[Budget, ...]:
    """Read budgets: objects, short forms as `50/day`, or both; also as one text with commas, or as JSON.

    Raises:
        ConfigurationError: one of them cannot be used.
    """
    if isinstance(value, str):
        text = value.strip()
        if text[:1] in {"[", "{"}:
            try:
                value = json.loads(text, parse_float=Decimal)
            except ValueError as error:
                raise _mistake(setting, value, f"JSON ({error})") from None
        else:
            value = [part.strip() for part in text.split(",") if part.strip()]
    given = list(value) if isinstance(value, (list, tuple)) else [value]
    return tuple(_budget(f"{setting}[{place}]", each) for place, each in enumerate(given))


def _mistake(setting: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(setting, value, allowed=allowed, fix=f"for example {_EXAMPLE}")


def _budget(setting: str, given: object) -> Budget:
    if isinstance(given, Budget):
        given = {item: getattr(given, item) for item in Budget.__slots__} | (
            {given.by: given.value} if given.by else {}
        )
        given.pop("value")
    if isinstance(given, (str, int, float, Decimal)):
        return _short(setting, str(given))
    if not isinstance(given, Mapping):
        raise _mistake(setting, given, "an object, or a text as 50/day")
    for name in given:
        if name not in _KEYS:
            raise ConfigurationError(
                f"{setting}.{name}", given[name], allowed=", ".join(_KEYS), fix=nearest(str(name), _KEYS)
            )
    by, value = _group(setting, given)
    return Budget(
        amount=_amount(f"{setting}.amount", given.get("amount")),
        period=OneOf(*PERIODS)(f"{setting}.period", given.get("period") or "day"),
        by=by,
        value=value,
        thresholds=_thresholds(f"{setting}.thresholds", given.get("thresholds", (0.8, 1.0))),
        name=str(given.get("name") or ""),
        webhook=_webhook(f"{setting}.webhook", given.get("webhook")),
        notify=boolean(f"{setting}.notify", given.get("notify", False)),
        callback=_callback(f"{setting}.callback", given.get("callback")),
    )


def _short(setting: str, text: str) -> Budget:
    found = _SHORT.fullmatch(text.strip().lower())
    if found is None or (found[2] or "day") not in PERIODS:
        raise _mistake(setting, text, f"USD, or USD/period, of {', '.join(PERIODS)}")
    return Budget(amount=_amount(setting, found[1]), period=found[2] or "day")


def _group(setting: str, given: Mapping[str, Any]) -> tuple[str | None, str | None]:
    ones = {name: given[name] for name in GROUPS if given.get(name) is not None}
    by = given.get("by")
    by = None if by in {None, "none"} else OneOf("none", *GROUPS)(f"{setting}.by", by)
    if len(ones) > 1 or (ones and by not in {None, *ones}):
        raise _mistake(setting, dict(given), f"one of by, {', '.join(GROUPS)}")
    for name, value in ones.items():
        if not isinstance(value, str) or not value:
            raise _mistake(f"{setting}.{name}", value, "a text that is not empty")
        return name, value
    return by, None


def _amount(setting: str, given: object) -> Decimal:
    try:
        found = Decimal(str(given)) if not isinstance(given, bool) else Decimal(0)
    except InvalidOperation:
        found = Decimal(0)
    if not found.is_finite() or found <= 0:
        raise _mistake(setting, given, "USD, above 0")
    return found


def _thresholds(setting: str, given: object) -> tuple[float, ...]:
    found = (
        [number(str(each) if isinstance(each, Decimal) else each) for each in given]
        if isinstance(given, (list, tuple))
        else []
    )
    known = sorted({each for each in found if each is not None and each > 0})
    if not known or None in found or len(known) != len(found):
        raise ConfigurationError(
            setting, given, allowed="a list of parts of the amount, above 0", fix=f"for example {setting}=[0.8, 1.0]"
        )
    return tuple(known)


def _webhook(setting: str, given: object) -> str | None:
    if given is None:
        return None
    from orobserve.delivery.destination_config import expanded  # noqa: PLC0415 - for those who have a webhook

    url = expanded(setting, given, os.environ)
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        is_usable = parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_usable = False
    if not is_usable:  # the value may be a secret
        raise ConfigurationError(
            setting, "...", allowed="a URL with http or https, or $NAME", fix="check the address, and its scheme"
        )
    return str(url)


def _callback(setting: str, given: object) -> Callable[[Any], object] | None:
    if given is None or callable(given):
        return given
    raise ConfigurationError(setting, given, allowed="a function, in code only", fix="use webhook, or give it in code")
