"""Filter rules: every field, every operator, and what is decided where OpenRouter's documents are silent."""

from __future__ import annotations

from typing import Any

import pytest

from orobserve import ConfigurationError
from orobserve.delivery import filters
from orobserve.generation import (
    Content,
    Cost,
    Generation,
    Media,
    Message,
    Outcome,
    Request,
    Text,
    Timing,
    ToolCall,
    ToolCallResponse,
    Usage,
)

LABELS = {"ab" * 32: "search-team"}
FULL = Generation(
    api_type="chat",
    operation="chat",
    outcome=Outcome.COMPLETE,
    timing=Timing(started_at=1, ended_at=2),
    request=Request(model="openai/gpt-4o", session_id="s-1", user="u-1", api_key_hash="ab" * 32),
    server_address="openrouter.ai",
    server_port=443,
    model="openai/gpt-4o-2024-08-06",
    provider="OpenAI",
    finish_reasons=("stop", "length"),
    native_finish_reasons=("end_turn",),
    usage=Usage(input_tokens=100, output_tokens=20, total_tokens=120),
    cost=Cost(total=0.25),
    content=Content(
        system=(Text(content="be kind"),),
        input=(
            Message(role="user", parts=(Text(content="hello"), Media(type="blob", modality="image", size=3))),
            Message(role="tool", parts=(ToolCallResponse(id="1", response={"temp": 21}),)),
        ),
        output=(Message(role="assistant", parts=(Text(content="Bonjour"), ToolCall(name="f", arguments={"a": "é"}))),),
    ),
)
EMPTY = Generation(
    api_type="chat",
    operation="chat",
    outcome=Outcome.FAILED,
    timing=Timing(started_at=1, ended_at=2),
    request=Request(),
    server_address="openrouter.ai",
    server_port=443,
)
VALUES: dict[str, tuple[Any, Any]] = {  # one that fits, and one that does not
    "model": ("openai/gpt-4o", "x"),
    "provider": ("OpenAI", "openai"),
    "session_id": ("s-1", "S-1"),
    "user_id": ("u-1", "u"),
    "api_key_name": ("search-team", "x"),
    "finish_reason": ("end_turn", "x"),
    "input": ('be kind\nhello\n{"temp": 21}', "hello"),
    "output": ('Bonjour\n{"a": "é"}', "Bonjour"),
    "total_cost": ("0.25", 0.26),
    "total_tokens": (120.0, 12),
    "prompt_tokens": (100, "99"),
    "completion_tokens": (20, 2),
}


def passes(generation: Generation, *rules: tuple[Any, ...], **rest: Any) -> bool:
    made = [dict(zip(("field", "operator", "value"), rule, strict=False)) for rule in rules]
    found = filters.parse("filter_rules", {"groups": [{"rules": made, **rest}]})
    assert found is not None
    return found.match(generation, LABELS)


def test_every_field_of_the_document_is_there() -> None:
    assert set(VALUES) == set(filters.FIELDS)
    assert len(filters.OPERATORS) == 13


@pytest.mark.parametrize("field", filters.FIELDS)
def test_every_field(field: str) -> None:
    right, wrong = VALUES[field]
    assert passes(FULL, (field, "equals", right))
    assert not passes(FULL, (field, "equals", wrong))
    assert not passes(FULL, (field, "not_equals", right))
    assert passes(FULL, (field, "not_equals", wrong))
    assert (passes(FULL, (field, "exists")), passes(FULL, (field, "not_exists"))) == (True, False)
    for word in ("exists", "equals", "contains", "starts_with", "ends_with", "regex", "gt", "lt", "gte", "lte"):
        assert not passes(EMPTY, (field, word, 0))
    for word in ("not_exists", "not_equals", "not_contains"):
        assert passes(EMPTY, (field, word, 0))


@pytest.mark.parametrize(
    ("field", "word", "value", "expected"),
    [
        ("model", "contains", "gpt", True),
        ("model", "contains", "GPT", False),
        ("model", "not_contains", "claude", True),
        ("model", "not_contains", "2024", False),  # no value of the field may hold it
        ("model", "equals", "openai/gpt-4o-2024-08-06", True),
        ("model", "regex", "^openai/", True),
        ("model", "regex", "(?i)GPT-4O$", True),
        ("model", "regex", "^gpt", False),
        ("provider", "starts_with", "Open", True),
        ("provider", "starts_with", "AI", False),
        ("provider", "ends_with", "AI", True),
        ("total_cost", "gt", 0.25, False),
        ("total_cost", "gte", "0.25", True),
        ("total_cost", "lt", 0.3, True),
        ("total_cost", "lte", 0.2, False),
        ("total_tokens", "starts_with", 12, True),
        ("provider", "gt", 1, False),  # a text that is no number
    ],
)
def test_operators(field: str, word: str, value: Any, expected: bool) -> None:
    assert passes(FULL, (field, word, value)) is expected


def test_a_zero_is_there() -> None:
    from dataclasses import replace

    assert passes(replace(FULL, cost=Cost(total=0.0)), ("total_cost", "exists"))


def test_how_rules_and_groups_combine() -> None:
    right, wrong = ("provider", "equals", "OpenAI"), ("provider", "equals", "x")
    assert not passes(FULL, right, wrong)
    assert passes(FULL, right, wrong, logic="or")
    groups = [{"rules": [{"field": "provider", "operator": "equals", "value": value}]} for value in ("OpenAI", "x")]
    given = {"groups": [*groups, {"rules": []}]}
    either, both = filters.parse("f", given), filters.parse("f", given, "and")
    assert either is not None
    assert both is not None
    assert (either.match(FULL, {}), both.match(FULL, {})) == (True, False)
    assert not either.match(EMPTY, {})  # the group without rules counts for nothing


@pytest.mark.parametrize("given", [{"groups": []}, {"groups": [{"rules": []}]}])
def test_no_rules_let_everything_pass(given: dict[str, Any]) -> None:
    assert filters.parse("f", given) is None


def test_rules_that_are_switched_off_let_everything_pass() -> None:
    rule = {"field": "model", "operator": "exists"}
    assert filters.parse("f", {"enabled": False, "groups": [{"rules": [rule]}]}) is None


def test_who_reads_content() -> None:
    reads = [
        filters.parse("f", {"groups": [{"rules": [{"field": name, "operator": "exists"}]}]}) for name in filters.FIELDS
    ]
    assert [found is not None and found.reads_content for found in reads].count(True) == 2


@pytest.mark.parametrize(
    ("given", "setting", "said"),
    [
        ([], "f", "an object"),
        ({}, "f.groups", "a list"),
        ({"groups": {}}, "f.groups", "a list"),
        ({"group": []}, "f.group", "did you mean groups?"),
        ({"groups": [{"rules": {}}]}, "f.groups[0].rules", "a list"),
        ({"groups": [{"rules": [], "logic": "xor"}]}, "f.groups[0].logic", "'and', 'or'"),
        ({"groups": [{"rules": [3]}]}, "f.groups[0].rules[0]", "an object"),
        ({"groups": [{"rules": [{"field": "modell"}]}]}, "f.groups[0].rules[0].field", "use 'model'"),
        ({"groups": [{"rules": [{"field": "model", "operator": "is"}]}]}, "f.groups[0].rules[0].operator", "exists"),
    ],
)
def test_a_wrong_object_says_where(given: object, setting: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        filters.parse("f", given)
    assert caught.value.setting == setting
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("field", "word", "value", "said"),
    [
        ("model", "regex", "(", "mend it"),
        ("model", "equals", None, "a text or a number"),
        ("model", "equals", True, "a text or a number"),
        ("model", "gt", "many", "a number"),
        ("total_cost", "equals", "cheap", "a number"),
        ("total_cost", "lt", float("nan"), "a number"),
    ],
)
def test_a_wrong_value_names_the_rule(field: str, word: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        passes(FULL, ("model", "exists"), (field, word, value))
    assert caught.value.setting == "filter_rules.groups[0].rules[1].value"
    assert said in str(caught.value)
