"""Records of the ledger as JSON: exact amounts as texts, since a page's numbers are binary fractions."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:  # noqa: ANN401 - any record, and what it is as JSON
    """Return what stands for a value in JSON; None is unknown and stays it."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if is_dataclass(value):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    return dict(value) if hasattr(value, "items") else value


def exact(value: object) -> object:
    """Return an amount that came as JSON's number, with all the digits that it had there."""
    return f"{Decimal(repr(value)):f}" if isinstance(value, (int, float)) and not isinstance(value, bool) else value
