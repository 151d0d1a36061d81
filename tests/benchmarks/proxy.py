"""What the sidecar costs, each figure beside its direct twin: `python tests/benchmarks/proxy.py --help`.

The upstream and the client share one core, the proxy under test has the other. With `--litellm DIR` (a virtual
environment with litellm[proxy]) LiteLLM's proxy takes the same core in its turn, in front of the same upstream.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

HERE = Path(__file__).parent
MESSAGES = [{"role": "user", "content": "the quick brown fox jumps over the lazy dog " * 30}]
BODY = json.dumps({"model": "gpt-4o", "stream": True, "messages": MESSAGES}).encode()
LITELLM = {
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}
SENT = re.compile(rb'"sent":(\d+)')


@dataclass
class Seen:
    """What a client has seen of one stream, times in nanoseconds."""

    first: int = 0
    chunks: int = 0
    gaps: list[int] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)
    complete: bool = False


class Client:
    """One connection to `port` that makes streamed calls."""

    path = "/api/v1/chat/completions"

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def call(self, chunks: int, gap: float = 0.0, silence: float = 0.0, *, timed: bool = False) -> Seen:
        """Make one call and read it to its end."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer sk-bench-0123456789\r\n"
            f"content-type: application/json\r\nx-chunks: {chunks}\r\nx-gap: {gap}\r\nx-silence: {silence}\r\n"
            f"content-length: {len(BODY)}\r\n\r\n"
        )
        seen, began, last, tail = Seen(), time.monotonic_ns(), 0, b""
        self._writer.write(head.encode() + BODY)
        while not seen.complete:
            data = await self._reader.read(65536)
            now = time.monotonic_ns()
            if not data:
                break
            if b"data: " in data or seen.first:
                seen.first = seen.first or now - began
            seen.chunks += data.count(b"data: ")
            if timed and (sent := SENT.findall(data)):
                seen.delays += [now - int(at) for at in sent]
                seen.gaps += [now - last] if last else []
                last = now
            seen.complete = (tail + data).endswith(b"0\r\n\r\n")
            tail = data[-8:]
        return seen


async def _one(port: int, count: int, chunks: int, gap: float, *, timed: bool) -> list[Seen]:
    async with Client(port) as client:
        return [await client.call(chunks, gap, timed=timed) for _ in range(count)]


async def many(
    port: int, streams: int, count: int, chunks: int, gap: float = 0.0, *, timed: bool = False
) -> list[Seen]:
    """Make `count` calls on each of `streams` connections."""
    found = await asyncio.gather(*(_one(port, count, chunks, gap, timed=timed) for _ in range(streams)))
    return [seen for each in found for seen in each]


def quantile(values: list[int], share: float) -> float:
    """Return a quantile, in milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1e6


def memory(process: int) -> float:
    """Return a process's resident memory in MiB."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def processor(process: int) -> float:
    """Return the seconds of processor time that a process has used."""
    used = Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(command: list[str], core: int, environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process on one core."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE if "upstream" in command[-1] else out,
            stderr=out,
            text=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def ready(url: str, seconds: float = 120.0) -> None:
    """Wait for a server."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.2)
    raise SystemExit(f"{url} never came up")


def row(what: str, direct: str, through: str, note: str = "") -> None:
    """Print a line of the table."""
    print(f"{what:<52}{direct:>14}{through:>14}  {note}", flush=True)


async def first_byte(direct: int, proxy: int, calls: int) -> None:
    """Measure the time to the first byte, one call at a time, in turns."""
    found: dict[int, list[int]] = {direct: [], proxy: []}
    async with Client(direct) as one, Client(proxy) as other:
        for index in range(calls + 20):
            for port, client in ((direct, one), (proxy, other)):
                seen = await client.call(2)
                if index >= 20:
                    found[port].append(seen.first)
    for share in (0.5, 0.99):
        a, b = quantile(found[direct], share), quantile(found[proxy], share)
        row(f"first byte, p{share * 100:g} (ms)", f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f} ms")


async def gaps(direct: int, proxy: int, seconds: float, process: int) -> None:
    """Measure 64 streams of 50 chunks a second."""
    chunks = int(seconds * 50)
    twin = await many(direct, 64, 1, chunks, 0.02, timed=True)
    used = processor(process)
    ours = await many(proxy, 64, 1, chunks, 0.02, timed=True)
    used = processor(process) - used
    for share in (0.5, 0.99, 0.999):
        a = quantile([gap for seen in twin for gap in seen.gaps], share)
        b = quantile([gap for seen in ours for gap in seen.gaps], share)
        row(f"64 x 50 chunks/s: gap between chunks, p{share * 100:g} (ms)", f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f} ms")
    for share in (0.5, 0.99):
        a = quantile([delay for seen in twin for delay in seen.delays], share)
        b = quantile([delay for seen in ours for delay in seen.delays], share)
        row(f"64 x 50 chunks/s: upstream to client, p{share * 100:g} (ms)", f"{a:.2f}", f"{b:.2f}", f"{b - a:+.2f} ms")
    complete = sum(seen.complete and seen.chunks == chunks + 2 for seen in ours)
    row("64 x 50 chunks/s: streams whole", "64", str(complete), f"{used / seconds:.0%} of a core")


async def rate(port: int, streams: int, chunks: int, calls: int) -> float:
    """Return the chunks per second that come through at most."""
    await many(port, streams, 1, 20)
    began = time.monotonic()
    found = await many(port, streams, calls, chunks)
    took = time.monotonic() - began
    if not all(seen.complete for seen in found):
        print(f"  {sum(not seen.complete for seen in found)} streams were not whole")
    return sum(seen.chunks for seen in found) / took


async def flat(port: int, total: int, process: int) -> None:
    """Measure memory over many short streams."""
    marks = []
    for _ in range(5):
        await many(port, 32, total // 160, 10)
        marks.append(memory(process))
    shown = " ".join(f"{mark:.0f}" for mark in marks)
    row(f"memory over {total} streams (MiB, five times)", "", f"{marks[-1]:.0f}", shown)


async def slow(direct: int, proxy: int, streams: int, process: int) -> None:
    """Hold many slow streams at once."""
    before, results = memory(process), []
    for port in (direct, proxy):
        found = await many(port, streams, 1, 10, 1.0)
        results.append(sum(seen.complete and seen.chunks == 12 for seen in found))
    grown = f"memory {before:.0f} -> {memory(process):.0f} MiB"
    row(f"{streams} slow streams at once: whole", str(results[0]), str(results[1]), grown)


async def silent(port: int, seconds: float) -> None:
    """Hold a stream that says nothing for long."""
    async with Client(port) as client:
        seen = await client.call(2, silence=seconds)
    row(f"silent for {seconds:g} s: whole", "", str(seen.complete), f"first byte after {seen.first / 1e9:.1f} s")


def litellm_command(environment: Path, upstream: int, port: int, folder: Path) -> list[str]:
    """Return how LiteLLM's proxy is started in front of the same upstream."""
    config = folder / "litellm.yaml"
    base = f"http://127.0.0.1:{upstream}/api/v1"
    parameters = {
        "model": "openai/gpt-4o",
        "api_base": base,
        "api_key": "sk-bench-0123456789",
        "extra_headers": {"x-chunks": "300"},
    }
    # YAML takes JSON as it is.
    config.write_text(json.dumps({"model_list": [{"model_name": "gpt-4o", "litellm_params": parameters}]}))
    return [str(environment / "bin" / "litellm"), "--config", str(config), "--port", str(port), "--num_workers", "1"]


def free_port() -> int:
    """Return a port that is free."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def measure(options: argparse.Namespace, direct: int, proxy: int, process: int) -> float:
    """Measure our proxy; returns its rate at saturation."""
    await first_byte(direct, proxy, options.calls)
    await gaps(direct, proxy, options.seconds, process)
    best = await rate(direct, 64, 300, 10), await rate(proxy, 64, 300, 10)
    row("saturation, 64 streams (chunks/s)", f"{best[0]:.0f}", f"{best[1]:.0f}", f"{best[1] / best[0]:.0%} of direct")
    await flat(proxy, options.streams, process)
    await slow(direct, proxy, options.slow, process)
    if options.silent:
        await silent(proxy, options.silent)
    return best[1]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="to measure the first byte with")
    parser.add_argument("--seconds", type=float, default=10.0, help="that the 64 streams last")
    parser.add_argument("--streams", type=int, default=20_000, help="to watch the memory over")
    parser.add_argument("--slow", type=int, default=1000, help="slow streams at once")
    parser.add_argument("--silent", type=float, default=0.0, help="seconds that a stream is silent; 300 to be sure")
    parser.add_argument("--litellm", type=Path, help="a virtual environment with litellm[proxy]")
    parser.add_argument("--cores", default="0,1", help="of client with upstream, and of the proxy")
    options = parser.parse_args()
    here, there = map(int, options.cores.split(","))
    os.sched_setaffinity(0, {here})
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        run(options, (here, there), Path(folder), stack)


def run(options: argparse.Namespace, cores: tuple[int, int], folder: Path, stack: contextlib.ExitStack) -> None:
    """Start the servers and measure them, one after the other."""
    command = [sys.executable, str(HERE / "upstream.py")]
    upstream = stack.enter_context(started(command, cores[0], {}, folder / "upstream.log"))
    direct = int(upstream.stdout.readline()) if upstream.stdout else 0
    port = free_port()
    ours = [sys.executable, "-m", "orobserve", "proxy", "--listen", f"127.0.0.1:{port}"]
    ours += ["--upstream", f"http://127.0.0.1:{direct}"]
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{direct}",
        "OROBSERVE_LEDGER": str(folder / "ledger.db"),
    }
    print(f"{'':<52}{'direct':>14}{'proxy':>14}")
    with started(ours, cores[1], environment, folder / "proxy.log") as process:
        ready(f"http://127.0.0.1:{port}/readyz")
        best = uvloop.run(measure(options, direct, port, process.pid))
    with contextlib.closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        (count,) = ledger.execute("SELECT count(*) FROM calls").fetchone()
    row("calls in the ledger", "", str(count))
    if options.litellm is not None:
        port = free_port()
        theirs = litellm_command(options.litellm, direct, port, folder)
        with started(theirs, cores[1], LITELLM, folder / "litellm.log"):
            ready(f"http://127.0.0.1:{port}/health/liveliness")
            base, rated = uvloop.run(_twin(direct, port))
        row(
            "LiteLLM's proxy, the same (chunks/s)",
            f"{base:.0f}",
            f"{rated:.0f}",
            f"ours: {best / rated if rated else 0:.1f} times",
        )


async def _twin(direct: int, port: int) -> tuple[float, float]:
    Client.path = "/v1/chat/completions"  # LiteLLM's own; the upstream takes both
    return await rate(direct, 64, 300, 10), await rate(port, 64, 300, 1)


if __name__ == "__main__":
    main()
