"""A ledger of a test's own for commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the commands look for the ledger; there is none yet."""
    path = tmp_path / "ledger.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OROBSERVE_LEDGER", str(path))
    monkeypatch.setenv("COLUMNS", "200")
    return path
