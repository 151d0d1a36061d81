"""Spans of ours back into records: what was encoded is what is decoded, for any record and for real calls."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode

import orobserve
from orobserve import config, generation
from orobserve.generation import (
    Attempt,
    Content,
    Error,
    Generation,
    Media,
    Message,
    Outcome,
    Reasoning,
    Request,
    Text,
    Timing,
    ToolCall,
    ToolCallResponse,
)
from orobserve.telemetry import attributes, content, names
from orobserve.telemetry.decode import decode
from tests.telemetry.calls import ANSWER, STARTED, call, delta, record, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Telemetry

SETTINGS = [
    config.Config(),
    config.Config(api_key_hash=True, app_attribution=True, compat=("cost", "legacy_tokens", "legacy_system")),
    config.Config(identity=False, semconv="next", compat=()),
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = {
    "bool": st.booleans(),
    "float": st.floats(0, 1e9),
    "int": st.integers(0, 2**53),
    "str": TEXT,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
METADATA = st.none() | st.dictionaries(TEXT, JSON, max_size=4)


def of(kind: type, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return records of a class: any of its fields that hold plain values, and those given."""
    plain: dict[str, st.SearchStrategy[Any]] = {}
    for item in fields(kind):
        hint = str(item.type)
        word = next((word for word in SCALARS if word in hint), None)
        if word is not None and "[str, Json]" not in hint and item.name not in given:
            many = hint.startswith("tuple[")
            plain[item.name] = st.lists(SCALARS[word], max_size=3).map(tuple) if many else SCALARS[word]
    needed = {item.name for item in fields(kind) if item.default is MISSING}
    return st.fixed_dictionaries(
        {name: found for name, found in plain.items() if name in needed} | given,
        optional={name: found for name, found in plain.items() if name not in needed},
    ).map(lambda made: kind(**made))


def maybe(kind: type, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return records of a class, or None."""
    return st.none() | of(kind, **given)


TIMES = st.builds(
    lambda start, first, last: Timing(
        started_at=start, first_chunk_at=None if first is None else start + first, ended_at=start + (first or 0) + last
    ),
    st.integers(STARTED, STARTED + 10**18),
    st.none() | st.integers(0, 10**13),
    st.integers(0, 10**13),
)
PARTS = st.one_of(
    of(Text), of(Reasoning), of(ToolCall, arguments=JSON), of(ToolCallResponse, response=JSON),
    of(Media, type=st.sampled_from(["blob", "uri", "file"])),
)  # fmt: skip
MESSAGES = st.lists(of(Message, parts=st.lists(PARTS, max_size=3).map(tuple)), max_size=2).map(tuple)
CONTENT = st.builds(
    Content,
    input=MESSAGES,
    output=MESSAGES,
    system=st.lists(PARTS, max_size=2).map(tuple),
    tools=st.lists(JSON, max_size=2).map(tuple),
)
RECORDS = of(
    Generation,
    operation=st.sampled_from(["chat", "batch", "embeddings"]),
    outcome=st.sampled_from(Outcome),
    timing=TIMES,
    request=of(
        Request,
        provider=maybe(generation.ProviderPreferences),
        trace=maybe(generation.Trace, metadata=METADATA),
    ),
    usage=maybe(generation.Usage),
    cost=maybe(generation.Cost),
    routing=maybe(generation.Routing, attempts=st.lists(of(Attempt), max_size=3).map(tuple)),
    cache=maybe(generation.CacheInfo),
    error=maybe(Error),
    stream=maybe(generation.Stream),
    job=maybe(generation.Job),
    stats=maybe(generation.Stats),
    enrichment=maybe(generation.Enrichment),
    content=st.none(),
    tags=METADATA,
    trace_id=st.none(),
    span_id=st.none(),
    parent_span_id=st.none(),
)


def span_of(
    made: dict[str, Any], timing: Timing | None = None, events: tuple[Event, ...] = (), **more: Any
) -> ReadableSpan:
    timing = timing or record().timing
    return ReadableSpan(
        "chat m",
        SpanContext(0xA1, 0xB2, is_remote=False),
        attributes=made,
        events=events,
        start_time=timing.started_at,
        end_time=timing.ended_at,
        **more,
    )


@given(made=RECORDS, settings=st.sampled_from(SETTINGS))
def test_what_was_encoded_is_decoded(made: Generation, settings: config.Config) -> None:
    encoded = attributes.encode(made, settings)
    assume(len(encoded) < 96)  # the budget was not reached: nothing is missing
    found = decode(span_of(encoded, made.timing))
    assert found is not None
    assert attributes.encode(found, settings) == encoded
    assert (found.trace_id, found.span_id, found.parent_span_id) == (f"{0xA1:032x}", f"{0xB2:016x}", None)
    assert (found.timing.started_at, found.timing.ended_at) == (made.timing.started_at, made.timing.ended_at)
    if made.stream is not None:
        assert (found.outcome, Outcome.ABANDONED) in {
            (made.outcome, Outcome.ABANDONED),
            (Outcome.CANCELLED, made.outcome),
        }


@given(said=CONTENT)
def test_messages_are_content_again(said: Content) -> None:
    written = content.as_text(content.encode(said, config.Config()))
    found = decode(span_of({**attributes.encode(record(), config.Config()), **written}))
    assert found is not None
    if found.content is None:
        assert written.keys() <= {names.TOOL_DEFINITIONS}  # definitions alone are no content
    else:
        assert content.as_text(content.encode(found.content, config.Config())) == written


def sample(hint: str) -> Any:
    """Return a value of a field's type."""
    values = {"tuple[str": ("a", "b"), "bool": True, "float": 1.5, "int": 7, "str": "text"}
    return next(value for word, value in values.items() if word in hint)


def full(kind: type, **given: Any) -> Any:
    """Return a record of a class in which every plain field is set."""
    plain = {item.name: str(item.type) for item in fields(kind) if item.name not in given}
    return kind(**{name: sample(hint) for name, hint in plain.items() if any(word in hint for word in SCALARS)} | given)


@pytest.mark.parametrize("operation", ["chat", "batch"])
def test_every_row_of_the_table_is_read(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "_LIMIT", 1000)
    kinds = {
        "usage": generation.Usage,
        "cost": generation.Cost,
        "cache": generation.CacheInfo,
        "error": Error,
        "stream": generation.Stream,
        "job": generation.Job,
        "stats": generation.Stats,
        "enrichment": generation.Enrichment,
    }
    made = full(
        Generation,
        **{part: full(kind) for part, kind in kinds.items()},
        operation=operation,
        outcome=Outcome.TRUNCATED,
        timing=record().timing,
        request=full(
            Request, trace=full(generation.Trace, metadata={"team": "a"}), provider=full(generation.ProviderPreferences)
        ),
        routing=full(generation.Routing, attempts=(Attempt(provider="A", status=500), Attempt(provider="B"))),
        content=None,
        tags={"tags": ["x", "y"], "n": 1, "like a list": "[1,2]"},
        trace_id=None,
        span_id=None,
        parent_span_id=None,
    )
    settings = SETTINGS[1]
    encoded = attributes.encode(made, settings)
    skipped = {"attempt", "job" if operation == "batch" else "batch"}
    rows = {name for part, table in names.FIELDS.items() if part not in skipped for name in table.values()}
    assert encoded.keys() >= rows
    found = decode(span_of(encoded))
    assert found is not None
    assert attributes.encode(found, settings) == encoded
    assert found.usage == made.usage
    assert found.cost == made.cost
    assert found.routing == made.routing
    assert found.stats is not None
    assert {name: getattr(made.stats, name) for name in names.FIELDS["stats"]} == {
        name: getattr(found.stats, name) for name in names.FIELDS["stats"]
    }
    assert found.request.trace is not None
    assert found.request.trace.metadata == {"team": "a", "tags": ["x", "y"], "n": 1, "like a list": "[1,2]"}


@pytest.mark.parametrize(
    "missing", ["openrouter.api.type", "gen_ai.operation.name", "server.address", "server.port", "everything"]
)
def test_spans_of_others_are_none(missing: str) -> None:
    encoded = attributes.encode(record(), config.Config())
    if missing == "everything":
        encoded = {"http.request.method": "POST"}
    encoded.pop(missing, None)
    assert decode(span_of(encoded)) is None


def test_a_span_that_goes_on_is_none() -> None:
    encoded = attributes.encode(record(), config.Config())
    assert decode(ReadableSpan("chat", SpanContext(1, 2, is_remote=False), attributes=encoded, start_time=1)) is None
    assert decode(ReadableSpan("chat", attributes=encoded, start_time=1, end_time=2)) is None
    assert decode(ReadableSpan("chat")) is None


def test_a_part_that_lost_what_it_needs_is_left_out() -> None:
    encoded = attributes.encode(record(error=full(Error), job=full(generation.Job)), config.Config())
    del encoded["error.type"], encoded["openrouter.video.id"]
    found = decode(span_of(encoded))
    assert found is not None
    assert (found.error, found.job, found.outcome) == (None, None, Outcome.COMPLETE)


@pytest.mark.parametrize("length", [1, 8, 40])
def test_content_that_the_sdk_cut_is_left_out(length: int) -> None:
    said = Content(input=(Message(role="user", parts=(Text(content="A question"),)),))
    written = content.as_text(content.encode(said, config.Config()))
    cut = {name: value[:length] for name, value in written.items()}
    found = decode(span_of({**attributes.encode(record(), config.Config()), **cut}))
    assert found is not None
    assert found.content == Content()


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ([{"role": "user", "parts": [{"type": "audio_url", "url": "x"}, {"type": "text", "content": "a"}]}], ["a"]),
        ([{"role": "user", "parts": [7, {"type": "text"}, {"no": "type"}]}], []),
        ([{"role": "user", "content": "another shape"}, "text", None], None),
        ({"role": "user"}, None),
    ],
)
def test_messages_of_another_shape(told: Any, kept: list[str] | None) -> None:
    encoded = {**attributes.encode(record(), config.Config()), names.INPUT_MESSAGES: json.dumps(told)}
    found = decode(span_of(encoded))
    assert found is not None
    assert found.content is not None
    messages = [[part.content for part in message.parts] for message in found.content.input]  # type: ignore[union-attr]
    assert messages == ([] if kept is None else [kept])


def test_attempts_from_events() -> None:
    table = names.FIELDS["attempt"]
    told = [
        Attempt(provider="A", model="m", status=502, latency_ms=0.0, is_byok=False),
        Attempt(provider="B", status=200, service_tier="flex"),
    ]
    events = [
        Event(names.ATTEMPT_EVENT, {table[name]: value for name, value in fields_of(attempt).items()}, STARTED)
        for attempt in told
    ]
    found = decode(span_of(attributes.encode(record(), config.Config()), events=(*events, Event("exception", {}))))
    assert found is not None
    assert found.routing is not None
    assert list(found.routing.attempts) == told


def fields_of(attempt: Attempt) -> dict[str, Any]:
    """Return what is known of an attempt."""
    found = {item.name: getattr(attempt, item.name) for item in fields(Attempt)}
    return {name: value for name, value in found.items() if value is not None}


FAULT = {"error": {"code": 429, "message": "Slow down", "metadata": {"error_type": "rate_limit_exceeded"}}}
CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "streamed": {"answer": sse(delta("Not "), delta("much.", finish_reason="stop")), "stream": True},
    "cut short": {"answer": sse(delta("Not "), done=False), "stream": True},
    "refused": {"answer": FAULT, "status": 429},
    "raised": {"answer": httpx.ConnectTimeout("too slow")},
    "asked with a trace": {
        "user": "u",
        "session_id": "s",
        "trace": {"trace_id": "a" * 32, "parent_span_id": "b" * 16, "generation_name": "step", "team": "search"},
    },
    "embeddings": {"path": "/embeddings", "input": "x", "answer": {"model": "m", "usage": {"prompt_tokens": 1}}},
}


@pytest.mark.parametrize("case", CALLS)
@pytest.mark.parametrize("mode", ["no_content", "span_only"])
def test_a_real_span_is_the_record_that_others_get(
    case: str, mode: str, telemetry: Telemetry, records: Callable[[], list[Generation]]
) -> None:
    telemetry.instrument(content=mode, api_key_hash=True, app_attribution=True)
    with orobserve.context(metadata={"step": 1}):
        call(**CALLS[case])
    (known,) = records()
    found = decode(telemetry.span)
    assert found is not None
    for part in ("outcome", "error", "model", "provider", "cost", "stream", "finish_reasons", "operation", "api_type"):
        assert getattr(found, part) == getattr(known, part), part
    for part in ("trace_id", "span_id", "parent_span_id", "id", "cache", "job"):
        assert getattr(found, part) == getattr(known, part), part
    assert found.timing == replace(known.timing, chunks_at=())
    assert found.content == (None if mode == "no_content" else known.content)
    custom = {**(known.tags or {}), **((known.request.trace and known.request.trace.metadata) or {})}
    trace = known.request.trace or generation.Trace()
    assert found.request == replace(known.request, trace=replace(trace, metadata=custom))
    assert found.name == trace.generation_name


def test_names_from_the_context_and_from_the_request(telemetry: Telemetry) -> None:
    telemetry.instrument()
    with orobserve.context(generation_name="plan"):
        call()
        call(trace={"trace_name": "search", "span_name": "rank", "generation_name": "judge"})
    plan, *_, judge = [found for found in map(decode, telemetry.spans) if found is not None]
    assert (plan.name, plan.trace_name, plan.span_name) == ("plan", None, None)
    assert (judge.name, judge.trace_name, judge.span_name) == ("judge", "search", "rank")


def test_an_enriched_span_of_another_instrumentation(telemetry: Telemetry) -> None:
    telemetry.instrument()
    tracer = telemetry.tracer_provider.get_tracer("theirs")
    with tracer.start_as_current_span("a chat", attributes={"gen_ai.operation.name": "chat"}):
        call(ANSWER, trace={"generation_name": "judge"})
    found = decode(telemetry.span)
    assert found is not None
    assert found.cost is not None
    assert found.cost.total == 0.25
    assert found.name == "judge"  # theirs is not the call's


def test_only_an_error_status_has_a_message() -> None:
    encoded = attributes.encode(record(error=Error(type="timeout")), config.Config())
    for status, message in ((Status(StatusCode.ERROR, "Slow"), "Slow"), (Status(StatusCode.OK), None)):
        found = decode(span_of(encoded, status=status))
        assert found is not None
        assert found.error == Error(type="timeout", message=message)
