"""Whole processes: eight that write at once and are killed, forks, exits, and an application that never notices."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orobserve.ledger.query import Reader
from tests.ledger import programs
from tests.scripts.programs import CALL as SAME_CALL
from tests.scripts.programs import run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITER = [sys.executable, str(Path(programs.__file__))]
unix = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


class Writers:
    """Processes that write to one ledger, and what they say is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.accepted: set[int] = set()
        self.started = 0
        self.running: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        command = [*WRITER, str(self.path), str(self.started), str(programs.SPACE)]
        self.running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        self.started += 1

    def listen(self, batches: int) -> None:
        """Wait until so many batches more are written, by whomever."""
        for _ in range(batches):
            ready, _, _ = select.select([each.stdout for each in self.running], [], [], 60)
            assert ready, "nobody writes"
            self._hear(ready[0].readline())

    def kill(self, place: int) -> None:
        """End one at once, and hear what it had still to say."""
        process = self.running.pop(place)
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert process.stdout is not None
        for line in process.stdout:
            self._hear(line)
        process.stdout.close()

    def _hear(self, line: str) -> None:
        if line.endswith("\n"):
            self.accepted |= set(range(int(line), int(line) + programs.BATCH))


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    made = Writers(tmp_path / "ledger.db")
    yield made
    while made.running:
        made.kill(0)


@unix
def test_eight_write_and_some_are_killed(writers: Writers) -> None:
    for _ in range(8):
        writers.start()
    for round_ in range(10):
        writers.listen(20)
        writers.kill(round_ % 8)
        writers.start()
    writers.listen(40)
    while writers.running:
        writers.kill(0)
    with Reader(writers.path) as reader:  # the first that comes by after the kills
        found = {int((each.generation_id or "")[4:]) for each in reader.rows(limit=None)}
        assert reader.sums()[0].calls == len(found)
    with closing(sqlite3.connect(writers.path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert writers.accepted
    assert writers.accepted <= found
    assert len(found - writers.accepted) <= 18 * programs.BATCH  # batches whose writer died before it could say so
    assert len(found) % programs.BATCH == 0  # each whole, or not at all
    assert sorted(each.name for each in writers.path.parent.iterdir() if "damaged" in each.name) == []


CALL = SAME_CALL.replace('"gen-1"', '"gen-" + __import__("uuid").uuid4().hex')  # each another call
SETUP = f"""
import os, sys
import httpx, orobserve
orobserve.instrument(ledger=sys.argv[1])
{CALL}
"""
AMOUNT = """
from pathlib import Path
from orobserve.ledger.query import Reader
with Reader(Path(sys.argv[1])) as reader:
    print(reader.sums()[0].calls)
"""


def calls_in(path: Path) -> int:
    with Reader(path) as reader:
        return reader.sums()[0].calls


def test_what_is_queued_is_written_at_exit(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    done = run_program(f"{SETUP}\nfor _ in range(3): call(httpx)", str(path))
    assert (calls_in(path), done.stderr) == (3, "")
    with Reader(path) as reader:
        (row, *_) = reader.rows()
        assert row.generation_id is not None
        found = reader.call(row.generation_id)
    assert found is not None
    assert found.content is not None  # the ledger has it, and no span


def test_nothing_is_made_before_the_first_call(tmp_path: Path) -> None:
    path = tmp_path / "data" / "ledger.db"
    run_program("import sys, orobserve\norobserve.instrument(ledger=sys.argv[1])", str(path))
    assert not path.parent.exists()


def test_without_a_ledger_sqlite_is_not_even_imported() -> None:
    done = run_program(
        f"import sys, httpx, orobserve\norobserve.instrument()\n{CALL}\ncall(httpx)\n"
        "print([name for name in sys.modules if 'orobserve.ledger' in name])"
    )
    assert done.stdout.strip() == "[]"


@unix
@pytest.mark.parametrize("flushed", [True, False])
def test_forks_write_their_own_and_only_that(flushed: bool, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"""{SETUP}
call(httpx)
if {flushed}:
    assert orobserve.flush(20.0)
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        call(httpx)
        assert orobserve.flush(20.0)
        os._exit(0)
    children.append(child)
call(httpx)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""
    run_program(source, str(path))
    assert calls_in(path) == 6


@unix
def test_a_fork_while_batches_are_written(tmp_path: Path) -> None:
    """A child never carries on with its parent's locks: it writes what is its own, and the file stays whole."""
    path = tmp_path / "ledger.db"
    source = f"""
import os, sys, threading
sys.path[:0] = {[str(programs.ROOT), str(programs.ROOT / "exporters")]!r}
from pathlib import Path
from orobserve.ledger.store import Keep
from orobserve.ledger.writer import Ledger
from tests.ledger.records import call
ledger = Ledger(Path(sys.argv[1]), Keep())
ledger._worker.size = 10
for number in range(500):
    ledger.offer(call(number))
children = []
for child_number in range(5):
    child = os.fork()
    if not child:
        for number in range(50):
            ledger.offer(call(10_000 * (child_number + 1) + number))
        assert ledger.flush(30)
        assert ledger.state.delivered == 50, ledger.state
        os._exit(0)
    children.append(child)
assert ledger.flush(30)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
ledger.close(2)
"""
    run_program(source, str(path))
    assert calls_in(path) == 750
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@unix
def test_a_fork_with_an_open_reader_has_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"""{SETUP}
call(httpx)
assert orobserve.flush(20.0)
from pathlib import Path
from orobserve.ledger.query import Reader
with Reader(Path(sys.argv[1])) as reader:
    child = os.fork()
    if not child:
        call(httpx)
        orobserve.flush(20.0)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""
    done = run_program(source, str(path))
    assert "this process was forked while the ledger" in done.stderr
    assert calls_in(path) == 1


@unix
def test_a_fork_that_cannot_wait_has_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"""{SETUP}
import threading
from orobserve.ledger import database
database._FORK_PATIENCE = 0.01
begun, rest = threading.Event(), threading.Event()
def hold():
    with database._gate:
        begun.set()
        rest.wait(30)
holder = threading.Thread(target=hold)
holder.start()
begun.wait(30)
child = os.fork()
if not child:
    call(httpx)
    orobserve.flush(20.0)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
rest.set()
holder.join()
call(httpx)
"""
    done = run_program(source, str(path))
    assert "this process was forked while the ledger" in done.stderr
    assert calls_in(path) == 1


@unix
def test_multiprocessing_workers_write_at_their_end(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"""
import sys, multiprocessing
import httpx, orobserve
{CALL}
orobserve.instrument(ledger=sys.argv[1])
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=call, args=(httpx,)) for _ in range(3)]
    for worker in workers: worker.start()
    for worker in workers: worker.join(30)
"""
    run_program(source, str(path))
    assert calls_in(path) == 3


@unix
def test_sigterm_flushes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    source = f"{SETUP}\ncall(httpx)\nimport signal\nos.kill(os.getpid(), signal.SIGTERM)\nimport time\ntime.sleep(30)"
    run_program(source, str(path), fails=True)
    assert calls_in(path) == 1


@unix
def test_a_full_disk_never_reaches_the_application(tmp_path: Path) -> None:
    """The system refuses every file beyond a size, as it does when a disk is full; then there is room again."""
    path = tmp_path / "ledger.db"
    source = f"""
import resource
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
{SETUP}
call(httpx)
assert orobserve.flush(20.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
for _ in range(20):
    call(httpx)
assert orobserve.flush(20.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
call(httpx)
assert orobserve.flush(20.0)
"""
    done = run_program(source, str(path))
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert calls_in(path) == 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@unix
def test_a_folder_that_cannot_be_written_never_reaches_the_application(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    done = run_program(f"{SETUP}\ncall(httpx)", str(tmp_path / "taken" / "ledger.db"))
    assert done.stderr.count("cannot be written") == 1
    assert "Traceback" not in done.stderr


@unix
def test_a_read_only_folder_never_reaches_the_application(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o500)
    nobody = "os.setgroups([]); os.setgid(65534); os.setuid(65534)" if os.getuid() == 0 else ""
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.name.startswith(("pytest", tmp_path.name)):
            parent.chmod(0o755)
    try:
        folder.chmod(0o555)
        done = run_program(
            f"{SETUP}\ncall(httpx)\n{nobody}\nassert not os.access(sys.argv[1], os.W_OK)", str(folder / "x")
        )
    finally:
        folder.chmod(0o700)
    assert done.stderr.count("cannot be written") == 1, done.stderr
    assert "Traceback" not in done.stderr
