"""The calls of the demo: real clients where they are installed, plain httpx otherwise, each showing one thing."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx

from orobserve.testing import Attempt, Failure, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.testing import Simulator

_ASK = [{"role": "user", "content": "In one sentence: why does a cache hit cost less than a miss?"}]
_KEY = "sk-or-v1-demo-key-of-the-simulator"
_PLAIN = Scenario(name="demo", first_delay=0.12, chunk_delay=0.008)


@dataclass(frozen=True, slots=True)
class Step:
    """One call: which client makes it, what it shows, how, and what the simulator is to do."""

    client: str
    shows: str
    call: Callable[[], object]
    scenario: Scenario


def steps(simulator: Simulator) -> Iterator[Step]:
    """Yield the calls, in order."""
    http = httpx.Client(
        base_url=simulator.url + "/", headers={"Authorization": f"Bearer {_KEY}"}, transport=httpx.HTTPTransport()
    )
    yield from _chat(simulator, http)
    yield from _messages(simulator, http)
    yield from _routing(http)
    yield from _other_endpoints(http)
    yield from _mishaps(http)
    http.close()


def _post(http: httpx.Client, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx.Response:
    return http.post(path, json=body, headers=headers)


def _drain(http: httpx.Client, path: str, body: dict[str, Any], *, stop_after: int | None = None) -> None:
    with http.stream("POST", path, json={**body, "stream": True}) as response:
        for count, _line in enumerate(response.iter_lines()):
            if stop_after is not None and count >= stop_after:
                return


def _chat(simulator: Simulator, http: httpx.Client) -> Iterator[Step]:
    body: dict[str, Any] = {"model": "openai/gpt-4o", "messages": _ASK}
    asked: dict[str, Any] = {"model": "openai/gpt-4o-mini", "input": "Why?"}
    names = ("chat", "chat, streamed", "responses, streamed")
    if not importlib.util.find_spec("openai"):
        yield Step("httpx", names[0], lambda: _post(http, "chat/completions", body), _PLAIN)
        yield Step("httpx", names[1], lambda: _drain(http, "chat/completions", body), _PLAIN)
        yield Step("httpx", names[2], lambda: _drain(http, "responses", asked), _PLAIN)
        return
    import openai  # noqa: PLC0415 - only where it is installed

    with openai.OpenAI(base_url=simulator.url, api_key=_KEY, max_retries=0) as client:
        yield Step("openai", names[0], lambda: client.chat.completions.create(**body), _PLAIN)
        yield Step("openai", names[1], lambda: list(client.chat.completions.create(**body, stream=True)), _PLAIN)
        yield Step("openai", names[2], lambda: list(client.responses.create(**asked, stream=True)), _PLAIN)


def _messages(simulator: Simulator, http: httpx.Client) -> Iterator[Step]:
    body: dict[str, Any] = {"model": "anthropic/claude-sonnet-4", "max_tokens": 200, "messages": _ASK}
    cached = replace(_PLAIN, cached_tokens=1024, prompt_tokens=1200)
    names = ("messages, prompt cache read", "messages, streamed")
    if not importlib.util.find_spec("anthropic"):
        yield Step("httpx", names[0], lambda: _post(http, "messages", body), cached)
        yield Step("httpx", names[1], lambda: _drain(http, "messages", body), cached)
        return
    import anthropic  # noqa: PLC0415 - only where it is installed

    with anthropic.Anthropic(base_url=f"{simulator.root}/api", api_key=_KEY, max_retries=0) as client:
        yield Step("anthropic", names[0], lambda: client.messages.create(**body), cached)
        yield Step("anthropic", names[1], lambda: list(client.messages.create(**body, stream=True)), cached)


def _routing(http: httpx.Client) -> Iterator[Step]:
    body: dict[str, Any] = {"model": "openai/gpt-4o", "messages": _ASK}
    several = {"models": ["openai/gpt-4o", "google/gemini-2.5-flash"], "messages": _ASK}
    fallback = Scenario(
        name="demo", fallback=True, failed_attempts=(Attempt(provider="OpenAI", status=503),), first_delay=0.3
    )
    yield Step("httpx", "fallback model", lambda: _post(http, "chat/completions", several), fallback)
    own_key = replace(_PLAIN, byok="fee")
    yield Step("httpx", "bring your own key", lambda: _post(http, "chat/completions", body), own_key)
    cached = {"X-OpenRouter-Cache": "true"}
    quick = Scenario(name="demo", first_delay=0.12)
    yield Step("httpx", "response cache, first time", lambda: _post(http, "chat/completions", body, cached), quick)
    again = Scenario(name="demo", first_delay=0.01)
    yield Step("httpx", "response cache, again", lambda: _post(http, "chat/completions", body, cached), again)


def _other_endpoints(http: httpx.Client) -> Iterator[Step]:
    embed = {"model": "openai/text-embedding-3-small", "input": "one sentence"}
    yield Step("httpx", "embeddings", lambda: _post(http, "embeddings", embed), Scenario(name="demo"))
    rank = {"model": "cohere/rerank-v3.5", "query": "cache", "documents": ["a cache", "a cat"]}
    yield Step("httpx", "rerank", lambda: _post(http, "rerank", rank), Scenario(name="demo"))


def _mishaps(http: httpx.Client) -> Iterator[Step]:
    body = {"model": "openai/gpt-4o", "messages": _ASK}
    limited = Scenario(name="demo", error=Failure(error_type="rate_limit_exceeded", retry_after=7))
    yield Step("httpx", "rate limit", lambda: _post(http, "chat/completions", body), limited)
    broken = replace(_PLAIN, error=Failure(place="midstream", error_type="provider_unavailable"))
    yield Step("httpx", "error in the stream", lambda: _drain(http, "chat/completions", body), broken)
    yield Step("httpx", "aborted stream", lambda: _drain(http, "chat/completions", body, stop_after=6), _PLAIN)


def run(step: Step, simulator: Simulator) -> None:
    """Make one call; what the client raises is part of the show."""
    simulator.next(step.scenario)
    with suppress(Exception):
        step.call()
