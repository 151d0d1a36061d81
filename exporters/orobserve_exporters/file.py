"""A file of OTLP JSON lines: one export request per line, which a Collector's `otlpjsonfile` receiver reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orobserve.delivery import DirectExporter, Field, Result, Verdict
from orobserve_exporters._broadcast import BroadcastExporter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.generation import Generation

_MODE = 0o600  # it may hold what people said


class _Lines(BroadcastExporter):
    JSON = True

    def url(self) -> str:
        return "file:"


class File(DirectExporter):
    """Opened for each batch, so that it may be moved away at any time; never rotated."""

    TYPE = "file"
    TITLE = "File"
    FIELDS = (
        Field(name="path", help="file to append to; made with mode 0600", required=True),
        *BroadcastExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._path = Path(config["path"]).expanduser()
        self._lines = _Lines(config)

    def export(self, batch: Sequence[Generation]) -> Result:
        """Append a line."""
        self._append(self._lines.encode(batch).body + b"\n")
        return Result(verdict=Verdict.DELIVERED)

    def check(self) -> Result:
        """Open the file; it is made if it is not there."""
        try:
            self._append(b"")
        except OSError as error:
            return Result(verdict=Verdict.REJECTED, reason=f"path cannot be written: {error.strerror}")
        return Result(verdict=Verdict.DELIVERED)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _MODE)
        with os.fdopen(descriptor, "ab") as file:
            file.write(line)
