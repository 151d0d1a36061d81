"""The record as attributes: every row of the table, the budget, identity, metadata."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, replace
from typing import TYPE_CHECKING, Any

import pytest

import orobserve
from orobserve import config, generation
from orobserve.generation import Attempt, Cost, Error, Generation, Job, Outcome, Request, Routing, Stream, Timing, Trace
from orobserve.telemetry import attempts, attributes, names
from tests.telemetry.calls import STARTED, call, record

if TYPE_CHECKING:
    from tests.conftest import Telemetry

PARTS = {
    "usage": generation.Usage,
    "cost": Cost,
    "routing": Routing,
    "cache": generation.CacheInfo,
    "error": Error,
    "stream": Stream,
    "stats": generation.Stats,
    "enrichment": generation.Enrichment,
    "job": Job,
    "batch": Job,
}
IN_REQUEST = {"provider": generation.ProviderPreferences, "trace": Trace}
SETTINGS = config.Config(compat=("cost", "legacy_tokens", "legacy_system"))
# Attempts are no attributes of the call's span: they have a test of their own.
ROWS = [
    (part, field, name) for part, table in names.FIELDS.items() for field, name in table.items() if part != "attempt"
]
REQUIRED = {
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "openrouter.cost.total",
    "openrouter.generation.id",
    "server.address",
    "server.port",
    "error.type",
}


def sample(owner: type, field: str) -> Any:
    """Return a value of a field's type."""
    hint = next(str(item.type) for item in fields(owner) if item.name == field)
    for word, value in (("tuple", ("a", "b")), ("bool", True), ("float", 1.5), ("int", 7), ("str", "text")):
        if word in hint:
            return value
    raise AssertionError(hint)


def with_field(part: str, field: str, value: Any) -> Generation:
    """Return a record with one field of one part set."""
    if part == "":
        return record(**{field: value})
    if part == "request":
        return record(request=Request(**{field: value}))
    if part in IN_REQUEST:
        return record(request=Request(**{part: IN_REQUEST[part](**{field: value})}))
    name = {"subsets": "usage", "legacy_tokens": "usage", "batch": "job"}.get(part, part)
    needed = {item.name: sample(PARTS[name], item.name) for item in fields(PARTS[name]) if item.default is MISSING}
    operation = "batch" if part == "batch" else "chat"
    return record(operation=operation, **{name: PARTS[name](**{**needed, field: value})})


@pytest.mark.parametrize(("part", "field", "name"), ROWS)
def test_every_row_of_the_table_is_reached(part: str, field: str, name: str) -> None:
    owner = {"": Generation, "request": Request, **IN_REQUEST}.get(part) or PARTS.get(part, generation.Usage)
    value = sample(owner, field)
    assert attributes.encode(with_field(part, field, value), SETTINGS)[name] == value
    if value is not True and field not in {"operation", "api_type", "server_address", "server_port"}:
        assert name not in attributes.encode(record(request=Request()), SETTINGS)


@pytest.mark.parametrize(("field", "name"), names.FIELDS["attempt"].items())
def test_every_row_of_an_attempt_is_reached_through_an_event(field: str, name: str, telemetry: Telemetry) -> None:
    value = sample(Attempt, field)
    span = telemetry.tracer_provider.get_tracer("test").start_span("call")
    attempts.add_events(span, record(routing=Routing(attempts=(Attempt(**{field: value}), Attempt()))))
    span.end()
    told, bare = telemetry.span.events
    assert (told.name, told.attributes) == ("openrouter.attempt", {"openrouter.attempt.number": 1, name: value})
    assert bare.attributes == {"openrouter.attempt.number": 2}


def test_names_are_unique_and_in_a_known_namespace() -> None:
    found = [name for _, _, name in ROWS]
    assert len(found) == len(set(found))
    allowed = ("gen_ai.", "openrouter.", "server.", "error.type", "http.request.")
    assert [name for name in found if not name.startswith(allowed)] == []


def everything() -> Generation:
    """Return a record in which all that can be set is set."""
    parts = {name: owner(**all_of(owner)) for name, owner in PARTS.items() if name != "batch"}
    request = Request(**all_of(Request), **{name: owner(**all_of(owner)) for name, owner in IN_REQUEST.items()})
    trace = replace(request.trace, metadata={f"key{number}": number for number in range(100)})
    routing = replace(parts["routing"], attempts=(Attempt(provider="A", status=502), Attempt(provider="B", status=200)))
    given = {name: sample(Generation, name) for _, name in [("", field) for field in names.FIELDS[""]]}
    return record(**given, **{**parts, "routing": routing}, request=replace(request, trace=trace), tags={"t": "v"})


def all_of(owner: type) -> dict[str, Any]:
    simple = [item.name for item in fields(owner) if item.name not in {"attempts", "metadata", "provider", "trace"}]
    return {name: sample(owner, name) for name in simple}


def test_the_budget_keeps_what_is_required() -> None:
    encoded = attributes.encode(everything(), SETTINGS)
    assert len(encoded) == 96
    assert set(encoded) >= REQUIRED


def test_the_budget_holds_on_a_real_span(telemetry: Telemetry) -> None:
    telemetry.instrument(compat=["cost", "legacy_tokens", "legacy_system"], content="span_only")
    call(trace={f"key{number}": number for number in range(200)}, user="u", session_id="s")
    span = telemetry.span
    assert span.dropped_attributes == 0
    assert len([name for name in span.attributes if name.startswith("trace.metadata.")]) == 24
    assert {"gen_ai.operation.name", "openrouter.cost.total", "user.id", "session.id"} <= set(span.attributes)


def test_unknown_is_absent_and_zero_is_not() -> None:
    assert "gen_ai.usage.input_tokens" not in attributes.encode(record(), SETTINGS)
    zero = record(usage=generation.Usage(input_tokens=0, cache_read_input_tokens=0), cost=Cost(charged=0.0, total=0.0))
    encoded = attributes.encode(zero, SETTINGS)
    assert encoded["gen_ai.usage.input_tokens"] == 0
    assert encoded["openrouter.cost.total"] == 0.0
    assert "gen_ai.usage.cache_read.input_tokens" not in encoded
    assert "openrouter.prompt_cache.hit" not in encoded


@pytest.mark.parametrize(
    ("semconv", "compat", "expected"),
    [
        ("stable", ("cost",), {"gen_ai.usage.cost"}),
        ("stable", (), set()),
        ("next", (), {"gen_ai.usage.cost.amount", "gen_ai.usage.cost.currency", "gen_ai.usage.cost.source"}),
        ("stable+next", (), {"gen_ai.usage.cost.amount", "gen_ai.usage.cost.currency", "gen_ai.usage.cost.source"}),
        ("next", ("cost",), {"gen_ai.usage.cost.amount", "gen_ai.usage.cost.currency", "gen_ai.usage.cost.source"}),
    ],
)
def test_spellings_of_the_cost_never_collide(semconv: str, compat: tuple[str, ...], expected: set[str]) -> None:
    paid = record(cost=Cost(charged=0.1, upstream=0.2, total=0.3, is_byok=True))
    encoded = attributes.encode(paid, config.Config(semconv=semconv, compat=compat))
    assert {name for name in encoded if name.startswith("gen_ai.usage.cost")} == expected
    assert encoded["openrouter.cost.total"] == 0.3
    assert encoded["openrouter.cost.currency"] == "USD"


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Outcome.COMPLETE, "completed"),
        (Outcome.CANCELLED, "cancelled"),
        (Outcome.ABANDONED, "cancelled"),
        (Outcome.TRUNCATED, "truncated"),
        (Outcome.FAILED, "error"),
    ],
)
def test_stream_outcomes(outcome: Outcome, shown: str) -> None:
    timing = Timing(started_at=STARTED, ended_at=STARTED + 2, first_chunk_at=STARTED + 500_000_000)
    encoded = attributes.encode(record(outcome=outcome, stream=Stream(chunk_count=3), timing=timing), SETTINGS)
    assert encoded["openrouter.stream.outcome"] == shown
    assert encoded["gen_ai.response.time_to_first_chunk"] == 0.5


def test_attempts_are_parallel_lists() -> None:
    tried = (Attempt(provider="A", model="m", status=502), Attempt(provider="B"))
    encoded = attributes.encode(record(routing=Routing(attempts=tried)), SETTINGS)
    assert encoded["openrouter.routing.attempt_providers"] == ["A", "B"]
    assert encoded["openrouter.routing.attempt_models"] == ["m", ""]
    assert encoded["openrouter.routing.attempt_statuses"] == [502, 0]


def test_identity_and_attribution_are_settings() -> None:
    given = Request(user="u", session_id="s", referer="https://app", title="App", api_key_hash="ab12")
    on = config.Config(app_attribution=True, api_key_hash=True, api_key_labels={"ab12": "team"})
    assert (
        attributes.encode(record(request=given), on).items()
        >= {
            "user.id": "u",
            "session.id": "s",
            "gen_ai.conversation.id": "s",
            "openrouter.app.referer": "https://app",
            "openrouter.app.title": "App",
            "openrouter.api_key.hash": "ab12",
            "openrouter.api_key.label": "team",
        }.items()
    )
    off = attributes.encode(record(request=given), config.Config(identity=False))
    assert not {"u", "s", "https://app", "App", "ab12"} & {value for value in off.values() if isinstance(value, str)}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("text", "text"),
        (True, True),
        (1.5, 1.5),
        (7, 7),
        (2**80, str(2**80)),
        (["a", 1], '["a", 1]'),
        ({"b": None}, '{"b": null}'),
        ({1, 2}, '"{1, 2}"'),
        ({("a", 1): 2}, "{('a', 1): 2}"),
        ("x" * 10_000, "x" * 4096),
    ],
)
def test_metadata_of_any_type(value: Any, shown: Any, telemetry: Telemetry) -> None:
    telemetry.instrument()
    with orobserve.context(metadata={"given": value}):
        call()
    assert telemetry.span.attributes["trace.metadata.given"] == shown
    assert telemetry.span.attributes["openrouter.cost.total"] == 0.25


def test_metadata_that_cannot_be_written_costs_nothing_else(telemetry: Telemetry) -> None:
    telemetry.instrument()
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with orobserve.context(metadata={"circle": circle, 7: "a number as key"}):
        call()
    facts = telemetry.span.attributes
    assert facts["openrouter.cost.total"] == 0.25
    assert facts["trace.metadata.7"] == "a number as key"
    assert isinstance(facts["trace.metadata.circle"], str)


def test_what_the_request_says_wins_over_the_context(telemetry: Telemetry) -> None:
    telemetry.instrument()
    with orobserve.context(metadata={"team": "ambient", "other": 1}):
        call(trace={"team": "request", "trace_name": "t"})
    facts = telemetry.spans[-1].attributes  # after the parent that the name makes
    assert (facts["trace.metadata.team"], facts["trace.metadata.other"]) == ("request", 1)
    assert facts["openrouter.trace.name"] == "t"
    assert "trace.metadata.trace_name" not in facts


def test_values_are_of_types_that_spans_keep(telemetry: Telemetry) -> None:
    telemetry.instrument(semconv="stable+next")
    call(trace={"nested": {"a": [1]}}, stop=["a"], provider={"order": ["A"], "max_price": {"prompt": 1}})
    json.dumps(dict(telemetry.span.attributes.items()))
    assert telemetry.span.dropped_attributes == 0
