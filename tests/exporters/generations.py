"""Sample generations: what every destination must be able to take. Each says something that the others do not."""

from __future__ import annotations

from dataclasses import replace

from orobserve.generation import (
    Attempt,
    Content,
    Cost,
    Error,
    Generation,
    Media,
    Message,
    Outcome,
    Reasoning,
    Request,
    Routing,
    Stats,
    Stream,
    Text,
    Timing,
    ToolCall,
    ToolCallResponse,
    Trace,
    Usage,
)

TRACE_ID = "7af15d27557f4b0547b66811c67d365d"  # of workflow_12345
STARTED_AT = 1_795_375_379_563_896_444
SECOND = 1_000_000_000
CANARY = "canary-prompt-7d1f"
ODD_TEXT = 'naïve 日本語 👩‍👩‍👧 \ud83d NUL\0 \u2028 \x1b "quoted" \\back'

_AT = Timing(started_at=STARTED_AT, ended_at=STARTED_AT + 2 * SECOND, first_chunk_at=STARTED_AT + 420_000_000)
_ASKED = Message(role="user", parts=(Text(content="Summarise the report."),))
_ANSWERED = Message(role="assistant", parts=(Text(content="It went well."),), finish_reason="stop")

# The worked example: cached and reasoning tokens, a cost without a split that adds up, names for trace and generation.
CHAT = Generation(
    api_type="chat_completions",
    operation="chat",
    outcome=Outcome.COMPLETE,
    timing=_AT,
    request=Request(
        model="anthropic/claude-sonnet-4",
        temperature=0.2,
        max_tokens=500,
        stream=True,
        user="u-1",
        session_id="s-1",
        trace=Trace(
            trace_id="workflow_12345",
            trace_name="Nightly report",
            generation_name="Summarise",
            metadata={"team": "growth"},
        ),
    ),
    server_address="openrouter.ai",
    server_port=443,
    id="gen-abc",
    response_id="gen-abc",
    status_code=200,
    model="anthropic/claude-sonnet-4",
    provider="Anthropic",
    finish_reasons=("stop",),
    usage=Usage(
        input_tokens=1000,
        output_tokens=200,
        total_tokens=1200,
        cache_read_input_tokens=600,
        cache_write_input_tokens=100,
        reasoning_output_tokens=50,
    ),
    cost=Cost(charged=0.0042, total=0.0042, is_byok=False, source="response"),
    stream=Stream(chunk_count=12),
    content=Content(
        system=(Text(content="Be brief."),),
        input=(_ASKED,),
        output=(replace(_ANSWERED, parts=(Reasoning(content="Read it first."), *_ANSWERED.parts)),),
    ),
    name="Summarise",
    trace_name="Nightly report",
    tags={"tags": ["nightly", "report"]},
    trace_id=TRACE_ID,
    span_id="0a1b2c3d4e5f6071",
)


def _plain(number: int, **changes: object) -> Generation:
    """Return a call without names, in a trace of its own."""
    bare: dict[str, object] = {
        "request": Request(model="openai/gpt-4o-mini", user="u-1", session_id="s-1"),
        "id": f"gen-{number}",
        "response_id": f"gen-{number}",
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "name": None,
        "trace_name": None,
        "tags": None,
        "stream": None,
    }
    return replace(CHAT, **bare | changes)  # type: ignore[arg-type]


SAMPLES: dict[str, Generation] = {
    "chat": CHAT,
    "tools": _plain(
        0x1001,
        finish_reasons=("tool_calls",),
        stream=Stream(chunk_count=40, keepalive_count=2),
        tool_call_count=2,
        content=Content(
            input=(
                _ASKED,
                Message(role="assistant", parts=(ToolCall(id="call_0", name="clock", arguments={}),)),
                Message(role="tool", parts=(ToolCallResponse(id="call_0", response={"now": "noon"}),)),
            ),
            output=(
                Message(
                    role="assistant",
                    parts=(
                        ToolCall(id="call_1", name="weather", arguments={"city": "Zürich", "days": [1, 2]}),
                        ToolCall(id="call_2", name="broken", arguments='{"not": json'),
                    ),
                    finish_reason="tool_calls",
                ),
            ),
            tools=({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},),
        ),
    ),
    "error": _plain(
        0x1002,
        outcome=Outcome.FAILED,
        status_code=429,
        id=None,
        response_id=None,
        model=None,
        provider=None,
        finish_reasons=None,
        usage=None,
        cost=None,
        error=Error(type="429", message="Rate limit exceeded", code="429", retry_after=2.5, retryable=True),
        content=Content(input=(_ASKED,)),
    ),
    "unpriced": _plain(0x1003, cost=None),
    "odd_text": _plain(
        0x1004,
        request=Request(
            model="openai/gpt-4o-mini",
            user="Ünï 👩‍👩‍👧",
            session_id="s-日本語",
            trace=Trace(metadata={"dé jà.vu": "ça 👍", "deep": {"a": [1, None, True]}, "none": None, "share": 0.5}),
        ),
        content=Content(
            input=(Message(role="user", parts=(Text(content=ODD_TEXT),)),),
            output=(Message(role="assistant", parts=(Text(content=ODD_TEXT),)),),
        ),
    ),
    "private": _plain(0x1005, content=None),
    "byok": _plain(
        0x1006,
        cost=Cost(
            charged=0.0005,
            upstream=0.01,
            upstream_input=0.006,
            upstream_output=0.004,
            total=0.0105,
            is_byok=True,
            source="generation",
        ),
    ),
    "split": _plain(
        0x1007,
        cost=Cost(charged=0.003, upstream_input=0.001, upstream_output=0.002, total=0.003, source="response"),
    ),
    "free": _plain(
        0x1008,
        request=Request(model="meta-llama/llama-3.3-70b-instruct:free", variant="free"),
        cost=Cost(charged=0.0, total=0.0, is_byok=False, source="response"),
    ),
    "embeddings": _plain(
        0x1009,
        api_type="embeddings",
        operation="embeddings",
        request=Request(model="openai/text-embedding-3-small", dimensions=256, encoding_formats=("float",)),
        timing=Timing(started_at=STARTED_AT, ended_at=STARTED_AT + SECOND),
        finish_reasons=None,
        usage=Usage(input_tokens=8, total_tokens=8),
        cost=Cost(charged=1.6e-07, total=1.6e-07, source="response"),
        content=Content(input=(Message(role="user", parts=(Text(content="embed me"),)),)),
    ),
    "named": replace(
        CHAT, span_id="0a1b2c3d4e5f6072", id="gen-named", span_name="Chapter 1", name="Page 1", tags={"team": "search"}
    ),
    "inside": _plain(0x100A, parent_span_id="00f067aa0ba902b7"),
    "attempts": _plain(
        0x100B,
        routing=Routing(
            router="auto",
            strategy="price",
            region="eu",
            attempt_count=2,
            attempts=(
                Attempt(provider="Azure", model="openai/gpt-4o-mini", status=502, latency_ms=310.5),
                Attempt(provider="OpenAI", model="openai/gpt-4o-mini", status=200, latency_ms=1400.0),
            ),
            fallback=True,
        ),
        stats=Stats(upstream_id="up-1", latency_ms=380.0, generation_time_ms=1600.0),
    ),
    "media": _plain(
        0x100C,
        content=Content(
            input=(
                Message(
                    role="user",
                    parts=(
                        Text(content="What is this?"),
                        Media(type="blob", modality="image", mime_type="image/png", size=12_345),
                        Media(type="uri", modality="image", uri="https://example.com/cat.png"),
                        Media(type="file", modality="document", file_id="file-1"),
                    ),
                ),
            ),
            output=(_ANSWERED,),
        ),
    ),
    "huge": _plain(
        0x100D,
        content=Content(
            input=tuple(Message(role="user", parts=(Text(content=f"{n} " + "wörd\n" * 40_000),)) for n in range(10)),
            output=(Message(role="assistant", parts=(Text(content="b" * 2_000_000),)),),
        ),
    ),
    "cancelled": _plain(
        0x100E, outcome=Outcome.CANCELLED, finish_reasons=None, usage=None, cost=None, stream=Stream(chunk_count=3)
    ),
}
