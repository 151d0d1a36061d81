"""What all commands over the ledger share: which calls are meant, the open ledger, and how things are named."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from orobserve.errors import ConfigurationError
from orobserve.ledger.assembly import path_of
from orobserve.ledger.database import LedgerError
from orobserve.ledger.filters import Filter
from orobserve.ledger.moments import WHEN, moment
from orobserve.ledger.query import Reader

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from orobserve.config import Config

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SHOWN = 8  # digits of a key's hash


def add_filters(parser: argparse.ArgumentParser, *, since: str | None = None) -> None:
    """Add the options that say which calls are meant.

    Args:
        parser: of the command.
        since: the default of `--since`; None: from the beginning.
    """
    parser.add_argument(
        "--since", default=since, metavar="WHEN", help=f"{WHEN} (default: {since or 'from the beginning'})"
    )
    parser.add_argument("--until", metavar="WHEN", help="likewise (default: now)")
    for name in ("model", "provider", "user", "session", "tag"):
        parser.add_argument(f"--{name}", help=f"only this {name}" + (", a word or key=value" if name == "tag" else ""))
    parser.add_argument("--key", metavar="HASH", help="only this API key, by its SHA-256 or your label for it")
    parser.add_argument("--errors", action="store_true", help="only calls that failed")


def add_formats(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how a table is written."""
    formats = parser.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="machine-readable output")
    formats.add_argument("--csv", action="store_true", help="comma-separated values")


def wanted(options: argparse.Namespace, settings: Config) -> Filter:
    """Return which calls the options mean.

    Raises:
        ConfigurationError: a time cannot be read, or the end is before the beginning.
    """
    now = time.time_ns()
    since, until = moment("--since", options.since, now), moment("--until", options.until, now)
    if since is not None and until is not None and since >= until:
        fix = f"for example: --since {options.until} --until {options.since}"
        raise ConfigurationError("--until", options.until, allowed=f"later than --since {options.since}", fix=fix)
    return Filter(
        since=since,
        until=until,
        **{name: getattr(options, name) for name in ("model", "provider", "user", "session", "tag")},
        api_key=key_hash(options.key, settings.api_key_labels),
        error=True if options.errors else None,
    )


@contextmanager
def reader(settings: Config) -> Iterator[Reader]:
    """Open the ledger, as long as the block lasts.

    Raises:
        ConfigurationError: there is none, or it cannot be read; the text says how one begins.
    """
    try:
        with Reader(path_of(settings)) as opened:
            yield opened
    except LedgerError as error:
        raise no_ledger(settings, error) from None


def no_ledger(settings: Config, error: Exception) -> ConfigurationError:
    """Return what to tell whoever has no ledger that can be used."""
    fix = "run something with `orobserve run -- CMD`, or instrument(ledger=True); OROBSERVE_LEDGER names another file"
    return ConfigurationError("ledger", str(path_of(settings)), allowed=f"a ledger ({error})", fix=fix)


def count(text: str) -> int:
    """Read a number that is not negative; for argparse."""
    found = int(text)
    if found < 0:
        raise ValueError(text)
    return found


def clock(at: int) -> str:
    """Return a time, in nanoseconds since the epoch, as the clock on the wall shows it."""
    return f"{_local(at):%Y-%m-%d %H:%M:%S}"


def utc(at: int) -> str:
    """Return a time, in nanoseconds since the epoch, as machines like it: ISO 8601, UTC, to the microsecond."""
    return f"{_EPOCH + timedelta(microseconds=at // 1000):%Y-%m-%dT%H:%M:%S.%fZ}"


def _local(at: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=at // 1000)).astimezone()


def key_name(hash_: str | None, labels: Mapping[str, str]) -> str | None:
    """Return how a key is shown: the user's label for it, or the beginning of its hash."""
    return None if hash_ is None else labels.get(hash_, hash_[:_SHOWN])


def key_hash(given: str | None, labels: Mapping[str, str]) -> str | None:
    """Return the hash of a key that was given by the user's label for it, or by its hash."""
    return next((key for key, label in labels.items() if label == given), given)
