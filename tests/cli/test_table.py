"""Tables and texts as terminals and pipes get them; progress bars."""

from __future__ import annotations

import builtins
import io
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli import table
from orobserve.cli.progress import progress
from orobserve.telemetry.console import escaped, plain
from tests.cli.screens import HOSTILE, STYLED, Terminal, harmless

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = ("model", "cost")


@pytest.fixture(params=["rich", "plain"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if request.param == "rich":
        pytest.importorskip("rich")
    else:
        _without_rich(monkeypatch)
    return Terminal()


def _without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    imported: Callable[..., Any] = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "rich":
            raise ModuleNotFoundError(name=name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)


def lines(stream: io.StringIO) -> list[str]:
    return STYLED.sub("", stream.getvalue()).splitlines()


def test_a_terminal_gets_it_within_its_width_and_in_colour(terminal: Terminal) -> None:
    rows = [("openai/gpt-4o-with-quite-a-long-name-of-its-own", "$0.00014250000000000002"), ("m", "?")]
    table.write(terminal, HEAD, rows, ["bad", ""], (1,))
    found = lines(terminal)
    assert [len(line.rstrip()) <= 40 for line in found] == [True] * 3
    assert "…" in found[1]
    assert "\x1b[31m" in terminal.getvalue()


def test_rich_cuts_names_before_figures_and_measures_wide_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = pytest.importorskip("rich.cells")
    monkeypatch.setenv("COLUMNS", "40")
    stream = Terminal()
    rows = [("日本語のモデルの名前はとても長い" * 2, "$0.00014250000000000002"), ("[red]m[/red]", "?")]
    table.write(stream, HEAD, rows, ["", ""], (1,))
    found = lines(stream)
    assert all("$0.00014250000000000002" in line or number != 1 for number, line in enumerate(found))
    assert len({cells.cell_len(line) for line in found}) == 1
    assert "[red]m[/red]" in found[2]


def test_no_colour_where_none_is_wanted(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    table.write(terminal, HEAD, [("m", "$1.00")], ["bad"], (1,))
    assert "\x1b" not in terminal.getvalue()


def test_a_pipe_gets_all_of_it() -> None:
    stream = io.StringIO()
    table.write(stream, HEAD, [("m" * 300, "$1.00"), (None, "?")], ["bad", ""], (1,))
    assert stream.getvalue() == f"{'model':300}   cost\n{'m' * 300}  $1.00\n{'-':300}      ?\n"


def test_hostile_cells_are_only_shown(terminal: Terminal) -> None:
    table.write(terminal, HEAD, [(HOSTILE, "?")], [""], (1,))
    found = lines(terminal)
    assert len(found) == 2
    assert harmless("\n".join(found))
    assert "evil" in found[1]


def test_plain() -> None:
    assert plain(None) == "-"
    assert plain("a\tb\nc") == "a\ufffdb\ufffdc"
    assert plain("a\tb\r\nc\x0bd\u2028e\x1b[0m", lines=True) == "a    b\nc\nd\ne\ufffd[0m"
    assert plain("👩‍👩‍👧 שלום é", lines=True) == "👩‍👩‍👧 שלום é"  # joiners and letters stay


def test_escaped_json_means_the_same() -> None:
    found = escaped(json.dumps({HOSTILE: [HOSTILE, "é 日本"]}, ensure_ascii=False))
    assert harmless(found)
    assert "é 日本" in found
    assert json.loads(found) == {HOSTILE: [HOSTILE, "é 日本"]}


def test_a_bar_is_for_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    for stream, is_shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress(10, "exporting") as advance:
            advance(10)
        assert ("10/10" in stream.getvalue()) is is_shown


def test_no_bar_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    _without_rich(monkeypatch)
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(None, "exporting") as advance:
        advance(1)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
