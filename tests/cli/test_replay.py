"""`orobserve replay` and `orobserve destinations status`, `dead`, `discard`, with a real ledger and a server."""

from __future__ import annotations

import json
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli.main import main
from orobserve.delivery.destination import Destination
from orobserve.ledger.outbox import delivery_states
from tests.cli.screens import HOSTILE, as_json, run
from tests.delivery.servers import Answer, Server
from tests.exporters.generations import STARTED_AT
from tests.ledger.records import SECOND, call, stored
from tests.ledger.test_outbox_processes import of, spans
from tests.support.intake import Intake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def product() -> Iterator[Intake]:
    with Intake() as made:
        yield made


@pytest.fixture
def path(ledger_path: Path, product: Intake, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fill it: a call a second, and a destination that has had none of them."""
    stored(ledger_path, map(call, range(250)))
    monkeypatch.setattr("time.time_ns", lambda: STARTED_AT + 250 * SECOND)
    configure(ledger_path, product.url)
    return ledger_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    """Run a command that has something to tell although it fails."""
    assert main(arguments) == status
    return capsys.readouterr().out


def configure(path: Path, url: str, **more: Any) -> None:
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in more.items()]
    text = f'[[destinations]]\ntype = "webhook"\nname = "audit"\n{"".join(lines)}config = {{ url = "{url}" }}\n'
    (path.parent / "orobserve.toml").write_text(text)


def test_a_new_destination_gets_what_there_is(path: Path, product: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "replay", "--to", "audit", "--since", "4w") == "audit: 250 calls sent\n"
    assert spans(product.taken) == of(range(250))
    (state,) = delivery_states(path)
    assert (state.due, state.delivered) == (0, 250)
    assert run(capsys, "replay", "--to", "audit") == "audit: 0 calls sent\n"


def test_only_what_is_meant(path: Path, product: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    meant = ("--to", "audit", "--since", "1m", "--user", "u-2")
    assert run(capsys, "replay", *meant, "--dry-run") == "would send 12 calls to audit\n"
    assert product.taken == []
    done = as_json(capsys, "replay", *meant)
    assert (done["sent"], done["due"], done["dead"], done["interrupted"]) == (12, 0, 0, False)
    assert spans(product.taken) == of(range(192, 250, 5))


def test_the_destinations_policy_holds(path: Path, product: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    configure(path, product.url, sampling_rate=0.0)
    said = run(capsys, "replay", "--to", "audit", "--since", "4w")
    assert said == "audit: 0 calls sent, 250 withheld by its filters, sampling or keys\n"
    assert product.taken == []


def test_dead_letters_are_told_tried_again_and_forgotten(
    path: Path, product: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    product.answer.status = 401
    said = told(capsys, "replay", "--to", "audit", "--since", "1m")
    assert said == "audit: 0 calls sent, 60 refused (orobserve destinations dead audit)\nHTTP 401\n"
    (state,) = as_json(capsys, "destinations", "status")
    assert (state["destination"], state["due"], state["dead"], state["last_reason"]) == ("audit", 0, 60, "HTTP 401")
    assert "60" in run(capsys, "destinations", "status")
    first, *rest = as_json(capsys, "destinations", "dead", "audit")
    assert (first["generation_id"], first["reason"], len(rest)) == ("gen-249", "HTTP 401", 59)
    assert "gen-249" in run(capsys, "destinations", "dead")
    product.answer.status = 200
    product.taken.clear()
    configure(path, f"{product.url}/repaired")  # another place by now
    assert as_json(capsys, "replay", "--to", "audit", "--dead", "--dry-run")["calls"] == 60
    assert run(capsys, "replay", "--to", "audit") == "audit: 0 calls sent\n"
    assert run(capsys, "replay", "--to", "audit", "--dead") == "audit: 60 calls sent\n"
    assert spans(product.taken) == of(range(190, 250))
    product.answer.status = 400
    told(capsys, "replay", "--to", "audit", "--since", "1m")
    assert run(capsys, "destinations", "discard", "audit").startswith("60 dead letters discarded")
    assert run(capsys, "destinations", "dead") == "no dead letters\n"


def test_a_destination_that_is_down(
    path: Path, product: Intake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    product.answer.status = 503
    monkeypatch.setattr("orobserve.cli.replay._PATIENCE", 0.0)
    said = told(capsys, "replay", "--to", "audit", "--since", "4w")
    assert said == "audit: 0 calls sent, 250 still due (orobserve replay --to audit goes on)\nHTTP 503\n"
    assert "250" in run(capsys, "destinations", "status")
    product.answer.status = 200
    product.taken.clear()
    assert run(capsys, "replay", "--to", "audit") == "audit: 250 calls sent\n"
    assert spans(product.taken) == of(range(250))


def test_who_is_interrupted_goes_on_where_it_was(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    go, close = threading.Event(), Destination.close
    monkeypatch.setattr(Destination, "close", lambda self, deadline: (close(self, deadline), go.set()))
    with Server(200, Answer(after=go), 200) as slow:
        configure(path, slow.url)

        def interrupt() -> None:
            slow.wait(2)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

        threading.Thread(target=interrupt).start()
        done = json.loads(told(capsys, "replay", "--to", "audit", "--since", "4w", "--json", status=130))
        assert done["interrupted"]
        assert 0 < done["sent"] < 250
        assert done["sent"] + done["due"] == 250
        assert as_json(capsys, "replay", "--to", "audit")["sent"] == done["due"]
        assert spans(slow.requests) == of(range(250))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("replay", "--to", "nowhere"), "--to"),
        (("replay", "--to", "audit", "--since", "soon"), "30m, 24h"),
        (("replay", "--to", "audit", "--dead", "--user", "ada"), "leave out the time and the filters"),
        (("destinations", "discard", "nowhere"), "orobserve destinations status"),
    ],
)
def test_what_cannot_be_meant(
    path: Path, arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in run(capsys, *arguments, status=2)


def test_without_a_ledger(ledger_path: Path, product: Intake, capsys: pytest.CaptureFixture[str]) -> None:
    configure(ledger_path, product.url)
    for command in (("replay", "--to", "audit"), ("destinations", "status"), ("destinations", "dead")):
        assert "begins with the first call" in run(capsys, *command, status=2)


def test_hostile_names_are_shown_harmlessly(
    ledger_path: Path, product: Intake, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(ledger_path, [call(1, id=HOSTILE, response_id=HOSTILE, model=HOSTILE)])
    product.answer.status = 400
    configure(ledger_path, product.url)
    told(capsys, "replay", "--to", "audit", "--since", "2020-01-01")
    assert "evil" in run(capsys, "destinations", "dead")
