"""A ledger from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orobserve.ledger import database
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.config import Config


def path_of(settings: Config) -> Path:
    """Return where the ledger is, whether it is on or not."""
    return Path(settings.ledger).expanduser() if isinstance(settings.ledger, str) else database.default_path()


def assemble(settings: Config, on_drop: Callable[[str, str, int], None] | None = None) -> Ledger:
    """Return the ledger that the settings describe; whether one is wanted is for the caller to know.

    Args:
        settings: of the whole.
        on_drop: told of every loss: the name `ledger`, the reason, how many.
    """
    return Ledger(
        path_of(settings),
        Keep(days=settings.ledger_days or None, size=settings.ledger_size or None),
        content=settings.ledger_content,
        masks=() if settings.mask is None else (settings.mask,),
        on_drop=on_drop,
    )


def on_by_default(settings: Config) -> dict[str, Any]:
    """Return what is to be given besides, so that there is a ledger unless the settings speak of it."""
    return {"ledger": True} if settings.ledger is None else {}
