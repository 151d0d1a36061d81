"""Whole processes: exit, fork, what runs before the first call, and names that two libraries share."""

from __future__ import annotations

import json
import os

import pytest

from tests.scripts.programs import CALL, Receiver, run_program


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_one_liner_exports_its_span_at_exit(library: str) -> None:
    source = f"import orobserve, {library}\norobserve.instrument()\n{CALL}\ncall({library})"
    with Receiver() as receiver:
        done = run_program(source, env=receiver.env)
    (span,) = receiver.spans
    assert span.name == "chat openai/gpt-4o"
    assert {"gen_ai.client.operation.duration", "openrouter.client.cost"} <= receiver.metric_names
    assert (done.stdout, done.stderr) == ("", "")


def test_no_call_no_export() -> None:
    with Receiver() as receiver:
        run_program("import orobserve, httpx\norobserve.instrument()", env=receiver.env)
    assert receiver.requests == []


def test_the_library_may_be_imported_later() -> None:
    with Receiver() as receiver:
        run_program(
            f"import orobserve\norobserve.instrument()\n{CALL}\nimport httpx2; call(httpx2)\nimport httpx; call(httpx)",
            env=receiver.env,
        )
    assert len(receiver.spans) == 2


def test_one_class_with_two_names_is_counted_once() -> None:
    with Receiver() as receiver:
        run_program(
            f"""
import orobserve, httpx2
httpx2.alias_httpx()
orobserve.instrument()
import httpx
assert httpx.Client is httpx2.Client
{CALL}
call(httpx2)
call(httpx)
""",
            env=receiver.env,
        )
    assert len(receiver.spans) == 2


def test_nothing_is_started_before_the_first_call() -> None:
    source = f"""
import os, sys, threading
import httpx, httpx2
def state():
    fds = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else ()
    return [thread.name for thread in threading.enumerate()], sorted(fds)
before = state()
import orobserve
orobserve.on_generation(lambda generation: None)
orobserve.instrument()
from opentelemetry import metrics, trace
assert state() == before, (before, state())
assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
{CALL}
call(httpx)
assert state() != before
"""
    with Receiver() as receiver:
        run_program(source, env=receiver.env)
    assert len(receiver.spans) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("calls_before", [0, 1])
def test_a_fork_exports_each_span_once(calls_before: int) -> None:
    source = f"""
import os, sys
import httpx, orobserve
from orobserve import _runtime
seen = []
orobserve.on_generation(lambda generation: seen.append(generation.span_id))
orobserve.instrument()
{CALL}
for _ in range({calls_before}):
    call(httpx)
assert _runtime._handouts.drain(20.0)
assert _runtime._worker.flush(20.0)  # records only: the span is still queued in the exporter
child = os.fork()
call(httpx)
assert orobserve.flush(20.0)
assert len(seen) == {calls_before} + 1, seen
if child:
    assert os.waitpid(child, 0)[1] == 0
    sys.exit()
from opentelemetry import metrics, trace
trace.get_tracer_provider().shutdown()
os._exit(0)
"""
    with Receiver() as receiver:
        run_program(source, env=receiver.env)
    ids = [span.span_id for span in receiver.spans]
    assert len(ids) == len(set(ids)) == calls_before + 2


def test_calls_of_threads_are_seen() -> None:
    source = f"""
import json, threading
import httpx, orobserve
seen = []
orobserve.on_generation(seen.append)
orobserve.instrument(console=False)
{CALL}
threads = [threading.Thread(target=call, args=(httpx,)) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert orobserve.flush()
print(json.dumps([generation.cost.total for generation in seen]))
"""
    assert json.loads(run_program(source).stdout) == [0.5] * 8


def test_records_are_handed_out_at_exit() -> None:
    source = f"""
import httpx, orobserve
orobserve.on_generation(lambda generation: print(generation.id))
orobserve.instrument(console=False)
{CALL}
call(httpx)
"""
    assert run_program(source).stdout == "gen-1\n"


LATER = """
import asyncio, json, sys
import orobserve
orobserve.instrument(hosts=["127.0.0.1"])
assert not {"requests", "urllib3", "aiohttp"} & set(sys.modules), "nothing is imported that the app does not have"
from orobserve.testing import Simulator
with Simulator() as sim:
    url, headers = f"{sim.url}/chat/completions", {"authorization": "Bearer k", "content-type": "application/json"}
    body = json.dumps({"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
    import urllib.request
    urllib.request.urlopen(urllib.request.Request(url, body, headers)).read()
    import urllib3
    urllib3.request("POST", url, body=body, headers=headers)
    import requests
    requests.post(url, data=body, headers=headers).json()
    import aiohttp
    async def call():
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
            await response.json()
    asyncio.run(call())
"""


def test_other_libraries_may_be_imported_later() -> None:
    with Receiver() as receiver:
        run_program(LATER, env={**receiver.env, "OROBSERVE_ENRICHMENT": "never"})
    assert [span.name for span in receiver.spans] == ["chat openai/gpt-4o"] * 4
