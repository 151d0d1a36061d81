"""`orobserve ui` as it is typed, and what its package holds."""

from __future__ import annotations

import io
import json
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

import orobserve.viewer
from orobserve import spend
from orobserve.cli import run, ui
from orobserve.cli.main import main
from orobserve.viewer import serve as serving
from orobserve.viewer.serve import Page
from tests.ledger.records import call

STATIC = Path(orobserve.viewer.__file__).parent / "static"
OURS = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]


class Terminal(io.StringIO):
    """A stream that somebody looks at."""

    def isatty(self) -> bool:
        return True


def test_it_prints_an_address_that_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orobserve", "ui", "--json", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        try:
            assert told["url"].startswith("http://127.0.0.1:")
            with httpx.Client(trust_env=False) as client:
                assert client.get(told["url"]).status_code == 200
                assert "orobserve" in client.get(httpx.URL(told["url"]).copy_with(query=None)).text
        finally:
            process.terminate()
        process.wait(20)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--host", "0.0.0.0"], "127.0.0.1"),
        (["--host", "192.168.1.5"], "ssh -L"),
        (["--host", "example.com"], "loopback|127.0.0.1"),
        (["--port", "70000"], "65535"),
        (["--port", "x"], "65535"),
    ],
)
def test_it_refuses_other_addresses(
    arguments: list[str],
    named: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["ui", *arguments]) == 2
    assert re.search(named, capsys.readouterr().err)


def test_a_taken_port_is_passed_over_unless_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(serving, "PORT", port)
        page = Page(tmp_path / "ledger.db", {})
        page._socket.close()
        assert port < int(httpx.URL(page.address).port or 0) < port + 20
        assert main(["ui", "--port", str(port)]) == 2
    assert "in use" in capsys.readouterr().err


def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "orobserve.viewer.serve")
    assert main(["ui"]) == 2
    assert "pip install 'orobserve[ui]'" in capsys.readouterr().err


def test_the_token_is_not_among_a_browsers_arguments(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seen: list[tuple[str, int, str]] = []

    def note(address: str) -> None:
        path = Path(address.removeprefix("file://"))
        seen.append((address, stat.S_IMODE(path.stat().st_mode), path.read_text()))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr(ui.webbrowser, "open", note)
    monkeypatch.setattr(Page, "run", lambda page: page._socket.close())
    assert main(["ui", "--port", "0"]) == 0
    url = next(word for word in capsys.readouterr().out.split() if "token=" in word)
    ((address, mode, text),) = seen
    assert "token=" not in address
    assert mode == 0o600
    assert f"url={url}" in text
    assert list(tmp_path.glob("*.html")) == []


@pytest.mark.parametrize(("setting", "hint"), [("true", True), ("false", False)])
def test_run_speaks_of_it_at_its_end_where_there_is_a_ledger(
    setting: str, hint: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OROBSERVE_LEDGER", setting)
    monkeypatch.setattr(sys, "stderr", Terminal())
    run._summarise([spend.facts(call(1))], as_json=False)
    assert ("orobserve ui" in sys.stderr.getvalue()) is hint


def test_nothing_is_loaded_from_elsewhere_and_no_text_becomes_html() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|srcdoc|setHTML"
    assert len(OURS) > 20
    for path in OURS:
        text = path.read_text("utf-8")
        assert not re.search(forbidden, text), path
        assert not re.search(r"\son\w+\s*=\s*[\"']|style\s*=\s*[\"']|<style", text), path  # what the policy forbids
        addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\s\"']*", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path


def test_the_charts_library_is_shipped_with_its_licence() -> None:
    library = (STATIC / "vendor" / "uPlot.iife.min.js").read_text("utf-8")
    assert "uPlot (v1.6.32)" in library
    assert "MIT" in (STATIC / "vendor" / "LICENSE.uPlot").read_text("utf-8")


def test_each_module_is_reached() -> None:
    """No file is shipped that nothing loads."""
    reached, due = set(), [STATIC / "js" / "main.js"]
    while due:
        path = due.pop()
        reached.add(path)
        named = re.findall(r'from "\./([\w.]+)"', path.read_text("utf-8"))
        due += [path.parent / each for each in named if path.parent / each not in reached]
    index = (STATIC / "index.html").read_text("utf-8")
    pages = {STATIC / each for each in re.findall(r'(?:src|href)="/static/([^"]+)"', index)}
    shipped = {path for path in STATIC.rglob("*") if path.suffix in {".js", ".css"}}
    assert shipped == {path for path in reached | pages if path.suffix in {".js", ".css"}}
