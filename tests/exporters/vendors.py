"""The vendors' own SDKs and Datadog's test agent, each in a process of its own: they start threads and patch things.

They come from packages that only the environment `vendors` has. This file is also the program that those processes run;
`CALL` is the one call that all of them record.
"""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

TIMEOUT = 60.0  # seconds
SCENARIOS = ("tools", "rate_limited")  # of the simulator, in the calls that PostHog's client makes

CALL: dict[str, Any] = {
    "model": "anthropic/claude-sonnet-4",
    "provider": "Anthropic",
    "name": "Summarise",
    "trace_name": "Nightly report",
    "system": "Be brief.",
    "question": "Summarise the report.",
    "answer": "It went well.",
    "tool_call": {"id": "call_1", "name": "weather", "arguments": {"city": "Zürich"}},
    "tool": {"name": "weather", "description": "The weather.", "parameters": {"type": "object"}},
    "parameters": {"temperature": 0.2, "max_tokens": 500},
    "user": "u-1",
    "session": "s-1",
    "tokens": {
        "input_tokens": 1000,
        "output_tokens": 200,
        "total_tokens": 1200,
        "cache_read_input_tokens": 600,
        "cache_write_input_tokens": 100,
        "reasoning_output_tokens": 50,
    },
    "first_token": 0.42,
    "cost": {"input_cost": 0.001, "output_cost": 0.002, "total_cost": 0.003},
    "error": "Rate limit exceeded",
}


def is_installed(package: str) -> bool:
    """Tell whether a package is here, without importing it."""
    return importlib.util.find_spec(package) is not None


def run(program: str, *arguments: str, folder: Path, env: Mapping[str, str] | None = None) -> Any:
    """Run one of `PROGRAMS`, without the environment of whoever runs the tests, and return what it prints as JSON."""
    clean = {"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "DO_NOT_TRACK": "1", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, __file__, program, *arguments],
        cwd=folder,
        env={**clean, **(env or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


@contextmanager
def datadog_agent(folder: Path) -> Iterator[str]:
    """Run Datadog's test agent and give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, __file__, "agent", str(port)],
        cwd=folder,
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert any("Running on" in line for line in process.stdout), "the agent did not start"  # reads until it is up
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()


def agent(port: str) -> None:
    """Be the test agent, on the loopback interface only: it would listen on all."""
    from aiohttp import web
    from ddapm_test_agent.agent import main

    anywhere = web.run_app
    web.run_app = lambda app, **given: anywhere(app, **{**given, "host": "127.0.0.1"})
    main(["--port", port])


def datadog(mode: str) -> None:
    """Record a workflow with two calls in it: one that went well, and one that failed."""
    from ddtrace.llmobs import LLMObs

    LLMObs.enable(
        ml_app="app",
        agentless_enabled=mode == "agentless",
        integrations_enabled=False,
        api_key="dd-key",
        site="datadoghq.com",
    )
    who = {"user_id": CALL["user"]}
    asked = [{"role": "system", "content": CALL["system"]}, {"role": "user", "content": CALL["question"]}]
    call = CALL["tool_call"]
    called = {"name": call["name"], "arguments": call["arguments"], "tool_id": call["id"], "type": "function"}
    model = {"model_name": CALL["model"], "model_provider": CALL["provider"]}
    with LLMObs.workflow(name=CALL["trace_name"], session_id=CALL["session"]) as root:
        LLMObs.annotate(root, input_data=CALL["question"], output_data=CALL["answer"], tags=who)
        with LLMObs.llm(name=CALL["name"], session_id=CALL["session"], **model) as span:
            LLMObs.annotate(
                span,
                input_data=asked,
                output_data=[{"role": "assistant", "content": CALL["answer"], "tool_calls": [called]}],
                metadata=CALL["parameters"],
                metrics={**CALL["tokens"], **CALL["cost"], "time_to_first_token": CALL["first_token"]},
                tags=who,
                tool_definitions=[
                    {
                        "name": CALL["tool"]["name"],
                        "description": CALL["tool"]["description"],
                        "schema": CALL["tool"]["parameters"],
                    }
                ],
            )
        with suppress(RuntimeError), LLMObs.llm(name="Failed", session_id=CALL["session"], **model) as span:
            LLMObs.annotate(span, input_data=asked, tags=who)
            raise RuntimeError(CALL["error"])
    LLMObs.flush()
    LLMObs.disable()


def posthog_capture(url: str, properties: str) -> None:
    """Capture an event with the given properties."""
    from posthog import Posthog

    client = Posthog("phc_key", host=url)
    client.capture("$ai_generation", distinct_id=CALL["user"], properties=json.loads(properties))
    client.shutdown()


def posthog_openai(url: str, api: str, body: str) -> None:
    """Make a call with the OpenAI client that PostHog wraps, and one that the simulator refuses."""
    import openai
    from posthog import Posthog
    from posthog.ai.openai import OpenAI

    client = Posthog("phc_key", host=url)
    said = {"posthog_distinct_id": CALL["user"], "posthog_trace_id": "workflow_12345"}
    wrapped = OpenAI(api_key="sk-or-v1-key", base_url=api, posthog_client=client, max_retries=0)
    for scenario in SCENARIOS:
        with suppress(openai.APIStatusError):
            headers = {"x-simulator-scenario": scenario}
            wrapped.chat.completions.create(**json.loads(body), **said, extra_headers=headers)
    client.shutdown()


def raindrop(url: str, event: str, timestamp: str, properties: str) -> None:
    """Track an AI event and name a user."""
    from raindrop import analytics

    analytics.init("rd-key", endpoint=f"{url}/v1/", auto_instrument=False, local_workshop_url=None, app_git=False)
    analytics.track_ai(
        user_id=CALL["user"],
        event="llm_generation",
        event_id=event,
        model=CALL["model"],
        input=CALL["question"],
        output=CALL["answer"],
        convo_id=CALL["session"],
        properties=json.loads(properties),
        timestamp=timestamp,
    )
    analytics.identify("orobserve-connection-test", {"source": "orobserve"})
    analytics.flush()
    analytics.shutdown()


PROGRAMS: dict[str, Callable[..., None]] = {
    "agent": agent,
    "datadog": datadog,
    "posthog_capture": posthog_capture,
    "posthog_openai": posthog_openai,
    "raindrop": raindrop,
}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](*sys.argv[2:])
