"""`orobserve reconcile` beside the simulator, over a real socket, with differences planted on both sides."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import orobserve
from orobserve.account import Activity
from orobserve.cli.main import main
from orobserve.generation import Cost, Error, Outcome, changed
from orobserve.ledger.query import Reader
from orobserve.reconcile import compare, total
from orobserve.testing import Scenario, Simulator
from tests.ledger.records import MODELS, call, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orobserve import Generation

KEY, OTHER, MANAGEMENT = "sk-or-v1-app", "sk-or-v1-other", "sk-or-v1-management"
DAY = timedelta(days=1)
NOON = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0) - DAY
DATE = NOON.date().isoformat()


class Yesterday:
    """Calls that were made yesterday, as OpenRouter has them; and what of them is put into a ledger."""

    def __init__(self, sim: Simulator, records: Callable[[], list[Generation]], path: Path) -> None:
        self.sim, self._records, self.path = sim, records, path
        self.sim.default = Scenario(record_after=0)

    def call(self, model: str = "openai/gpt-4o", key: str = KEY, **scenario: Any) -> Generation:
        """Make a call, and return what was recorded of it."""
        self.sim.next(Scenario(record_after=0, **scenario))
        question = {"model": model, "messages": [{"role": "user", "content": "What is up?"}]}
        headers = {"Authorization": f"Bearer {key}"}
        httpx.post(f"{self.sim.url}/chat/completions", json=question, headers=headers)
        record = self._records()[-1]
        start = int(NOON.timestamp()) * 10**9 + len(self._records()) * 10**9
        return replace(record, timing=replace(record.timing, started_at=start, ended_at=start + 10**9))

    def keep(self, *records: Generation) -> None:
        """Write records to the ledger."""
        stored(self.path, records)


def unpriced(record: Generation) -> Generation:
    return changed(record, cost=None)


@pytest.fixture
def yesterday(
    tmp_path: Path, records: Callable[[], list[Generation]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Yesterday]:
    clock = [NOON.timestamp()]
    monkeypatch.chdir(tmp_path)
    with Simulator(clock=lambda: clock[0]) as sim:
        sim.account.management_keys = frozenset({MANAGEMENT})
        orobserve.instrument(hosts=[sim.root], console=False)
        yield_ = Yesterday(sim, records, tmp_path / "ledger.db")
        yield_.today = lambda: clock.__setitem__(0, time.time())  # type: ignore[attr-defined]
        for name, value in {
            "OROBSERVE_LEDGER": str(yield_.path),
            "OPENROUTER_BASE_URL": sim.url,
            "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT,
            "OPENROUTER_API_KEY": KEY,
        }.items():
            monkeypatch.setenv(name, value)
        yield yield_


def run(
    capsys: pytest.CaptureFixture[str], yesterday: Yesterday, *arguments: str, status: int, err: bool = False
) -> str:
    yesterday.today()  # type: ignore[attr-defined]
    assert main(["reconcile", *arguments]) == status
    out, error = capsys.readouterr()
    return error if err else out


def test_both_agree(yesterday: Yesterday, capsys: pytest.CaptureFixture[str]) -> None:
    calls = [yesterday.call(), yesterday.call("anthropic/claude-sonnet-4"), yesterday.call(byok="fee")]
    yesterday.keep(*calls)
    text = run(capsys, yesterday, status=0)
    assert f"{DATE} (UTC): ledger and OpenRouter agree within $0.0001 a model" in text
    found = json.loads(run(capsys, yesterday, "--json", "--day", DATE, status=0))
    assert found["agrees"]
    assert Decimal(repr(found["ledger"]["cost"])) == yesterday.sim.bill
    assert found["ledger"]["calls"] == found["openrouter"]["calls"] == 3
    assert found["ledger"]["input_tokens"] == found["openrouter"]["input_tokens"]
    assert found["credits"] == {"total": 100.0, "used": float(yesterday.sim.ledger.charged)}
    assert [each["difference"] for each in found["models"]] == [0.0, 0.0]


def test_differences_on_both_sides_are_told_and_mended(
    yesterday: Yesterday, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = yesterday.call("anthropic/claude-sonnet-4")
    yesterday.call("anthropic/claude-sonnet-4")  # the ledger lost it
    yesterday.call("google/gemini-2.5-flash", key=OTHER)  # another program's
    blind = yesterday.call()
    wrong = yesterday.call()
    ghost = changed(yesterday.call("openai/gpt-4o-mini"), id="gen-0-of-nobody", response_id="gen-0-of-nobody")
    cost = Cost(charged=9.0, total=9.0, source="response")
    yesterday.keep(sound, unpriced(blind), changed(wrong, cost=cost), ghost)

    found = json.loads(run(capsys, yesterday, "--json", status=1))
    assert not found["agrees"]
    reasons = {each["model"]: each["reasons"] for each in found["models"]}
    assert reasons["anthropic/claude-sonnet-4"][0] == "1 call that the ledger does not have"
    assert reasons["google/gemini-2.5-flash"][0] == "1 call that the ledger does not have"
    assert "the ledger has $8.999" in reasons["openai/gpt-4o"][0]
    assert "1 call of unknown cost" in reasons["openai/gpt-4o"][0]
    by_id = {each["generation_id"]: each for each in found["calls"]}
    bill = {each.id: float(yesterday.sim.bill_for(each.id or "")) for each in (sound, blind, wrong)}
    assert by_id[blind.id] == {
        "generation_id": blind.id,
        "status": "found",
        "ledger": None,
        "openrouter": bill[blind.id],
    }
    assert by_id[wrong.id] == {
        "generation_id": wrong.id,
        "status": "other",
        "ledger": 9.0,
        "openrouter": bill[wrong.id],
    }
    assert by_id[sound.id]["status"] == "same"
    assert found["fixed"] == 0

    text = run(capsys, yesterday, "--fix", status=1)
    assert "2 calls corrected in the ledger" in text
    assert "openai/gpt-4o:" not in text  # they agree now
    assert "google/gemini-2.5-flash: 1 call that the ledger does not have" in text
    with Reader(yesterday.path) as reader:
        (row,) = [row for row in reader.rows() if row.generation_id == blind.id]
        assert row.cost == yesterday.sim.bill_for(blind.id or "")
        sums = {each.group["model"]: each for each in reader.sums(("model",))}
        record = reader.call(wrong.id or "")
    assert sums["openai/gpt-4o"].cost == sum(yesterday.sim.bill_for(each.id or "") for each in (blind, wrong))
    assert (sums["openai/gpt-4o"].calls, sums["openai/gpt-4o"].unpriced) == (2, 0)
    assert record is not None
    assert record.cost is not None
    assert record.cost.source == "generation"


def test_a_call_of_ours_that_openrouter_does_not_know(yesterday: Yesterday, capsys: pytest.CaptureFixture[str]) -> None:
    real = yesterday.call()
    ghost = changed(real, id="gen-0-ghost\x1b[2J", span_id="f" * 16, timing=yesterday.call("openai/gpt-4o-mini").timing)
    yesterday.keep(real, ghost)
    text = run(capsys, yesterday, status=1)
    assert "openai/gpt-4o: 1 call that OpenRouter does not count" in text
    assert "1 call of which OpenRouter has no record for OPENROUTER_API_KEY" in text
    assert "gen-0-ghost\ufffd[2J" in text


def test_failed_calls_may_be_counted_or_not(yesterday: Yesterday, capsys: pytest.CaptureFixture[str]) -> None:
    real = yesterday.call()
    refused = changed(
        real, id=None, response_id=None, span_id="e" * 16, cost=None, outcome=Outcome.FAILED, error=Error(type="rate")
    )
    refused = replace(refused, timing=replace(real.timing, started_at=real.timing.started_at + 5))
    yesterday.keep(real, refused)
    run(capsys, yesterday, status=0)


def test_one_key(yesterday: Yesterday, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hash_ = hashlib.sha256(KEY.encode()).hexdigest()
    (tmp_path / "orobserve.toml").write_text(f'[api_key_labels]\n"{hash_}" = "app"\n')
    mine = yesterday.call()
    yesterday.call(key=OTHER)
    yesterday.keep(mine)
    assert mine.request.api_key_hash == hash_
    run(capsys, yesterday, status=1)
    assert "(UTC), key app: ledger and OpenRouter agree" in run(capsys, yesterday, "--key", "app", status=0)


def test_what_cannot_be_asked(
    yesterday: Yesterday, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday.keep(unpriced(yesterday.call()), unpriced(yesterday.call()))
    text = run(capsys, yesterday, "--limit", "1", status=1)
    assert "1 call more not asked for: see --limit" in text
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-v1-invalid")
    assert "OpenRouter refuses OPENROUTER_API_KEY" in run(capsys, yesterday, status=1)
    monkeypatch.delenv("OPENROUTER_API_KEY")
    assert "set OPENROUTER_API_KEY to ask for the records of 2 calls" in run(capsys, yesterday, status=1)
    assert "? " in run(capsys, yesterday, status=1)
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", KEY)
    assert "this is no management key (HTTP 403)" in run(capsys, yesterday, status=1, err=True)
    assert "cannot be reached" in run(capsys, yesterday, "--base-url", "http://127.0.0.1:9", status=1, err=True)
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", MANAGEMENT)
    odd = run(capsys, yesterday, "--base-url", yesterday.sim.root + "/api/v1/models", status=1, err=True)
    assert "check --base-url" in odd


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--day", "yesterday"), "--day"),
        (("--day", datetime.now(timezone.utc).date().isoformat()), "completed day"),
        (("--day", (NOON - 40 * DAY).date().isoformat()), "completed day"),
        (("--tolerance", "much"), "USD"),
        (("--limit", "-1"), "whole number"),
    ],
)
def test_mistakes(
    yesterday: Yesterday, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], word: str
) -> None:
    error = run(capsys, yesterday, *arguments, status=2, err=True)
    assert word in error
    assert "Fix:" in error


def test_without_a_management_key(
    yesterday: Yesterday, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENROUTER_MANAGEMENT_KEY")
    assert "settings/management-keys" in run(capsys, yesterday, status=2, err=True)


def test_models_meet_whatever_either_side_calls_them(tmp_path: Path) -> None:
    """A dated slug, a variant, and the name that was asked for are one model; unknown costs stay unknown together."""
    names = ("openai/gpt-4.1", "openai/gpt-4.1-2025-04-14", "openai/gpt-4.1:nitro", "nobody/else", None)
    stored(tmp_path / "ledger.db", [replace(call(number), cost=None, model=name) for number, name in enumerate(names)])
    with Reader(tmp_path / "ledger.db") as reader:
        ours = reader.sums(("model",))
    row = Activity(
        model="openai/gpt-4.1",
        permaslug="openai/gpt-4.1-2025-04-14",
        requests=2,
        input_tokens=5,
        output_tokens=5,
        reasoning_tokens=0,
        cost=Decimal("0.5"),
    )
    found = {each.model: each for each in compare(ours, [row, replace(row, requests=1)])}
    assert set(found) == {"openai/gpt-4.1", "nobody/else", MODELS[4 % 3]}
    met = found["openai/gpt-4.1"]
    assert met.ours is not None
    assert met.theirs is not None
    assert (met.ours.calls, met.ours.unpriced, met.ours.cost) == (3, 3, None)
    assert (met.theirs.calls, met.theirs.cost) == (3, Decimal("1.0"))
    assert set(met.names) == set(names[:3])
    assert total(each.ours for each in found.values()).cost is None
    assert met.reasons(Decimal(1)) == []
    assert met.reasons(Decimal("0.1")) == ["OpenRouter has $1.0 more; 3 calls of unknown cost"]
