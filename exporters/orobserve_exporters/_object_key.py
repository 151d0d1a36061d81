"""Keys of objects: folders by Broadcast's path template, and names that ids of users cannot break out of."""

from __future__ import annotations

import hashlib
import re
from string import Formatter
from typing import TYPE_CHECKING

from orobserve_exporters._figures import moment
from orobserve_exporters._tree import given_trace_id

if TYPE_CHECKING:
    from orobserve.generation import Generation

_VARIABLES = ("prefix", "date", "year", "month", "day", "apiKeyName", "api_key_name")
_UNSAFE = re.compile(r"[^\w.@=+:-]")
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]|(^|/)\.{1,2}(/|$)")
_SLASHES = re.compile("/+")
_LONGEST_VALUE = 128  # bytes of an id, or of a key's name
_LONGEST_FOLDER = 600  # bytes; a name has up to 310, and a key of S3 1024


class Folders:
    """Where the objects of a generation go.

    Args:
        template: of the path, with Broadcast's variables.
        prefix: the value of the first.

    Raises:
        ValueError: the two make no key; the text says what to change.
    """

    def __init__(self, template: str, prefix: str) -> None:
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"path_template is not a template: {error}") from None
        for _, name, specification, conversion in parts:
            if name is not None and (name not in _VARIABLES or specification or conversion):
                allowed = ", ".join(f"{{{known}}}" for known in _VARIABLES)
                raise ValueError(f"path_template has {{{name}}}, which is not one of {allowed}")
        self._template = template
        self._prefix = prefix
        sample = self._render("2006-01-02", "x" * _LONGEST_VALUE)
        if _FORBIDDEN.search(sample):
            raise ValueError("path_template and prefix may have no control characters, and no part that is . or ..")
        if len(sample.encode()) > _LONGEST_FOLDER:
            raise ValueError(f"path_template and prefix make paths of more than {_LONGEST_FOLDER} bytes: shorten them")
        self.root = self._root(parts)

    def of(self, generation: Generation) -> str:
        """Return the folder, without a slash at its ends; empty for the bucket itself. Dates are of the start, UTC."""
        name = safe(generation.request.api_key_name or "unknown")
        return self._render(moment(generation.timing.started_at).date().isoformat(), name)

    def _render(self, date: str, key_name: str) -> str:
        year, month, day = date.split("-")
        values = {"date": date, "year": year, "month": month, "day": day, "prefix": self._prefix}
        found = self._template.format(**values, apiKeyName=key_name, api_key_name=key_name)
        return _SLASHES.sub("/", found).strip("/")

    def _root(self, parts: list[tuple[str, str | None, str | None, str | None]]) -> str:
        """Return the part of the path that all folders share."""
        shared = ""
        for literal, name, _, _ in parts:
            shared += literal
            if name == "prefix":
                shared += self._prefix
            elif name is not None:
                shared = shared.rpartition("/")[0]
                break
        return _SLASHES.sub("/", shared).strip("/")


def join(folder: str, name: str) -> str:
    """Return a key."""
    return f"{folder}/{name}" if folder else name


def object_name(generation: Generation) -> str:
    """Return the name of a generation's own object: `{traceId}-{milliseconds}-{generationId}.json`."""
    ids = [_distinct(found or "unknown") for found in (given_trace_id(generation), generation.id or generation.span_id)]
    return f"{ids[0]}-{milliseconds(generation)}-{ids[1]}.json"


def milliseconds(generation: Generation) -> int:
    """Return the start of a call since the epoch."""
    return generation.timing.started_at // 1_000_000


def safe(value: str) -> str:
    """Return a text as one part of a path, cut to what fits."""
    found = _UNSAFE.sub("_", value).encode()[:_LONGEST_VALUE].decode(errors="ignore")
    return found if found.strip(".") else found.replace(".", "_") or "_"


def _distinct(value: str) -> str:
    """Return an id as a part of a name; ids that differ stay different."""
    found = safe(value)
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
    return found if found == value else f"{found}-{digest[:16]}"
