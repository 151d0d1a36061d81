"""What OpenRouter tells of an account, with a management key: activity by day and model, and credits. It only asks."""

from __future__ import annotations

import os
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve.errors import ConfigurationError
from orobserve.wire.values import count, mapping, text

if TYPE_CHECKING:
    from datetime import date

    from orobserve.lookup import Client, Source

BASE = "https://openrouter.ai/api/v1"
MANAGEMENT_KEY = "OPENROUTER_MANAGEMENT_KEY"
_OK = 200
_REASONS = {
    400: "OpenRouter does not accept the request: its activity has the last 30 completed days, of UTC",
    401: "OpenRouter refuses the key",
    403: "this is no management key",
    404: "there is no such address: check --base-url",
    429: "OpenRouter asks to come again later",
}


def management_key(variable: str = MANAGEMENT_KEY) -> str:
    """Return the key of that name in the environment.

    Raises:
        ConfigurationError: there is none.
    """
    key = os.environ.get(variable)
    if not key:
        raise ConfigurationError(
            variable,
            None,
            allowed="a management key of OpenRouter, which is not an API key",
            fix=f"make one at https://openrouter.ai/settings/management-keys and export {variable}=...",
        )
    return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What one endpoint of a model was used for on a day. `cost` in USD: credits, and what BYOK providers billed."""

    model: str
    permaslug: str
    requests: int
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """USD that were bought and used since the account began."""

    total: Decimal
    used: Decimal


def activity(client: Client, source: Source, day: date, key_hash: str | None = None) -> list[Activity]:
    """Ask for the activity of a day, of UTC, of all keys or of one.

    Raises:
        ConnectionError: OpenRouter did not answer as documented; the text says what to do.
    """
    only = {} if key_hash is None else {"api_key_hash": key_hash}
    found = _ask(client, source, "/activity", date=day.isoformat(), **only)
    if not isinstance(found, list):
        raise _unlike(source)
    return [_row(source, mapping(each)) for each in found]


def credits_of(client: Client, source: Source) -> Credits:
    """Ask for the credits.

    Raises:
        ConnectionError: likewise.
    """
    found = mapping(_ask(client, source, "/credits"))
    return Credits(total=_money(source, found, "total_credits"), used=_money(source, found, "total_usage"))


def _ask(client: Client, source: Source, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
    response = client.get(source, path, **query)
    if response is None:
        raise ConnectionError(f"{source.api} cannot be reached")
    if response.status_code != _OK:
        reason = _REASONS.get(response.status_code, "OpenRouter did not answer as expected")
        raise ConnectionError(f"{path[1:]}: {reason} (HTTP {response.status_code})")
    try:
        return mapping(response.json(parse_float=Decimal)).get("data")
    except ValueError:
        raise _unlike(source) from None


def _row(source: Source, given: dict[str, Any]) -> Activity:
    model = text(given.get("model"))
    counts = {name: count(given.get(name)) for name in ("requests", "prompt_tokens", "completion_tokens")}
    if model is None or None in counts.values():
        raise _unlike(source)
    return Activity(
        model=model,
        permaslug=text(given.get("model_permaslug")) or model,
        requests=counts["requests"] or 0,
        input_tokens=counts["prompt_tokens"] or 0,
        output_tokens=counts["completion_tokens"] or 0,
        reasoning_tokens=count(given.get("reasoning_tokens")) or 0,
        cost=_money(source, given, "usage") + _money(source, given, "byok_usage_inference"),
    )


def _money(source: Source, given: dict[str, Any], name: str) -> Decimal:
    found = given.get(name)
    if not isinstance(found, (int, Decimal)) or isinstance(found, bool) or not Decimal(found).is_finite():
        raise _unlike(source)
    return Decimal(found)


def _unlike(source: Source) -> ConnectionError:
    return ConnectionError(f"{source.api} does not answer as OpenRouter does: check --base-url")
