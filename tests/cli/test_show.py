"""`orobserve show`: what real calls against the simulator leave behind, and what hostile ones do."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx
import pytest

import orobserve
from orobserve.cli.main import main
from orobserve.cli.show_facts import why_unknown
from orobserve.generation import (
    Attempt,
    Content,
    Cost,
    Enrichment,
    Error,
    Media,
    Message,
    Outcome,
    Routing,
    Text,
    Timing,
    ToolCall,
)
from orobserve.ledger import codec
from orobserve.ledger.query import Reader
from orobserve.testing import Attempt as Tried
from orobserve.testing import Scenario
from tests.cli.screens import STYLED, Terminal, as_json, harmless, hostile, run
from tests.exporters.generations import SAMPLES, STARTED_AT
from tests.ledger.records import SECOND, call, stored

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from orobserve.testing import Simulator

ASK = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "Why?"}]}


def ids(path: Path) -> list[str]:
    with Reader(path) as reader:
        return [each.generation_id or "" for each in reversed(reader.rows())]


def section(text: str, title: str) -> dict[str, str]:
    """Return the lines below a title, by label."""
    _, _, rest = text.partition(f"\n{title}\n")
    lines = rest.partition("\n\n")[0].splitlines()
    return {" ".join(label.split()): value.strip() for label, _, value in (each[2:].partition("  ") for each in lines)}


@pytest.fixture
def seen(sim: Simulator, ledger_path: Path) -> list[str]:
    """Make a plain streamed call, one with a key of our own, and one that two providers were tried for."""
    orobserve.instrument(ledger=ledger_path, hosts=[sim.root], enrichment="always", console=False)
    failed = (Tried(provider="OpenAI", status=503),)
    sim.next(
        Scenario(text="Because.", cached_tokens=1024, prompt_tokens=1200),
        Scenario(byok="fee"),
        Scenario(fallback=True, failed_attempts=failed),
    )
    headers = {"Authorization": "Bearer sk-or-v1-secret", "X-OpenRouter-Metadata": "enabled"}
    with httpx.Client(base_url=sim.url + "/", headers=headers) as client:
        for body in ({**ASK, "stream": True}, ASK, {**ASK, "user": "ada"}):
            client.post("chat/completions", json=body)
    orobserve.flush(records=True)
    orobserve.uninstrument()
    return ids(ledger_path)


def test_real_calls(seen: list[str], ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    streamed, own_key, retried = (run(capsys, "show", each) for each in seen)
    with Reader(ledger_path) as reader:
        records = [reader.call(each) for each in seen]
    assert section(streamed, "tokens")["cache read input"] == "1024"
    assert section(streamed, "tokens")["prompt cache rate"] == "85% of the input"
    assert "streaming" in section(streamed, "timeline")
    assert "OpenRouter's record of the call" in section(streamed, "cost (USD)")["source"]
    assert "\nuser\n  Why?\nassistant\n  Because.\n" in streamed
    cost = records[1] and records[1].cost
    assert cost is not None
    figures = as_json(capsys, "show", seen[1])["cost"]
    assert figures["total"] == cost.total
    assert figures["charged"] + figures["upstream"] == pytest.approx(figures["total"], abs=1e-15)
    assert "to your own key (BYOK)" in section(own_key, "cost (USD)")["which is"]
    assert section(retried, "call")["user"] == "ada"
    assert section(retried, "timeline")["attempt 1: OpenAI"].endswith("HTTP 503")
    assert section(retried, "OpenRouter's record")["status"] == "complete"
    assert "sk-or-v1-secret" not in streamed + own_key + retried


def test_raw_is_the_record(seen: list[str], ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Reader(ledger_path) as reader:
        assert codec.decode(run(capsys, "show", seen[0], "--raw")) == reader.call(seen[0])


def test_by_span_and_by_the_beginning_of_an_id(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(ledger_path, [call(1), call(21), call(22), replace(call(3), id="gen-%_")])
    assert as_json(capsys, "show", f"{2:016x}")["ids"]["generation"] == "gen-1"
    assert as_json(capsys, "show", "gen-1")["ids"]["generation"] == "gen-1"
    assert as_json(capsys, "show", "gen-%")["ids"]["generation"] == "gen-%_"
    error = run(capsys, "show", "gen-2", status=2)
    assert "gen-21, gen-22" in error
    assert "`orobserve tail`" in run(capsys, "show", "gen-9", status=2)
    assert "`orobserve tail`" in run(capsys, "show", " ", status=2)


@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_there_is(name: str, ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(ledger_path, [SAMPLES[name]])
    for options in ((), ("--json",), ("--raw",), ("--context",), ("--context", "--json")):
        assert run(capsys, "show", str(SAMPLES[name].span_id), *options)


def test_the_timeline_is_drawn_to_scale(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attempts = (
        Attempt(provider="OpenAI", status=503, latency_ms=1000),
        Attempt(provider="Azure", status=200, latency_ms=None),
    )
    timing = Timing(started_at=STARTED_AT, ended_at=STARTED_AT + 4 * SECOND, first_chunk_at=STARTED_AT + 3 * SECOND)
    stored(ledger_path, [replace(call(1), timing=timing, routing=Routing(attempts=attempts))])
    _, _, drawn = run(capsys, "show", "gen-1").partition("\ntimeline\n")
    first, streaming, failed, answered = drawn.splitlines()[:4]
    assert (first.count("█"), streaming.count("█"), failed.count("█")) == (30, 10, 10)
    assert streaming.index("█") - first.index("█") == 30
    assert " ? " in answered
    assert "█" not in answered


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"enrichment": Enrichment(status="timeout")}, "deadline"),
        ({"enrichment": Enrichment(status="not_found"), "outcome": Outcome.CANCELLED}, "was cancelled"),
        ({"error": Error(type="502")}, "failed"),
        ({"cost": Cost(charged=0.1, ambiguous=True)}, "BYOK"),
        ({}, "not asked"),
    ],
)
def test_why_a_cost_is_not_known(
    changes: dict[str, Any], word: str, ledger_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = replace(call(1, cost=None), **changes)
    stored(ledger_path, [made])
    cost = section(run(capsys, "show", "gen-1"), "cost (USD)")
    assert cost["total"] == "?"
    assert word in cost["why"] == why_unknown(made)
    assert as_json(capsys, "show", "gen-1")["cost"]["total"] is None


def test_what_fills_the_context(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
    asked = [
        Message(role="user", parts=(Text(content="a" * 700), Media(type="blob", modality="image", size=5))),
        Message(role="assistant", parts=(ToolCall(name="search", arguments={"for": "b"}),)),
        Message(role="user", parts=(Text(content="c" * 50),)),
    ]
    content = Content(system=(Text(content="s" * 300),), input=tuple(asked), tools=(tool,))
    stored(ledger_path, [replace(call(1), content=content)])
    found = as_json(capsys, "show", "gen-1", "--context")
    sizes = {each["kind"]: each["characters"] for each in found["kinds"]}
    assert list(sizes) == ["history", "system", "tools", "last message"]
    assert (sizes["system"], sizes["tools"], sizes["last message"]) == (300, len(json.dumps(tool)), 50)
    assert found["characters"] == sum(sizes.values())
    assert found["largest"][0]["what"] == "message 1 (user)"
    assert "1000 input tokens" in run(capsys, "show", "gen-1", "--context")


def test_a_ledger_without_content(ledger_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(ledger_path, [call(1)], content=False)
    for options in ((), ("--context",)):
        assert "not in the ledger" in run(capsys, "show", "gen-1", *options)


def test_hostile_content(
    ledger_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(ledger_path, [hostile(1)])
    whole = run(capsys, "show", "gen-1")
    assert len(whole) > 10_000_000  # a pipe gets all of it
    for options in (("--json",), ("--raw",), ("--context",)):
        assert "evil" in run(capsys, "show", "gen-1", *options)
    for options, is_cut in ((), True), (("--full",), False):
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr("sys.stdout", screen)
            assert main(["show", "gen-1", *options]) == 0
        shown = screen.getvalue()
        assert (len(shown) < 10_000) is is_cut
        assert ("--full shows them" in shown) is is_cut
        assert harmless(STYLED.sub("", shown))
