"""`orobserve run`: commands as users type them, in processes of their own, against the simulator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli.child import python_of
from orobserve.ledger.query import Reader
from orobserve.testing import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orobserve.testing import Simulator

CALL = """
import httpx, os
url = os.environ["OPENROUTER_BASE_URL"] + "/chat/completions"
body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "canary"}]}
httpx.post(url, json=body, headers={"Authorization": "Bearer sk-or-v1-canary"}).raise_for_status()
"""
# Its cost is in OpenRouter's record of the call only.
STREAM = CALL.replace("/chat/completions", "/messages").replace(
    '"messages":', '"stream": True, "max_tokens": 9, "messages":'
)


@pytest.fixture
def environ(sim: Simulator, tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    return {
        **kept,
        "OPENROUTER_BASE_URL": sim.url,
        "OROBSERVE_HOSTS": sim.root,
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }


@pytest.fixture
def run(environ: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    def found(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        options = ("--json",) if more.pop("json", False) else ()
        return subprocess.run(
            [sys.executable, "-m", "orobserve", "run", *options, "--", *command],
            env={**environ, **more.pop("env", {})},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **more,
        )

    return found


def script(folder: Path, code: str, name: str = "app.py") -> str:
    path = folder / name
    path.write_text(textwrap.dedent(code))
    path.chmod(0o755)
    return str(path)


def total(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])["total"]
    return found


def test_a_program_is_observed_and_its_cost_told(run: Any, sim: Simulator, tmp_path: Path) -> None:
    done = run(sys.executable, script(tmp_path, CALL + "print('its own words')"))
    assert (done.returncode, done.stdout) == (0, "its own words\n")
    assert "openai/gpt-4o" in done.stderr
    assert f"1 call, 0 errors, total spend ${sim.bill.normalize():f}" in done.stderr
    assert "canary" not in done.stderr


@pytest.mark.parametrize("way", ["-c", "-m", "script", "env script"])
def test_every_way_to_start_python(run: Any, tmp_path: Path, way: str) -> None:
    ways = {
        "-c": (sys.executable, "-c", CALL),
        "-m": (sys.executable, "-m", "app"),
        "script": (script(tmp_path, f"#!{sys.executable}\n{CALL}", "tool"),),
        "env script": (script(tmp_path, f"#!/usr/bin/env -S {sys.executable}\n{CALL}", "other"),),
    }
    script(tmp_path, CALL)
    done = run(*ways[way], json=True, env={"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, total(done)["calls"]) == (0, 1), done.stderr


def test_processes_that_it_starts_are_observed_too(run: Any, sim: Simulator, tmp_path: Path) -> None:
    code = f"""
        import subprocess, sys, os
        for _ in range(3):
            subprocess.run([sys.executable, {script(tmp_path, CALL, "child.py")!r}], check=True)
    """
    done = run(sys.executable, script(tmp_path, code), json=True)
    assert total(done)["calls"] == len(sim.inference_calls) == 3
    assert total(done)["cost"] == float(sim.bill)


def test_the_cost_that_only_openrouters_record_knows(run: Any, sim: Simulator, tmp_path: Path) -> None:
    sim.next(Scenario(record_after=0.2))
    done = run(sys.executable, script(tmp_path, STREAM), json=True)
    assert (total(done)["unpriced"], total(done)["cost"]) == (0, float(sim.bill)), done.stderr


def test_a_call_of_unknown_cost_is_not_free(run: Any, tmp_path: Path) -> None:
    done = run(sys.executable, script(tmp_path, STREAM), env={"OROBSERVE_ENRICHMENT": "never"})
    assert "total spend ?" in done.stderr
    assert "$" not in done.stderr
    assert "1 call whose cost is unknown (?)" in done.stderr


@pytest.mark.parametrize("setting", [None, "false", "elsewhere.db"])
def test_its_calls_are_in_the_ledger(run: Any, sim: Simulator, tmp_path: Path, setting: str | None) -> None:
    places = {None: tmp_path / "data" / "orobserve" / "ledger.db", "elsewhere.db": tmp_path / "elsewhere.db"}
    env = {} if setting is None else {"OROBSERVE_LEDGER": str(places.get(setting, setting))}
    run(sys.executable, "-c", CALL, env=env)
    assert [path.exists() for path in places.values()] == [setting is None, setting == "elsewhere.db"]
    if setting in places:
        with Reader(places[setting]) as reader:
            (row,) = reader.rows()
        assert row.cost == sim.bill


def test_input_output_and_status_are_the_commands(run: Any) -> None:
    code = "import sys; print(sys.stdin.read().upper()); sys.stderr.write('oops\\n'); sys.exit(7)"
    done = run(sys.executable, "-c", code, input="abc")
    assert (done.returncode, done.stdout) == (7, "ABC\n")
    assert done.stderr.startswith("oops\n")
    assert "no OpenRouter call was seen" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_command(environ: dict[str, str], number: signal.Signals) -> None:
    code = (
        "import signal, sys\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(9))\n"
        "print('ready', flush=True)\nsignal.pause()"
    )
    command = [sys.executable, "-m", "orobserve", "run", "--quiet", "--", sys.executable, "-c", code]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == 9


def test_a_command_that_a_signal_ends(run: Any) -> None:
    done = run(sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL


def test_a_command_that_is_not_there(run: Any) -> None:
    done = run("no-such-command-7")
    assert (done.returncode, "no-such-command-7" in done.stderr) == (127, True)


def test_mistakes_in_the_settings_are_told_before_it_begins(run: Any) -> None:
    done = run(sys.executable, "-c", "print('began')", env={"OROBSERVE_CONTENT_LIMIT": "many"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "OROBSERVE_CONTENT_LIMIT" in done.stderr


def test_no_command() -> None:
    done = subprocess.run([sys.executable, "-m", "orobserve", "run"], capture_output=True, text=True, check=False)
    assert (done.returncode, "orobserve run -- python app.py" in done.stderr) == (2, True)


def test_another_sitecustomize_has_its_turn(run: Any, tmp_path: Path) -> None:
    script(tmp_path, "import builtins; builtins.turn = 'had'", "sitecustomize.py")
    done = run(sys.executable, "-c", "print(turn)", env={"PYTHONPATH": str(tmp_path)})
    assert done.stdout == "had\n"


def test_nothing_is_left_behind(run: Any, tmp_path: Path) -> None:
    run(sys.executable, "-c", CALL, env={"TMPDIR": str(tmp_path), "OROBSERVE_LEDGER": "false"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [["-I"], ["-E", "x.py"], ["-S"], ["-uI"]])
def test_a_python_that_looks_at_no_pythonpath(options: list[str]) -> None:
    assert python_of([sys.executable, *options]) is None


def test_what_is_no_python() -> None:
    assert python_of(["sh", "-c", "python"]) is None
    assert python_of(["no-such-command-7"]) is None
    assert python_of([sys.executable, "-u", "-c", "-I"]) == sys.executable
