"""Calls without a network, for tests of what telemetry says about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from orobserve.generation import Generation, Outcome, Request, Timing

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = "https://openrouter.ai/api/v1"
STARTED = 1_787_400_000_000_000_000
QUESTION = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "What is up?"}]}
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "cost": 0.25}
ANSWER = {
    "id": "gen-1",
    "model": "openai/gpt-4o-2024-11-20",
    "provider": "OpenAI",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Not much."}}],
    "usage": USAGE,
}


def sse(*events: Mapping[str, Any], done: bool = True) -> bytes:
    """Write a stream of chat chunks."""
    blocks = [f"data: {json.dumps(event)}\n\n" for event in events] + ["data: [DONE]\n\n"] * done
    return "".join(blocks).encode()


def delta(content: str = "", **fields: Any) -> dict[str, Any]:
    """Return one chat chunk."""
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": None, **fields}
    return {"id": "gen-1", "model": "m", "provider": "P", "choices": [choice]}


def call(
    answer: Any = ANSWER,
    *,
    path: str = "/chat/completions",
    method: str = "POST",
    status: int = 200,
    base: str = BASE,
    headers: Mapping[str, str] | None = None,
    sends: Mapping[str, str] | None = None,
    **fields: Any,
) -> httpx.Response | None:
    """Make a call and read its answer: JSON, the bytes of a stream, or an exception that the transport raises.

    Args:
        answer: the response's body.
        path: the endpoint below the base.
        method: the HTTP method.
        status: of the response.
        base: the base URL.
        headers: of the response.
        sends: headers of the request.
        **fields: of the request's body, besides those of a plain question.
    """

    def respond(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, bytes):
            streamed = {"content-type": "text/event-stream", **(headers or {})}
            return httpx.Response(status, content=answer, headers=streamed, request=request)
        return httpx.Response(status, json=answer, headers=headers)

    with httpx.Client(transport=httpx.MockTransport(respond), verify=False) as client:
        content = {"json": {**QUESTION, **fields}} if method == "POST" else {}
        try:
            return client.request(method, base + path, headers=sends, **content)
        except Exception as error:
            if error is not answer:
                raise
            return None


def record(**fields: Any) -> Generation:
    """Return the record of a call that took one second."""
    given: dict[str, Any] = {
        "api_type": "chat_completions",
        "operation": "chat",
        "outcome": Outcome.COMPLETE,
        "timing": Timing(started_at=STARTED, ended_at=STARTED + 1_000_000_000),
        "request": Request(model="openai/gpt-4o"),
        "server_address": "openrouter.ai",
        "server_port": 443,
    }
    return Generation(**{**given, **fields})


def values(points: Mapping[Any, Any], label: str) -> dict[Any, Any]:
    """Return the values of a counter, or the sums of a histogram, by one label."""
    found = {dict(labels).get(label): point for labels, point in points.items()}
    return {value: getattr(point, "value", getattr(point, "sum", None)) for value, point in found.items()}
