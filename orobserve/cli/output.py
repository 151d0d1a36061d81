"""Where an export goes: a file that is whole or not there, or standard output."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTION = "--output"


class Output:
    """Text, in UTF-8 whatever the locale, or bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def write(self, text: str) -> None:
        """Write text."""
        self.file.write(text.encode())


@contextmanager
def opened(name: str, *, force: bool, is_text: bool) -> Iterator[Output]:
    """Open what is written to, as long as the block lasts. A file gets its name when the block ends well.

    Args:
        name: of the file; `-` is standard output.
        force: whether a file of that name is replaced.
        is_text: whether it is text, which standard output takes.

    Raises:
        ConfigurationError: it cannot be written there.
    """
    if name == "-":
        if not is_text:
            raise ConfigurationError(_OPTION, "-", allowed="a file, for this format", fix="add -o FILE")
        yield Output(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_file(name, force=force))
        except OSError as error:
            allowed = f"a file that can be written ({error.strerror})"
            raise ConfigurationError(_OPTION, name, allowed=allowed, fix="name another") from None
        yield Output(file)


@contextmanager
def _file(name: str, *, force: bool) -> Iterator[BinaryIO]:
    path = Path(name).expanduser().resolve()  # a link stays one
    if path.exists() and not path.is_file():  # a pipe or a device, say; a folder is an error
        with path.open("wb") as file:
            yield file
        return
    if path.exists() and not force:
        raise ConfigurationError(_OPTION, name, allowed="a new file", fix="name another, or add --force")
    # Made for its owner alone: what people said may be in it.
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
