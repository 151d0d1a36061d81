"""Secrets out of free text: error messages, exception texts and captured content may quote keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = "[REDACTED]"
_MIN_SECRET = 6  # a shorter "secret" would blank out ordinary words
_PATTERNS = re.compile(
    r"\b(?:sk|pk)-[A-Za-z0-9_-]{8,}"
    r"|(?<=Bearer )[^\s\"',]+|(?<=bearer )[^\s\"',]+"
    r"|(?<=[?&]key=)[^\s&#\"']+|(?<=[?&]api_key=)[^\s&#\"']+|(?<=[?&]token=)[^\s&#\"']+"
)
_SECRET_NAME = re.compile(r"key|token|secret|auth|password|signature", re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Replace what looks like a key, and the given secrets wherever they stand."""
    for secret in secrets:
        if len(secret) >= _MIN_SECRET:
            text = text.replace(secret, MASK).replace(quote(secret, safe="", errors="replace"), MASK)
    return _PATTERNS.sub(MASK, text)


def secrets_of_query(query: str) -> list[str]:
    """Return the values of a URL's query that are secrets by their name."""
    return [value for name, value in parse_qsl(query) if _SECRET_NAME.search(name)]
