"""What people and pipes see of a command, and what must never reach them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve.cli.main import main
from orobserve.generation import Citation, Content, Error, Media, Message, Request, Text, ToolCall, ToolCallResponse
from tests.ledger.records import call

if TYPE_CHECKING:
    import pytest

    from orobserve.generation import Generation

HOSTILE = "\x1b[2J\x9b31m\u202eevil\u2066\u200f\r\n\t\x00\x7f\ud800<script>alert(1)</script>"
STYLED = re.compile(r"\x1b\[[0-9;]*m")
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def hostile(number: int) -> Generation:
    """Return a call in which everything that others write is hostile; its message has ten megabytes."""
    name = HOSTILE + str(number)
    parts = (
        Text(content=HOSTILE + "x\x1b[31m\n" * 1_500_000),
        Media(type="uri", modality="image", mime_type=name, uri=name),
        ToolCall(id=name, name=name, arguments={name: name}),
        ToolCallResponse(id=name, response=name),
    )
    made = call(
        number,
        request=Request(model=name, user=name, session_id=name, title=name),
        model=name,
        provider=name,
        error=Error(type=name, message=name),
        content=Content(
            system=(Text(content=name),),
            input=(Message(role=name, parts=parts, name=name),),
            tools=({"type": "function", "function": {"name": name}},),
            citations=(Citation(url=name, title=name + name),),
        ),
    )
    return replace(made, id=f"gen-{number}", name=name, tags={"tags": [name], name: name})


def harmless(text: str) -> bool:
    """Tell whether there is nothing in a text that a terminal obeys, but the ends of lines."""
    return OBEYED.search(text) is None


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    """Run a command as a pipe sees it; returns its output, or its error where it is to fail."""
    assert main(arguments) == status
    out, error = capsys.readouterr()
    assert harmless(out), OBEYED.search(out)
    assert harmless(error), OBEYED.search(error)
    return out if status == 0 else error


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(run(capsys, *arguments, "--json"))
