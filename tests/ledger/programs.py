"""Programs that write to a ledger until somebody ends them: `python programs.py PATH WORKER COUNT`.

Each prints the numbers of the records that are written, a line per batch, once the write has returned.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from orobserve.ledger import codec, database
from orobserve.ledger.store import Keep, Store
from tests.ledger.records import call

ROOT = Path(__file__).parent.parent.parent
BATCH = 20
SPACE = 10**6  # numbers of one worker


def write(path: Path, worker: int, count: int) -> None:
    """Write batches, as many as are asked for."""
    store = Store(path, Keep())
    for start in range(worker * SPACE, worker * SPACE + count, BATCH):
        made = [call(number, request=call(worker).request) for number in range(start, start + BATCH)]
        batch = [(each, codec.encode(each)) for each in made]
        while True:
            try:
                store.write(batch, 0)
                break
            except sqlite3.OperationalError as error:
                if not database.is_passing(error):
                    raise
        sys.stdout.write(f"{start}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
