"""The file `orobserve.toml`: where it is, what it holds, and on which line a setting stands. It knows no setting."""

from __future__ import annotations

import re
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "OROBSERVE_CONFIG"
NAME = "orobserve.toml"
_ITEM = re.compile(r"(destinations|budgets)\[(\d+)\]")
_HEADER = re.compile(r"\s*\[\[?\s*([^]]+?)\s*\]")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """The file's settings; `text` says where each of them stands."""

    path: Path
    text: str = field(repr=False)
    values: Mapping[str, Any] = field(repr=False)

    @contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Let an error about a setting say that it stands in this file, and on which line."""
        try:
            yield
        except ConfigurationError as error:
            line = line_of(self.text, error.setting)
            error.args = (f"{self.path}{f', line {line}' if line else ''}: {error}",)
            raise


def read(environ: Mapping[str, str]) -> File | None:
    """Return the file that `OROBSERVE_CONFIG` names, else the one in the working directory, if there is one.

    Raises:
        ConfigurationError: it cannot be read.
    """
    named = environ.get(VARIABLE)
    path = Path(named or NAME).expanduser()
    try:
        if not named and not path.is_file():
            return None
        text = path.read_text("utf-8")
        return File(path=path, text=text, values=_parse(text))
    except OSError as error:
        raise ConfigurationError(
            VARIABLE, str(path), allowed="the path of a file that can be read", fix=f"{error.strerror}: check the path"
        ) from None
    except ValueError as error:
        raise ConfigurationError(
            str(path),
            str(error),
            allowed="TOML in UTF-8",
            fix="mend the line; `orobserve destinations show` has examples",
        ) from None


def _parse(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):  # imported here: most users have no such file
        import tomllib  # noqa: PLC0415
    else:  # pragma: no cover - Python 3.10
        import tomli as tomllib  # noqa: PLC0415
    return tomllib.loads(text)


def line_of(text: str, setting: str) -> int | None:
    """Return the number of the line a setting stands on, or at least its object's; None where it is not clear.

    A setting is named as in errors: `hosts`, or `destinations[1].config.api_key`.
    """
    found = _ITEM.match(setting)
    kind, wanted = (found[1], int(found[2])) if found else ("", None)
    keys = [part.lower().replace("_", "") for part in _BARE_KEY.findall(setting[found.end() :] if found else setting)]
    seen, top, start, best = -1, True, None, 0
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            top = False
            if header[1] == kind and line.lstrip().startswith("[["):
                seen += 1
                start = number if seen == wanted else start
        inside = top if wanted is None else seen == wanted
        words = _BARE_KEY.match(line.strip(" \t[").removeprefix(f"{kind}."))
        word = words[0].lower().replace("_", "") if words else ""
        if inside and word in keys and keys.index(word) + 1 > best:
            start, best = number, keys.index(word) + 1
    return start
