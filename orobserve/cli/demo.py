"""`orobserve demo`: real client calls against a loopback OpenRouter, and what orobserve saw of them."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import httpx

import orobserve
from orobserve import spend
from orobserve.cli import demo_calls, table
from orobserve.errors import ConfigurationError
from orobserve.telemetry.console import is_terminal, money
from orobserve.testing import Simulator

if TYPE_CHECKING:
    import argparse
    from decimal import Decimal

    from orobserve.generation import Generation

_LIVE_MODEL = "openai/gpt-4o-mini"
_HEAD = ("client", "what", "model", "provider", "tokens in", "cached", "out", "cost", "time", "first chunk", "result")
_RIGHT = (4, 5, 6, 7, 8, 9)


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "demo",
        help="show what orobserve sees: no key, no network",
        description="Starts an OpenRouter simulator on this machine, makes a dozen calls with the clients that are "
        "installed, and shows what orobserve saw of each. With --live, three tiny calls to OpenRouter itself "
        "(OPENROUTER_API_KEY, a small fraction of a cent). With OTEL_EXPORTER_OTLP_ENDPOINT set, the spans go there.",
    )
    command.add_argument("--live", action="store_true", help="three tiny real calls, with OPENROUTER_API_KEY")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    seen: list[Generation] = []
    remove = orobserve.on_generation(seen.append)
    try:
        bill = _live() if options.live else _simulated()
    finally:
        remove()
        orobserve.uninstrument()
    seen.sort(key=lambda generation: generation.timing.started_at)
    if options.json:
        table.write_json(sys.stdout, _report(seen, bill))
    else:
        _show(seen, bill)
    return 0


def _simulated() -> Decimal:
    with Simulator() as simulator:
        orobserve.instrument(hosts=[simulator.root], console=False, enrichment="always")
        logging.getLogger("httpx").setLevel(logging.WARNING)
        for step in demo_calls.steps(simulator):
            with orobserve.context(metadata={"client": step.client, "shows": step.shows}):
                demo_calls.run(step, simulator)
        _wait()
        return simulator.bill


def _wait() -> None:
    """Wait for OpenRouter's own records of the calls: some have no cost without."""
    if is_terminal(sys.stderr):
        sys.stderr.write("waiting for the records of the calls ...\r")
    orobserve.flush(records=True)


def _live() -> Decimal | None:
    key = os.environ.get("OPENROUTER_API_KEY")
    if not key:
        raise ConfigurationError(
            "OPENROUTER_API_KEY",
            None,
            allowed="an OpenRouter key",
            fix="export OPENROUTER_API_KEY=..., or leave out --live",
        )
    base = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1").rstrip("/")
    orobserve.instrument(hosts=[base], console=False, enrichment="always")
    body: dict[str, Any] = {
        "model": _LIVE_MODEL,
        "messages": [{"role": "user", "content": "Say hello in one word."}],
        "max_tokens": 16,
    }
    answer = {"model": _LIVE_MODEL, "input": "Say hello.", "max_output_tokens": 16}
    with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        with orobserve.context(metadata={"client": "httpx", "shows": "chat"}):
            client.post(f"{base}/chat/completions", json=body)
        with orobserve.context(metadata={"client": "httpx", "shows": "chat, streamed"}):
            client.post(f"{base}/chat/completions", json={**body, "stream": True})
        with orobserve.context(metadata={"client": "httpx", "shows": "responses"}):
            client.post(f"{base}/responses", json=answer)
    _wait()
    return None  # nobody but OpenRouter knows the bill


def _total(seen: list[Generation]) -> spend.Sum:
    return spend.total(spend.by_model(map(spend.facts, seen)).values())


def _show(seen: list[Generation], bill: Decimal | None) -> None:
    out = sys.stdout
    rows = [_cells(generation) for generation in seen]
    styles = ["bad" if generation.error else "" for generation in seen]
    table.write(out, _HEAD, rows, styles, _RIGHT)
    table.summarise(out, _total(seen))
    if bill is not None:
        out.write(f"The simulator's bill for all of them: {money(bill)}\n")
    out.write("\nIn your own code:  import orobserve; orobserve.instrument()\n")


def _told(generation: Generation, key: str) -> str:
    return str((generation.tags or {}).get(key, ""))


def _cells(generation: Generation) -> tuple[str, ...]:
    usage, timing = generation.usage, generation.timing
    first = timing.time_to_first_chunk
    cached = usage.cache_read_input_tokens if usage else None
    result = generation.error.type if generation.error else generation.outcome.value
    if generation.cache and generation.cache.status == "hit":
        result = "cache hit"
    return (
        _told(generation, "client"),
        _told(generation, "shows"),
        generation.model or generation.request.model or "",
        generation.provider or "",
        _count(usage.input_tokens if usage else None, generation),
        str(cached) if cached else "",
        _count(usage.output_tokens if usage else None, generation),
        money(generation.cost.total if generation.cost else None),
        f"{timing.duration:.2f} s",
        f"{first:.2f} s" if first is not None else "",
        result,
    )


def _count(tokens: int | None, generation: Generation) -> str:
    if tokens is None:  # embeddings, say, have usage but no output: that is not unknown
        return "?" if generation.usage is None else ""
    return str(tokens)


def _report(seen: list[Generation], bill: Decimal | None) -> dict[str, Any]:
    total = _total(seen)
    calls = [
        {
            "client": _told(generation, "client"),
            "shows": _told(generation, "shows"),
            "operation": generation.operation,
            "generation_id": generation.id,
            "model": generation.model,
            "provider": generation.provider,
            "input_tokens": generation.usage.input_tokens if generation.usage else None,
            "cache_read_tokens": generation.usage.cache_read_input_tokens if generation.usage else None,
            "output_tokens": generation.usage.output_tokens if generation.usage else None,
            "cost": generation.cost.total if generation.cost else None,
            "cost_source": generation.cost.source if generation.cost else None,
            "seconds": generation.timing.duration,
            "time_to_first_chunk": generation.timing.time_to_first_chunk,
            "outcome": generation.outcome.value,
            "error": generation.error.type if generation.error else None,
        }
        for generation in seen
    ]
    report: dict[str, Any] = {"calls": calls, "total": total.as_json()["cost"], "unpriced": total.unpriced}
    if bill is not None:
        report["bill"] = bill
    return report
