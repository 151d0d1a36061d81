"""What observing costs, as ratios within one run: `python tests/benchmarks/overhead.py --help`.

In-memory transport, no-op exporter behind a batch processor. Each figure is the difference between an observed and an
unobserved call; beside it stands the floor it is compared with, measured in the same run and in the same way.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import httpx
from elsewhere import calls
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

import orobserve
from orobserve import _runtime
from orobserve.delivery import DirectExporter, Result, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.trace import Tracer

URL = "https://openrouter.ai/api/v1/chat/completions"
CHUNKS = 300
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "the", "lazy", "dog", "while", "telemetry", "counts", "costs"]
CHUNK_HEAD = '{"id":"gen-1763844830-abcdefghijklmnopqrst","object":"chat.completion.chunk","created":1763844830,'
CHUNK_HEAD += '"model":"openai/gpt-4o","provider":"OpenAI","choices":[{"index":0,"delta":{"role":"assistant","content":'
CHUNK_TAIL = '},"finish_reason":null,"native_finish_reason":null,"logprobs":null}]}'
USAGE = {
    "prompt_tokens": 420,
    "completion_tokens": 300,
    "total_tokens": 720,
    "cost": 0.00405,
    "is_byok": False,
    "prompt_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 0, "audio_tokens": 0, "video_tokens": 0},
    "cost_details": {"upstream_inference_cost": None, "upstream_inference_prompt_cost": 0.00105},
    "completion_tokens_details": {"reasoning_tokens": 64, "image_tokens": 0},
}
REQUEST = {
    "model": "openai/gpt-4o",
    "messages": [{"role": "user", "content": " ".join(WORDS * 22)}],
    "temperature": 0.2,
    "max_tokens": 400,
}
RESPONSE = {
    "id": "gen-1763844830-abcdefghijklmnopqrst",
    "object": "chat.completion",
    "created": 1763844830,
    "model": "openai/gpt-4o",
    "provider": "OpenAI",
    "system_fingerprint": None,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "native_finish_reason": "stop",
            "logprobs": None,
            "message": {"role": "assistant", "content": " ".join(WORDS * 16), "refusal": None, "reasoning": None},
        }
    ],
    "usage": USAGE,
}


class NoExport(SpanExporter):
    """Takes spans and forgets them."""

    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        """Forget."""
        del spans
        return SpanExportResult.SUCCESS


class Nowhere(DirectExporter):
    """A destination that takes everything at once."""

    TYPE, TITLE = "nowhere", "Nowhere"

    def export(self, batch: Sequence[Any]) -> Result:
        """Forget."""
        del batch
        return Result(verdict=Verdict.DELIVERED)


class Chunks(httpx.SyncByteStream):
    """A streamed body in memory."""

    def __init__(self, chunks: list[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)


class Memory(httpx.BaseTransport):
    """Answers at once, streamed or not."""

    def __init__(self) -> None:
        self._body = json.dumps(RESPONSE).encode()
        self.chunks = [b": OPENROUTER PROCESSING\n\n", *map(_chunk, range(CHUNKS)), *_tail()]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        headers = {"x-generation-id": "gen-1763844830-abcdefghijklmnopqrst"}
        if b'"stream"' in request.content:
            headers["content-type"] = "text/event-stream"
            return httpx.Response(200, headers=headers, stream=Chunks(self.chunks))
        headers["content-type"] = "application/json"
        return httpx.Response(200, headers=headers, stream=Chunks([self._body]))


def _chunk(position: int) -> bytes:
    text = json.dumps(" " + WORDS[position % len(WORDS)])
    return f"data: {CHUNK_HEAD}{text}{CHUNK_TAIL}\n\n".encode()


def _tail() -> list[bytes]:
    final = {**RESPONSE, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}
    del final["usage"]
    last = {**RESPONSE, "choices": [], "usage": USAGE}
    return [*(f"data: {json.dumps(item)}\n\n".encode() for item in (final, last)), b"data: [DONE]\n\n"]


def once(action: Callable[[], float | None], number: int) -> float:
    """Return the time of one action in microseconds, the fastest of three runs; an action may time itself."""
    times = []
    for _ in range(3):
        own = 0.0
        start = time.perf_counter()
        for _ in range(number):
            own += action() or 0.0
        times.append((own or time.perf_counter() - start) / number * 1e6)
    return min(times)


class Bench:
    """Measures plain, observed and floor in turn, many short times, and compares the fastest of each."""

    def __init__(self, rounds: int, provider: TracerProvider) -> None:
        self._rounds = rounds
        self._settings: dict[str, Any] = {"tracer_provider": provider, "enrichment": "never"}

    def added(self, action: Callable[[], float | None], number: int, **settings: Any) -> float:
        """Return what observing adds to an action, in microseconds."""
        plain, observed = [], []
        for _ in range(self._rounds):
            plain.append(once(action, number))
            orobserve.instrument(**{**self._settings, **settings})
            observed.append(once(action, number))
            orobserve.uninstrument()
            _runtime._enricher._reset()  # nobody is there to answer a look-up
        return min(observed) - min(plain)

    def added_here(self, action: Callable[[], float | None], number: int, **settings: Any) -> float:
        """Return what observing adds to the time of the calling thread alone, with look-ups, in microseconds."""

        def alone() -> float:
            start = time.thread_time()
            action()
            return time.thread_time() - start

        return self.added(alone, number, **{"enrichment": "always", "enrichment_limit": 1_000_000, **settings})

    def span(self, action: Callable[[], object], tracer: Tracer, number: int) -> tuple[float, float]:
        """Return what a bare SDK span of 25 attributes costs around the action, and alone in a loop, in microseconds.

        Around a call it costs more, as observing does: the caches are full of the call's own code.
        """
        attributes = {f"gen_ai.attribute.{n}": (n if n % 2 else f"value {n}") for n in range(25)}

        def around() -> None:
            span = tracer.start_span("chat", attributes=attributes)
            action()
            span.end()

        plain, spanned, alone = [], [], []
        for _ in range(self._rounds):
            plain.append(once(action, number))
            spanned.append(once(around, number))
            alone.append(once(lambda: tracer.start_span("chat", attributes=attributes).end(), number))
        return min(spanned) - min(plain), min(alone)


def held_memory(client: httpx.Client) -> float:
    """Return what an open, half-read stream holds because it is observed, in KB."""

    def opened() -> float:
        held = []
        gc.collect()
        tracemalloc.start()
        for _ in range(50):
            response = client.send(client.build_request("POST", URL, json={**REQUEST, "stream": True}), stream=True)
            chunks = response.iter_raw()
            for _ in range(CHUNKS // 2):
                next(chunks)
            held.append((response, chunks))
        gc.collect()
        size = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        for response, _ in held:
            response.close()
        return size / 50 / 1024

    plain = opened()
    orobserve.instrument(enrichment="never")
    observed = opened()
    orobserve.uninstrument()
    return observed - plain


def in_fresh_process(code: str, rounds: int) -> float:
    """Return the fastest time that a fresh interpreter prints, in milliseconds."""
    command = [sys.executable, "-c", f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(rounds))
    return min(float(run.stdout.split()[-1]) for run in runs) * 1000


def measure(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield one row per figure."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(NoExport(), max_queue_size=10_000))
    chunk = _chunk(1)[6:-2]
    client = httpx.Client(transport=Memory())
    bench = Bench(rounds, provider)
    streamed = {**REQUEST, "stream": True}

    def call() -> None:
        client.post(URL, json=REQUEST)

    def call_elsewhere() -> None:
        client.get("https://example.com/")

    def stream() -> None:
        with client.stream("POST", URL, json=streamed) as response:
            for _ in response.iter_raw():
                pass

    def until_first() -> float:
        start = time.perf_counter()
        with client.stream("POST", URL, json=streamed) as response:
            chunks = response.iter_raw()
            next(chunks)
            next(chunks)
            return time.perf_counter() - start

    span, alone = bench.span(call, provider.get_tracer("floor"), 100)
    loads = min(once(lambda: json.loads(chunk) and None, 1000) for _ in range(rounds))
    floor = f"SDK span around the call: {span:.1f} µs"
    added = bench.added(call, 100)
    yield _row("call of 2 KB, not streamed", added, "µs", floor, added / span, "2.5 x")
    added = bench.added(call, 100, enrichment="always", enrichment_limit=1_000_000)
    yield _row("  the same, its record looked up later", added, "µs", floor, added / span, "2.5 x")
    added = bench.added_here(call, 100)
    yield _row("  the same, on the caller's own thread", added, "µs", floor, added / span, None)
    five = [{"exporter": Nowhere({}), "name": str(n)} for n in range(5)]
    yield _row(
        "  five destinations: more on that thread",
        bench.added_here(call, 100, destinations=five) - added,
        "µs",
        "",
        None,
        "10 µs",
    )
    floor_loads = f"json.loads of a chunk: {loads:.2f} µs"
    added = bench.added(stream, 10) / CHUNKS
    yield _row(f"stream, per chunk of {CHUNKS}, its end included", added, "µs", floor_loads, added / loads, "3 µs")
    added = bench.added(stream, 10, content="span_only") / CHUNKS
    yield _row("  the same, content captured", added, "µs", floor_loads, added / loads, None)
    added = bench.added(until_first, 50)
    yield _row("first chunk with content", added, "µs", floor, added / span, "100 µs")
    added = bench.added(call_elsewhere, 1000)
    yield _row("call to another host", added, "µs", floor, added / span, "2 µs")
    for library, elsewhere in calls():
        yield _row(f"  the same, {library}", bench.added(elsewhere, 1000), "µs", "", None, "2 µs")
    yield _row("a bare SDK span, 25 attributes, alone in a loop", alone, "µs", floor, alone / span, None)
    yield _row("held by an open stream", held_memory(client), "KB", "", None, "16 KB")
    sdk_import = in_fresh_process("import opentelemetry.sdk.trace", rounds)
    own_import = in_fresh_process("import orobserve", rounds)
    floor = f"import opentelemetry.sdk.trace: {sdk_import:.1f} ms"
    yield _row("import orobserve", own_import, "ms", floor, own_import / sdk_import, "1.5 x")
    setup = "import httpx, opentelemetry.sdk.trace as s, opentelemetry.trace as t, orobserve; "
    setup += "t.set_tracer_provider(s.TracerProvider()); t = time.perf_counter(); orobserve.instrument()"
    yield _row("instrument()", in_fresh_process(setup, rounds), "ms", "", None, "50 ms")


def _row(what: str, value: float, unit: str, floor: str, ratio: float | None, limit: str | None) -> dict[str, Any]:
    """Return a row; a limit is in the figure's unit, or `x` times the floor."""
    most, _, of = (limit or "inf ").partition(" ")
    figure = ratio if of == "x" else value
    return {
        "what": what,
        "added": f"{value:.2f} {unit}",
        "floor": floor,
        "ratio": "" if ratio is None else f"{ratio:.2f}",
        "limit": limit or "",
        "over": "over" if figure is not None and figure > float(most) else "",
    }


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit 1 if a figure is over its limit")
    arguments = parser.parse_args()
    rows = []
    line = "{what:48}{added:>12}  {floor:40}{ratio:>7}{limit:>8} {over}"
    titles = {"what": "", "added": "added", "floor": "floor", "ratio": "ratio", "limit": "limit", "over": ""}
    if not arguments.json:
        print(line.format(**titles))
    for row in measure(arguments.rounds):
        rows.append(row)
        if not arguments.json:
            print(line.format(**row), flush=True)
    if arguments.json:
        print(json.dumps(rows))
    return 1 if arguments.check and any(row["over"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
