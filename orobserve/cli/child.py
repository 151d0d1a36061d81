"""A command as our child: its terminal, its signals and its exit status pass through us unchanged."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")
_ALONE = re.compile(r"-[a-zA-Z]*[EIS][a-zA-Z]*")  # options with which Python does not look at PYTHONPATH
_FORWARDED = ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
_SHEBANG_LIMIT = 256


def exists(name: str) -> bool:
    """Tell whether there is such a program, or at least a file."""
    return shutil.which(name) is not None or Path(name).exists()


def python_of(command: Sequence[str]) -> str | None:
    """Return the interpreter that runs a command, if it is a Python program which takes our `sitecustomize`."""
    found = shutil.which(command[0])
    if found is None:
        return None
    if _PYTHON.fullmatch(Path(found).name):
        options = []
        for word in command[1:]:
            if not word.startswith("-") or word in {"-c", "-m", "-"}:
                break
            options.append(word)
        return None if any(_ALONE.fullmatch(word) for word in options) else found
    words = _shebang(Path(found))
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    if not words or not _PYTHON.fullmatch(Path(words[0]).name):
        return None
    return None if any(_ALONE.fullmatch(word) for word in words[1:]) else shutil.which(words[0])


def can_import(python: str, environ: Mapping[str, str]) -> bool:
    """Tell whether an interpreter has orobserve: it may be that of another environment."""
    code = "import importlib.util, sys; sys.exit(importlib.util.find_spec('orobserve') is None)"
    with suppress(OSError, subprocess.TimeoutExpired):
        command = [python, "-c", code]
        return subprocess.run(command, env=dict(environ), timeout=20, capture_output=True).returncode == 0  # noqa: PLW1510, S603
    return False


def run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run a command to its end and return its status: below 0, the signal that ended it.

    Raises:
        OSError: it cannot be started.
    """
    process = subprocess.Popen(list(command), env=dict(environ))  # noqa: S603 - what the user has typed

    def forward(number: int, _frame: object) -> None:
        with suppress(ProcessLookupError):
            process.send_signal(number)

    def interrupt(number: int, frame: object) -> None:
        if not _shares_terminal():  # else the terminal has told the command already
            forward(number, frame)

    before: dict[int, Any] = {}
    for name in _FORWARDED:
        number = getattr(signal, name, None)
        if number is not None:
            before[number] = signal.signal(number, forward)
    before[signal.SIGINT] = signal.signal(signal.SIGINT, interrupt)
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_as(status: int) -> int:
    """Return a command's exit status as ours; of a command that a signal has ended, end by the same signal."""
    if status >= 0:
        return status
    sys.stdout.flush()
    sys.stderr.flush()
    number = -status
    with suppress(OSError, ValueError):  # SIGKILL keeps its handler
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number  # it was blocked, or is ignored


def _shares_terminal() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


def _shebang(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            line = file.readline(_SHEBANG_LIMIT)
    except OSError:
        return []
    return line[2:].decode("utf-8", "replace").split() if line.startswith(b"#!") else []
