"""Node's clients through the proxy: what they send, and what they hand to their caller, is what it is without."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.delivery.servers import Answer, Server

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from orobserve.testing import Simulator
    from tests.delivery.servers import Received

FOLDER = Path(__file__).parent / "node"
KEY = "sk-or-v1-canary"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "node_modules").is_dir(), reason="no packages of npm: the tox environment `node` installs them"
)


def call(client: str, mode: str, url: str) -> str:
    """Make the calls of a client and return what it has printed."""
    node = shutil.which("node")
    assert node is not None
    command = [node, str(FOLDER / "calls.mjs"), client, mode, f"{url}/api/v1", KEY]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def essence(request: Received) -> tuple[Any, ...]:
    """Return a request without what is of one hop only, and the address of the server."""
    headers = {name: value for name, value in request.headers.items() if name not in {"host", "connection"}}
    return request.method, request.path, headers, request.raw


@pytest.mark.parametrize("mode", ["plain", "streamed"])
@pytest.mark.parametrize("client", ["openai", "openrouter", "ai"])
def test_a_client_of_node(
    start: Callable[..., Any], records: Callable[[], list[Generation]], client: str, mode: str
) -> None:
    streamed = mode == "streamed"
    kind = "text/event-stream" if streamed else "application/json"
    answer = Answer(200, {"Content-Type": kind, "X-Generation-Id": "gen-node"}, STREAM if streamed else PLAIN)
    with Server(answer) as server:
        direct = call(client, mode, server.url)
        proxy = start(server.url, {"enrichment": "never"})
        through = call(client, mode, proxy.url)
        proxy.stop()
        first, second = server.requests
    assert essence(first) == essence(second)
    assert _without_times(direct) == _without_times(through)
    (record,) = records()
    assert record.cost is not None
    assert (record.model, record.cost.total, record.request.stream or False) == ("openai/gpt-4o", 0.00075, streamed)


def _without_times(printed: str) -> str:
    return re.sub(r'"(?:timestamp|id)":"[^"]*"', "", printed)


def test_claude_code_as_openrouters_page_describes(sim: Simulator, tmp_path: Path) -> None:
    """`orobserve run -- claude`, with nothing set up but OpenRouter's key."""
    program = next((FOLDER / "node_modules" / "@anthropic-ai").glob("claude-code-*/claude"))
    environ = {"HOME": str(tmp_path), "OPENROUTER_BASE_URL": sim.url, "OPENROUTER_API_KEY": KEY}
    quiet = {"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", "IS_SANDBOX": "1"}
    command = [str(program), "-p", "Say hello.", "--model", "anthropic/claude-sonnet-4"]
    done = subprocess.run(
        [sys.executable, "-m", "orobserve", "run", "--json", "--", *command],
        env={"PATH": os.environ["PATH"], **environ, **quiet},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("You said: ")
    total = json.loads(done.stderr.splitlines()[-1])["total"]
    assert (total["calls"], total["unpriced"]) == (len(sim.inference_calls), 0)
    assert total["cost"] == float(sim.bill) > 0


_USAGE = b'"usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15,"cost":0.00075,"is_byok":false}'
_HEAD = b'"id":"gen-node","created":1795653276,"model":"openai/gpt-4o","provider":"OpenAI","system_fingerprint":"fp_1"'
PLAIN = (
    b"{" + _HEAD + b',"object":"chat.completion","choices":[{"index":0,"logprobs":null,"finish_reason":"stop",'
    b'"native_finish_reason":"stop","message":{"role":"assistant","content":"Hello \xe2\x9c\x93","refusal":null,'
    b'"reasoning":null}}],' + _USAGE + b"}"
)
_CHUNK = b"data: {" + _HEAD + b',"object":"chat.completion.chunk","choices":['
STREAM = b": OPENROUTER PROCESSING\n\n" + b"".join(
    (
        _CHUNK + b'{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]}\n\n',
        _CHUNK + b'{"index":0,"delta":{"role":"assistant","content":"lo \xe2\x9c\x93"},"finish_reason":null}]}\n\n',
        _CHUNK + b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop"}]}\n\n',
        _CHUNK + b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],' + _USAGE + b"}\n\n",
        b"data: [DONE]\n\n",
    )
)
