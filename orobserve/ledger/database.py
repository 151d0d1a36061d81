"""The file: where it is, how it is opened, and what is done when it is damaged. It knows no record.

SQLite must not be carried across a fork: the child would believe that it holds the parent's locks. So a connection is
open only in a `with` block, and a fork waits a moment for those that are writing. If one is open all the same, the
child has no ledger: better no row than a damaged file.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import sys
import threading
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orobserve.ledger import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_log = logging.getLogger("orobserve")
_BUSY = 0.5  # seconds that SQLite itself waits for another writer; whoever needs more comes again
_FORK_PATIENCE = 2.0  # seconds that a fork may wait for a batch that is being written
_READER_PATIENCE = 0.25  # seconds that it may wait for those that read, which may be on its own thread
_SUFFIXES = ("-wal", "-shm", "")  # the main file goes last: without it, the others would be taken for a new one's

_gate = threading.RLock()  # held while a writing connection is open in this process
_open: set[int] = set()  # connections of this process
# Whether a fork holds the gate (None: there is none, or it came past Python), and whether this process has no ledger.
_state: dict[str, bool | None] = {"held": None, "lost": False}


class LedgerError(Exception):
    """The ledger cannot be used, and why."""


def default_path(environ: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Return where the ledger is when nobody says otherwise: in the user's data folder."""
    home = Path.home()
    if platform == "win32":
        folder = Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif platform == "darwin":
        folder = home / "Library" / "Application Support"
    else:
        folder = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    return folder / "orobserve" / "ledger.db"


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger to write, making or migrating it where that is due.

    Raises:
        LedgerError: it cannot be used in this process, or a newer orobserve has written it.
        sqlite3.Error: SQLite's own.
        OSError: it cannot be made.
    """
    with _gate:
        if _state["lost"]:
            raise LedgerError("this process was forked while the ledger was being written; start it anew to have one")
        _create(path)
        seen = inode(path)
        with _counted(sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)) as opened:
            is_usable = _is_usable(path, opened)
            if is_usable:
                yield opened
        if not is_usable:
            set_aside(path, seen, "it is from before the first release", word="old")
            with writing(path) as opened:
                yield opened


def _is_usable(path: Path, connection: sqlite3.Connection) -> bool:
    """Prepare a file to be written; returns False, and changes nothing, where it is to be set aside."""
    _check_version(path, connection)
    if schema.is_foreign(connection):
        raise LedgerError(f"{path} is another program's database: give the ledger a file of its own")
    if schema.is_unreleased(connection):
        return False
    if not schema.version_of(connection):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # before the first table
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # what is written survives our death, though not a power cut
    schema.migrate(connection)
    return True


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger to read, migrating it where that is due.

    Raises:
        LedgerError: there is none, it is damaged, or a newer orobserve has written it.
    """
    if not path.is_file():
        raise LedgerError(f"there is no ledger at {path} yet: it begins with the first call")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with _counted(sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None)) as opened:
            is_old = schema.version_of(opened) < schema.VERSION
        if is_old:
            with writing(path):
                pass
        with _counted(sqlite3.connect(uri, uri=True, timeout=_BUSY, isolation_level=None)) as opened:
            _check_version(path, opened)
            yield opened
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger {path} cannot be read: {error}") from error


@contextmanager
def _counted(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    _open.add(id(connection))
    try:
        with closing(connection):
            yield connection
    finally:
        _open.discard(id(connection))


def _create(path: Path) -> None:
    """Make the file for its owner alone; SQLite gives the files beside it the same mode."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _check_version(path: Path, connection: sqlite3.Connection) -> None:
    if (found := schema.version_of(connection)) > schema.VERSION:
        raise LedgerError(f"a newer orobserve has written {path} (version {found}, not {schema.VERSION}): update this")


def is_damage(error: sqlite3.Error) -> bool:
    """Tell whether an error says that the file is damaged, or is no database."""
    words = ("malformed database", "not a database", "disk image", "corrupt", "unsupported file format")
    return isinstance(error, sqlite3.DatabaseError) and any(word in str(error) for word in words)


def is_passing(error: sqlite3.Error) -> bool:
    """Tell whether an error only says that others are writing."""
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def check(path: Path) -> None:
    """Read the whole file and have SQLite judge it.

    Raises:
        sqlite3.DatabaseError: it is damaged.
    """
    with writing(path) as connection:
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")


def room(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return how many bytes the file takes up, and how many of them are free."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return pages * size, free * size


def inode(path: Path) -> int | None:
    """Return what tells one file of that name from the next."""
    with suppress(OSError):
        return path.stat().st_ino
    return None


def set_aside(path: Path, damaged: int | None, reason: str, *, word: str = "damaged") -> None:
    """Move a file that cannot be used out of the way, with those beside it; unless another process has done so.

    Args:
        path: of the ledger.
        damaged: the `inode` that was found to be so.
        reason: what is wrong with it.
        word: likewise, in one word: it is part of the file's new name.
    """
    with _gate, _alone(path):
        if damaged is None or inode(path) != damaged:
            return
        place = path.with_name(f"{path.name}.{word}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.getpid()}")
        for suffix in _SUFFIXES:
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{place}{suffix}")
    _log.error(
        "the ledger %s is %s (%s): it is kept as %s, and a new one begins.%s",
        path,
        word,
        reason,
        place,
        " `sqlite3 FILE .recover` may save rows" if word == "damaged" else "",
    )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from doing the same; the system ends the lock of a process that dies."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows, where a file that others have open cannot be moved anyway
    except ImportError:  # pragma: no cover
        yield
        return
    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _before_fork() -> None:
    _state["held"] = _gate.acquire(timeout=_FORK_PATIENCE)
    until = time.monotonic() + _READER_PATIENCE
    while _open and time.monotonic() < until:
        time.sleep(0.001)


def _after_fork_in_parent() -> None:
    if _state["held"]:
        _gate.release()
    _state["held"] = None


def _after_fork_in_child() -> None:
    global _gate  # noqa: PLW0603 - the old one may be held by a thread that is not here
    _gate = threading.RLock()
    _state.update(held=None, lost=_state["lost"] or _state["held"] is False or bool(_open))


if hasattr(os, "register_at_fork"):  # pragma: no branch - it is missing on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
