"""A morning's calls against the simulator, as metrics over time and as records: what the panels' figures are made of.

The calls are real, their pace is not: each round of calls is taken to be five minutes after the one before. What
Prometheus would have scrapen after each round is kept as samples, with the moment of that round. Metrics are of a
process, so this is one of its own: `python -m tests.dashboards.load FOLDER`, and `load` for the tests.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY

import orobserve
from orobserve.testing import Attempt, Failure, Scenario, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve import Generation

ROOT = Path(__file__).parent.parent.parent
START = 1_795_341_600  # 2026-11-22 10:00 UTC, a Sunday
STEP = 300  # seconds between two rounds
ROUNDS = 24
END = START + ROUNDS * STEP
_WAITING = {0, 13, ROUNDS - 1}  # rounds at whose end OpenRouter's records of the calls are waited for
_SCRAPES = 5  # between two rounds
FAST = {"first_delay": 0.002, "chunk_delay": 0.0005}
_ASK = [{"role": "user", "content": "In one sentence: why is the sky blue at noon and red in the evening?"}]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: path and body, what the simulator does, and whose it is."""

    body: dict[str, Any]
    scenario: Scenario
    key: str = "sk-or-v1-search"
    path: str = "chat/completions"
    headers: dict[str, str] = field(default_factory=dict)
    stop_after: int | None = None


def _chat(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": _ASK, **more}


def _round(number: int) -> Iterator[Call]:
    """Yield the calls of one round; some come only in some rounds, and so start series of their own late."""
    stream = {"stream": True}
    own = "sk-or-v1-support"
    yield Call(_chat("openai/gpt-4o"), Scenario(**FAST, completion_tokens=120 + number))
    yield Call(_chat("openai/gpt-4o-mini", **stream), Scenario(**FAST, reasoning_tokens=12), own)
    cached = Scenario(**FAST, cached_tokens=1024, prompt_tokens=1200, cache_write_tokens=0)
    sonnet = _chat("anthropic/claude-sonnet-4", max_tokens=200, **stream)
    yield Call(sonnet, cached if number % 3 else replace(cached, cached_tokens=0, cache_write_tokens=1024))
    if number >= 4:
        provider = "DeepInfra" if number % 2 else "Together"
        llama = _chat("meta-llama/llama-3.3-70b-instruct", **stream)
        yield Call(llama, Scenario(**FAST, provider=provider), own)
    if number % 6 == 1:
        several = {"models": ["openai/gpt-4o", "google/gemini-2.5-flash"], "messages": _ASK}
        failed = (Attempt(provider="OpenAI", status=503),)
        yield Call(several, Scenario(**FAST, fallback=True, failed_attempts=failed))
        yield Call(_chat("openai/gpt-4o"), Scenario(**FAST, byok="fee"), own)
    if number % 8 == 2:
        again = {"X-OpenRouter-Cache": "true"}
        yield Call(_chat("google/gemini-2.5-flash", user=f"u-{number}"), Scenario(**FAST), headers=again)
        yield Call(_chat("google/gemini-2.5-flash", user=f"u-{number}"), Scenario(**FAST), headers=again)
    if number % 5 == 0:
        limited = Failure(error_type="rate_limit_exceeded", retry_after=7)
        yield Call(_chat("openai/gpt-4o"), Scenario(error=limited))
        broken = Failure(place="midstream", error_type="provider_unavailable")
        yield Call(_chat("openai/gpt-4o", **stream), Scenario(**FAST, error=broken), own)
    if number == 9:
        # Left half-way, and OpenRouter never writes its record: nobody learns what it cost, though it cost nothing.
        left = Scenario(**FAST, billing="none", record_status=404)
        yield Call(_chat("openai/gpt-4o", **stream), left, own, stop_after=4)
    if number == 12:
        embed = {"model": "openai/text-embedding-3-small", "input": "one sentence"}
        yield Call(embed, Scenario(), path="embeddings")


@dataclass(frozen=True, slots=True)
class Load:
    """What was called, what it cost, and what was told of it."""

    bill: Decimal
    generations: list[Generation]
    openmetrics: str


def load(folder: Path) -> Load:
    """Run a process that makes all calls, and return what came of it."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "exporters")))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": paths}
    command = [sys.executable, "-m", "tests.dashboards.load", str(folder)]
    subprocess.run(command, check=True, timeout=120, cwd=folder, env=env)
    found = pickle.loads((folder / "load").read_bytes())
    assert isinstance(found, Load)
    return found


def run(folder: Path) -> Load:
    """Make all calls."""
    labels = {hashlib.sha256(f"sk-or-v1-{name}".encode()).hexdigest(): name for name in ("search", "support")}
    reader = PrometheusMetricReader()
    meters = MeterProvider([reader])
    placed: dict[str, tuple[int, Generation]] = {}
    lines: list[str] = []
    moment = START

    def seen(generation: Generation) -> None:
        assert generation.span_id
        at = placed.get(generation.span_id, (moment, generation))[0]
        placed[generation.span_id] = (at, generation)

    remove = orobserve.on_generation(seen, updates=True)
    try:
        with Simulator(seed=7) as simulator, httpx.Client(base_url=f"{simulator.url}/") as http:
            simulator.account.limit = Decimal(5)
            orobserve.instrument(meter_provider=meters, api_key_labels=labels, **_settings(simulator, folder))
            for number in range(ROUNDS):
                moment = START + number * STEP + 30
                for index, call in enumerate(_round(number)):
                    _make(http, simulator, call, session=f"chat-{number // 4}-{index}")
                assert orobserve.flush(30, records=number in _WAITING)
                for scrape in range(_SCRAPES):
                    lines += _samples(moment + 15 + scrape * STEP // _SCRAPES)
            assert orobserve.flush(30, records=True)
            lines += _samples(END)
            bill = simulator.bill
    finally:
        remove()
        orobserve.uninstrument()
        meters.shutdown()
    calls = [_moved(at, generation, place, labels) for place, (at, generation) in enumerate(placed.values())]
    return Load(bill, calls, "\n".join([*lines, "# EOF", ""]))


def _settings(simulator: Simulator, folder: Path) -> dict[str, Any]:
    """Return settings with which every metric has something to tell: one destination takes nothing."""
    refusing = {"type": "webhook", "name": "refusing", "config": {"url": f"{simulator.root}/nowhere"}}
    return {
        "hosts": [simulator.root],
        "console": False,
        "enrichment": "always",
        "enrichment_rate": 1000.0,
        "metric_tags": ["team"],
        "key_budget": True,
        "destinations": [{"type": "file", "config": {"path": str(folder / "calls.jsonl")}}, refusing],
    }


def _make(http: httpx.Client, simulator: Simulator, call: Call, session: str) -> None:
    simulator.next(call.scenario)
    headers = {"Authorization": f"Bearer {call.key}", **call.headers}
    team = call.key.rpartition("-")[2]
    about = {
        "user": f"{team}-user",
        "session_id": session,
        "tags": [team, "prod"],
        "metadata": {"team": team},
        "trace_name": "Demo",
    }
    with orobserve.context(**about), http.stream("POST", call.path, json=call.body, headers=headers) as response:
        for count, _ in enumerate(response.iter_lines()):
            if call.stop_after is not None and count >= call.stop_after:
                break


def _moved(moment: int, generation: Generation, place: int, labels: dict[str, str]) -> Generation:
    """Return a record as if the call had begun in its round, with the name of its key as destinations get it."""
    timing = generation.timing
    shift = (moment - 20) * 10**9 + place * 1_000_000 - timing.started_at
    first = timing.first_chunk_at
    moved = replace(
        timing,
        started_at=timing.started_at + shift,
        ended_at=timing.ended_at + shift,
        first_chunk_at=first and first + shift,
    )
    key = labels[generation.request.api_key_hash or ""]
    return replace(generation, timing=moved, request=replace(generation.request, api_key_name=key))


def _samples(moment: int) -> Iterator[str]:
    """Yield what a scrape finds now, as OpenMetrics lines of a moment."""
    for family in REGISTRY.collect():
        for sample in family.samples:
            if not sample.name.startswith(("python_", "process_")):
                labels = {**sample.labels, "job": "orobserve", "instance": "app-1:9464"}
                text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
                yield f"{sample.name}{{{text}}} {sample.value!r} {moment}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


if __name__ == "__main__":
    from tests.dashboards import load as this  # by its own name, for whoever reads the pickle

    into = Path(sys.argv[1])
    (into / "load").write_bytes(pickle.dumps(this.run(into)))
