"""From a call to what arrives: `instrument(destinations=...)` with real clients, servers and files."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import orobserve
from orobserve import _runtime
from orobserve.delivery import DirectExporter, Result, Verdict
from orobserve.testing import Scenario
from tests.delivery.servers import Server, free_port
from tests.scripts.programs import Receiver, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from orobserve import Generation
    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

KEY = "sk-or-v1-canary-key"
PROMPT = "canary prompt"


class Kept(DirectExporter):
    """Keeps what it gets."""

    TYPE = "kept"
    TITLE = "Kept"
    UPDATES = True

    def __init__(self) -> None:
        super().__init__({})
        self.got: list[Generation] = []
        self.serves: object = None

    def export(self, batch: Sequence[Generation]) -> Result:
        self.got += batch
        return Result(verdict=Verdict.DELIVERED)

    def is_served_by(self, provider: object) -> bool:
        return provider is self.serves


def webhook(url: str, **fields: Any) -> dict[str, Any]:
    return {"type": "webhook", "config": {"url": f"{url}/calls"}, **fields}


def make_calls(sim: Simulator, number: int = 1, **fields: Any) -> None:
    with httpx.Client(headers={"Authorization": f"Bearer {KEY}"}) as client:
        body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": PROMPT}], **fields}
        for _ in range(number):
            client.post(f"{sim.url}/chat/completions", json=body).raise_for_status()


def spans_of(server: Server) -> list[dict[str, Any]]:
    """The spans that a webhook got, with their attributes as a dict."""
    found = []
    for request in server.requests:
        for resource in json.loads(request.body)["resourceSpans"]:
            for span in (span for scope in resource["scopeSpans"] for span in scope["spans"]):
                values = {item["key"]: next(iter(item["value"].values())) for item in span["attributes"]}
                found.append({**span, "attributes": values})
    return found


def test_one_dead_destination_among_five(sim: Simulator, telemetry: Telemetry) -> None:
    with Server() as one, Server() as two, Server() as three, Server() as four:
        alive = [one, two, three, four]
        destinations = [webhook(server.url) for server in alive]
        destinations.insert(2, webhook(free_port()))
        telemetry.instrument(hosts=[sim.root], destinations=destinations)
        make_calls(sim, 50)
        orobserve.uninstrument()
        for server in alive:
            spans = spans_of(server)
            ids = Counter(span["attributes"]["openrouter.generation.id"] for span in spans)
            assert ids == Counter(call.generation_id for call in sim.inference_calls)
            total = sum(Decimal(repr(span["attributes"]["openrouter.cost.total"])) for span in spans)
            assert total == sim.bill
    lost = telemetry.metrics["orobserve.dropped"]
    assert [(dict(labels), point.value) for labels, point in lost.items()] == [
        ({"signal": "generation", "reason": "shutdown", "destination": "webhook-3"}, 50)
    ]
    ours = {span.context.span_id for span in telemetry.spans}
    assert {int(span["spanId"], 16) for span in spans} == ours


def test_content_and_keys_go_where_they_may(sim: Simulator, telemetry: Telemetry, tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    archive = {"type": "file", "config": {"path": str(path)}}
    with Server() as private:
        telemetry.instrument(hosts=[sim.root], destinations=[webhook(private.url, privacy_mode=True), archive])
        make_calls(sim)
        orobserve.uninstrument()
        (request,) = private.requests
    stored = path.read_text()
    assert PROMPT in stored
    assert PROMPT.encode() not in request.body
    assert b"gen_ai.usage.input_tokens" in request.body
    assert PROMPT not in str(dict(telemetry.span.attributes))  # what a destination gets is not for the app's own spans
    assert KEY not in stored
    assert KEY.encode() not in request.body
    assert KEY not in str(request.headers)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.swallows
def test_a_failing_mask_lets_no_content_out(sim: Simulator) -> None:
    kept = Kept()

    def mask(_content: object) -> None:
        raise RuntimeError

    orobserve.instrument(hosts=[sim.root], console=False, destinations=[{"exporter": kept, "mask": mask}])
    make_calls(sim)
    orobserve.uninstrument()
    (generation,) = kept.got
    assert generation.content is None or not generation.content.input


def test_settings_can_be_replaced_and_nothing_is_lost(sim: Simulator) -> None:
    first, second = Kept(), Kept()
    orobserve.instrument(hosts=[sim.root], console=False, destinations=[first])
    make_calls(sim, 3)
    orobserve.instrument(hosts=[sim.root], console=False, destinations=[second])
    make_calls(sim, 2)
    assert orobserve.flush()
    assert (len(first.got), len(second.got)) == (3, 2)
    orobserve.uninstrument()
    make_calls(sim)
    assert (len(first.got), len(second.got)) == (3, 2)


def test_what_the_applications_own_pipeline_delivers_is_not_sent_again(sim: Simulator, telemetry: Telemetry) -> None:
    kept = Kept()
    kept.serves = telemetry.tracer_provider
    telemetry.instrument(hosts=[sim.root], destinations=[kept])
    make_calls(sim)
    assert orobserve.flush()
    assert kept.got == []
    assert len(telemetry.spans) == 1


def test_a_slow_callback_delays_no_destination(sim: Simulator) -> None:
    kept, proceed = Kept(), threading.Event()
    orobserve.on_generation(lambda _: proceed.wait(30))
    orobserve.instrument(hosts=[sim.root], console=False, destinations=[kept])
    make_calls(sim, 2)
    assert _runtime._handouts.drain(10)
    hub = _runtime._state["receivers"].hub
    assert hub.flush(10)
    assert len(kept.got) == 2
    proceed.set()


def test_metrics_tell_how_destinations_are_doing(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=[sim.root], destinations=[Kept()])
    make_calls(sim, 3)
    assert orobserve.flush()
    (delivered,) = telemetry.metrics["orobserve.delivery.delivered"].items()
    assert (dict(delivered[0]), delivered[1].value) == ({"destination": "kept"}, 3)
    (queued,) = telemetry.metrics["orobserve.delivery.queued"].values()
    assert queued.value == 0


PROGRAM = """
import os, sys
import httpx, orobserve
orobserve.instrument(console=False)
def call():
    headers = {"Authorization": "Bearer sk-or-v1-test"}
    question = {"model": "openai/gpt-4o", "messages": []}
    httpx.post(os.environ["SIMULATOR"] + "/chat/completions", json=question, headers=headers).raise_for_status()
"""
ENDS = {
    "exit": "call()",
    "flush": "call(); orobserve.flush(); os._exit(0)",
    "sigterm": "import signal; call(); os.kill(os.getpid(), signal.SIGTERM); signal.pause()",
    "fork": """
call()
child = os.fork()
call()
if child:
    assert os.waitpid(child, 0)[1] == 0
""",
    "worker": """
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=call)
process.start(); process.join()
assert process.exitcode == 0
""",
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("lookups", ["always", "never"])
@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_process(sim: Simulator, end: str, lookups: str) -> None:
    """Each call arrives once, at the destination and over OTLP, with the same ids."""
    sim.default = Scenario(record_after=1000)
    with Server() as server, Receiver() as receiver:
        env = {
            **receiver.env,
            "OROBSERVE_ENRICHMENT": lookups,
            "OROBSERVE_HOSTS": sim.root,
            "SIMULATOR": sim.url,
            "WEBHOOK": server.url,
        }
        destinations = '[{"type": "webhook", "config": {"url": "$WEBHOOK"}}]'
        source = PROGRAM.replace("console=False", f"console=False, destinations={destinations}")
        run_program(source + ENDS[end], env=env, fails=end == "sigterm")
        delivered = Counter(span["spanId"] for span in spans_of(server))
        exported = Counter(span.span_id.hex() for span in receiver.spans)
    assert len(exported) == len(sim.inference_calls) >= 1
    assert delivered == exported == Counter(dict.fromkeys(exported, 1))
