"""A PostgreSQL server of Debian's package, with its data in a folder of its own. As root it runs as its own user."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.programs import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

_USER = "postgres"
PASSWORD = "pass-word-7"


def programs() -> Path | None:
    """Return where the newest server's programs are, which Debian keeps off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


class Postgres(Program):
    """A running server."""

    url: str

    def start(self) -> None:
        """Start it; after a crash that is possible once the last of its sessions has noticed."""
        for tries_left in reversed(range(100)):
            try:
                super().start()
            except AssertionError as error:  # noqa: PERF203 - it takes a process each time
                if "still in use" not in str(error) or not tries_left:
                    raise
            else:
                return


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a server with the user `postgres`, the password `PASSWORD` and the database `postgres`."""
    place = programs()
    assert place is not None
    folder = Path(tempfile.mkdtemp(prefix="orobserve-postgres-"))
    user = _USER if os.geteuid() == 0 else None  # the server refuses to run as root
    try:
        if user is not None:
            shutil.chown(folder, user)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = str(folder / "data")
        made = [str(place / "initdb"), "-D", data, "-A", "scram-sha-256", "-U", _USER, "--no-sync"]
        made.append(f"--pwfile={secret}")
        subprocess.run(made, check=True, capture_output=True, cwd=folder, timeout=120, user=user, group=user)
        (port,) = free_ports(1)
        command = [str(place / "postgres"), "-D", data, "-p", str(port), "-k", str(folder)]
        command += ["-c", "listen_addresses=127.0.0.1"]
        server = Postgres(command, folder, {}, "database system is ready to accept connections", user)
        server.url = f"postgresql://{_USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        with server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def settings(_folder: Path) -> Iterator[dict[str, str]]:
    """Yield the settings of a PostgreSQL destination that works."""
    if programs() is None and "CI" not in os.environ:
        pytest.skip("no PostgreSQL server: apt-get install postgresql")
    with postgres() as server:
        yield {"url": server.url}
