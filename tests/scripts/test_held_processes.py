"""Held spans and the ends of processes: each span is exported exactly once, by the process that made the call."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from orobserve.testing import Scenario, Simulator
from tests.scripts.programs import Receiver, program_env, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PROGRAM = """
import os, signal, sys, time
import httpx, orobserve
orobserve.instrument()
client = httpx.Client(headers={"Authorization": "Bearer sk-or-v1-test"})
def call():
    question = {"model": "openai/gpt-4o", "messages": []}
    client.post(os.environ["SIMULATOR"] + "/api/v1/chat/completions", json=question).raise_for_status()
"""
STATUS = "openrouter.enrichment.status"


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as simulator:
        simulator.default = Scenario(record_after=1000)  # the record never comes: every span is held to the end
        yield simulator


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def env_of(sim: Simulator, receiver: Receiver) -> dict[str, str]:
    return {
        **receiver.env,
        "OROBSERVE_ENRICHMENT": "always",
        "OROBSERVE_ENRICHMENT_DEADLINE": "300",
        "OROBSERVE_HOSTS": sim.root,
        "SIMULATOR": sim.root,
    }


def check(receiver: Receiver, sim: Simulator) -> None:
    """Each call must have been exported once, without its record."""
    made = {call.generation_id for call in sim.inference_calls}
    exported = Counter()
    for span in receiver.spans:
        values = {item.key: item.value.string_value for item in span.attributes}
        assert values[STATUS] == "pending"
        exported[values["openrouter.generation.id"]] += 1
    assert exported == Counter(dict.fromkeys(made, 1))


@pytest.mark.parametrize(
    "ending",
    [
        "call()",
        "call(); sys.exit(0)",
        "call(); orobserve.flush()",
        "from opentelemetry import trace; call(); trace.get_tracer_provider().force_flush(); os._exit(0)",
        "from opentelemetry import trace; call(); trace.get_tracer_provider().shutdown(); os._exit(0)",
        "orobserve.instrument(); call(); orobserve.uninstrument()",
    ],
)
def test_an_end_of_the_process(sim: Simulator, receiver: Receiver, ending: str) -> None:
    run_program(PROGRAM + ending, env=env_of(sim, receiver))
    assert len(receiver.spans) == 1
    check(receiver, sim)


def test_an_exception_at_the_end(sim: Simulator, receiver: Receiver) -> None:
    run_program(PROGRAM + "call(); raise SystemExit(3)", env=env_of(sim, receiver), fails=True)
    check(receiver, sim)


@pytest.mark.parametrize("where", ["main", "thread"])
def test_sigterm(sim: Simulator, receiver: Receiver, where: str) -> None:
    calls = "call()" if where == "main" else "import threading; t = threading.Thread(target=call); t.start(); t.join()"
    source = f"{PROGRAM}\n{calls}\nprint('called', flush=True)\nsignal.pause()"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source],
        env=program_env(env_of(sim, receiver)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "called\n"
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM  # as without us
    assert errors == ""
    assert len(receiver.spans) == 1
    check(receiver, sim)


def test_sigterm_before_any_call(sim: Simulator, receiver: Receiver) -> None:
    source = f"{PROGRAM}\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    done = run_program(source, env=env_of(sim, receiver), fails=True)
    assert done.returncode == -signal.SIGTERM
    assert receiver.requests == []


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *_: sys.exit(7)"])
def test_a_handler_of_the_application_stays(sim: Simulator, receiver: Receiver, handler: str) -> None:
    source = PROGRAM.replace(
        "orobserve.instrument()", f"signal.signal(signal.SIGTERM, {handler})\norobserve.instrument()"
    )
    done = run_program(
        f"{source}\ncall()\nos.kill(os.getpid(), signal.SIGTERM)", env=env_of(sim, receiver), fails="exit(7)" in handler
    )
    assert done.returncode == (7 if "exit(7)" in handler else 0)
    check(receiver, sim)


@pytest.mark.parametrize("how", ["os._exit(0) after a flush", "exit of the interpreter"])
def test_fork(sim: Simulator, receiver: Receiver, how: str) -> None:
    end = "orobserve.flush(); os._exit(0)" if "os._exit" in how else "sys.exit()"
    source = f"""{PROGRAM}
call()
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    call()
    sys.exit()
client = httpx.Client(headers={{"Authorization": "Bearer sk-or-v1-test"}})
call()
{end}
"""
    run_program(source, env=env_of(sim, receiver))
    assert len(receiver.spans) == 3
    check(receiver, sim)


@pytest.mark.parametrize("stop", ["close", "terminate"])
def test_prefork_with_one_task_per_child(sim: Simulator, receiver: Receiver, stop: str) -> None:
    source = f"""{PROGRAM}
import multiprocessing
def task(number):
    global client
    client = httpx.Client(headers={{"Authorization": "Bearer sk-or-v1-test"}})
    call()
    return number
if __name__ == "__main__":
    call()
    pool = multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1)
    assert sorted(pool.imap_unordered(task, range(5))) == [0, 1, 2, 3, 4]
    pool.{stop}()
    pool.join()
"""
    run_program(source, env=env_of(sim, receiver))
    assert len(receiver.spans) == 6
    check(receiver, sim)


def test_a_process_of_multiprocessing(sim: Simulator, receiver: Receiver) -> None:
    source = f"""{PROGRAM}
import multiprocessing
def work():
    global client
    client = httpx.Client(headers={{"Authorization": "Bearer sk-or-v1-test"}})
    call()
    call()
process = multiprocessing.get_context("fork").Process(target=work)
process.start()
process.join()
assert process.exitcode == 0
"""
    run_program(source, env=env_of(sim, receiver))
    assert len(receiver.spans) == 2
    check(receiver, sim)


def test_a_dead_end_point_does_not_keep_the_process(sim: Simulator) -> None:
    """Nobody takes the spans, nobody answers look-ups: the exit is bounded all the same."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OROBSERVE_ENRICHMENT": "always",
        "OROBSERVE_HOSTS": sim.root,
        "SIMULATOR": sim.root,
    }
    run_program(PROGRAM + "call()", env=env)
