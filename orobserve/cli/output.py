"""Where an export goes: a file that is whole or not there, or standard output."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from typing_extensions import Self

from orobserve.errors import ConfigurationError
from orobserve.telemetry.console import escaped, is_terminal

if TYPE_CHECKING:
    from types import TracebackType

_OPTION = "--output"


class Output:
    """What is written, as long as the block lasts. A file gets its name when the block ends well, else it is removed.

    Args:
        name: of the file; `-` is standard output.
        force: whether a file of that name is replaced.
        is_text: whether it is text, which standard output takes.

    Raises:
        ConfigurationError: on entering: it cannot be written there.
    """

    def __init__(self, name: str, *, force: bool, is_text: bool) -> None:
        self._name, self._force, self._is_text = name, force, is_text
        self._temporary: Path | None = None
        self._path = Path(name).expanduser()

    def __enter__(self) -> Self:
        """Open it."""
        if self._name == "-":
            if not self._is_text:
                raise ConfigurationError(_OPTION, "-", allowed="a file, for this format", fix="add -o FILE")
            self._file: IO[Any] = sys.stdout
            return self
        try:
            self._open()
        except OSError as error:
            allowed = f"a file that can be written ({error.strerror})"
            raise ConfigurationError(_OPTION, self._name, allowed=allowed, fix="name another") from None
        return self

    def _open(self) -> None:
        self._path = self._path.resolve()  # a link stays one
        if self._path.exists() and not self._path.is_file():  # a pipe or a device, say; a folder is an error
            self._file = self._path.open("wb")
            return
        if self._path.exists() and not self._force:
            raise ConfigurationError(_OPTION, self._name, allowed="a new file", fix="name another, or add --force")
        # Made for its owner alone: what people said may be in it.
        descriptor, temporary = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)
        self._temporary = Path(temporary)
        self._file = os.fdopen(descriptor, "wb")

    @property
    def file(self) -> IO[bytes]:
        """The file, for what is no text."""
        return self._file

    def write(self, text: str) -> None:
        """Write text. What a terminal would obey is escaped as in JSON there, and half surrogate pairs everywhere."""
        if self._file is not sys.stdout:
            self._file.write(_encoded(text))
        elif is_terminal(sys.stdout):
            sys.stdout.write("\n".join(map(escaped, text.split("\n"))))
        elif hasattr(sys.stdout, "buffer"):
            sys.stdout.flush()
            sys.stdout.buffer.write(_encoded(text))  # UTF-8 whatever the locale, and the lines as they are
        else:
            sys.stdout.write(text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        if self._file is sys.stdout:
            if kind is None:
                sys.stdout.flush()
            return
        try:
            if kind is None and self._temporary is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
            self._file.close()
            if kind is None and self._temporary is not None:
                self._temporary.replace(self._path)
        finally:
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")  # half a surrogate pair becomes its escape in JSON
