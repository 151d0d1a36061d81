"""What `orobserve doctor` says of the ledger: where it is, what is in it, and whether it can be used."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from orobserve.cli.examination import Problem
from orobserve.ledger.assembly import path_of
from orobserve.ledger.database import LedgerError
from orobserve.ledger.outbox import delivery_states
from orobserve.ledger.query import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from orobserve.config import Config


def ledger(settings: Config, problems: list[Problem]) -> dict[str, Any]:
    """Return where the ledger is, who has one, how large it is (bytes) and what is in it; `calls` None: no file yet."""
    path = path_of(settings)
    by_default = "for run, proxy and receive"
    report: dict[str, Any] = {
        "path": str(path),
        "on": by_default if settings.ledger is None else "always" if settings.ledger else "never",
        "bytes": None,
        "calls": None,
    }
    if settings.ledger is not False:
        _check_folder(path, problems)
    if path.is_file():
        _read(path, report, problems)
    for damaged in sorted(path.parent.glob(f"{path.name}.damaged-*")):
        if not damaged.name.endswith(("-wal", "-shm")):
            fix = f"save what can be saved with `sqlite3 {damaged} .recover`, or remove it"
            problems.append(Problem(what=f"a damaged ledger was set aside: {damaged}", fix=fix, is_warning=True))
    return report


def _check_folder(path: Path, problems: list[Problem]) -> None:
    folder = next(each for each in (path, *path.parents) if each.exists())
    if not os.access(folder, os.W_OK):
        fix = "let this user write there, or set OROBSERVE_LEDGER to another file"
        problems.append(Problem(what=f"the ledger cannot be written: no access to {folder}", fix=fix))


def _read(path: Path, report: dict[str, Any], problems: list[Problem]) -> None:
    found = path.stat()
    report["bytes"] = found.st_size
    if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
        fix = f"chmod 600 {path}"
        problems.append(Problem(what=f"others can read the ledger {path}, and what was said", fix=fix, is_warning=True))
    try:
        with Reader(path) as reader:
            report["calls"] = sum(each.calls for each in reader.sums())
        states = delivery_states(path)
    except LedgerError as error:
        problems.append(Problem(what=str(error), fix="the next call sets a damaged file aside; else mend its rights"))
        return
    for state in states:
        if state.dead:
            what = f"{state.destination} has refused {state.dead} calls: {state.last_reason}"
            fix = f"`orobserve destinations dead {state.destination}` lists them; `orobserve replay --to "
            fix += f"{state.destination} --dead` sends them again"
            problems.append(Problem(what=what, fix=fix, is_warning=True))
