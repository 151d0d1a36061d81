"""Servers of real products, each a process group of its own on free ports, with its data in a folder of the test's."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_START = 120  # seconds in which a server must be up
_STOP = 10
_PLACES = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))


def program(name: str) -> str | None:
    """Return the path of a program of this environment, or of the user's PATH."""
    return shutil.which(name, path=_PLACES)


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface where nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for free in sockets:
            free.bind(("127.0.0.1", 0))
        return [free.getsockname()[1] for free in sockets]
    finally:
        for free in sockets:
            free.close()


class Program:
    """A server that is up as long as the block lasts; `kill` and `start` in between are a crash and a restart.

    Args:
        command: the program and its arguments.
        folder: where it runs, and its home.
        settings: of its environment.
        ready: what it says when it is up.
        user: who runs it, if not the tests' own user.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        settings: Mapping[str, str],
        ready: str,
        user: str | None = None,
    ) -> None:
        self._command = list(command)
        self._folder = folder
        path = os.pathsep.join((str(Path(command[0]).parent), os.environ.get("PATH", "")))
        own = {"PATH": path, "HOME": str(folder), "PYTHONUNBUFFERED": "1", "DO_NOT_TRACK": "1"}
        self._env = {**own, **settings}
        self._ready = ready
        self._user = user
        self._process: subprocess.Popen[str] | None = None
        self._listener: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it says that it is up."""
        process = self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            user=self._user,
            group=self._user,
        )
        said: list[str] = []
        settled = threading.Event()  # it is up, or it has ended

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if self._ready in line:
                    settled.set()
            settled.set()

        self._listener = threading.Thread(target=listen, daemon=True)
        self._listener.start()
        settled.wait(_START)
        if not any(self._ready in line for line in said):
            self.stop()
            raise AssertionError("the server did not start: " + "".join(said[-30:]))

    def kill(self) -> None:
        """End it at once, with all the processes that it has started."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as its users would."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP)
        with suppress(ProcessLookupError):  # MLflow's job runners outlive it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP)
        assert self._listener is not None
        self._listener.join(_STOP)
        assert process.stdout is not None
        process.stdout.close()
