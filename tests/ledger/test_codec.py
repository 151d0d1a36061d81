"""A record as JSON and back: every field of every record, whatever it holds."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orobserve.generation import Content, Generation, Media, Message, Outcome, Text, ToolCall
from orobserve.ledger import codec
from tests.exporters.generations import CHAT, SAMPLES

TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=6)  # half surrogate pairs too
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
PLAIN = {
    str: TEXTS,
    int: st.integers(),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    object: JSON,
    type(None): st.none(),
    Outcome: st.sampled_from(Outcome),
}


def any_of(hint: Any) -> st.SearchStrategy[Any]:
    """Return values of a field's type."""
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return st.one_of([any_of(member) for member in get_args(hint)])
    if origin is tuple:
        return st.lists(any_of(get_args(hint)[0]), max_size=2).map(tuple)
    if origin is not None:  # a mapping
        return st.dictionaries(TEXTS, JSON, max_size=2)
    if is_dataclass(hint):
        hints = get_type_hints(hint, localns={"Mapping": dict, "Json": object})
        wanted = {item.name: any_of(hints[item.name]) for item in fields(hint)}
        return st.builds(hint, **wanted)
    return PLAIN[hint]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(any_of(Generation))
def test_every_field_comes_back(generation: Generation) -> None:
    assert codec.decode(codec.encode(generation)) == generation


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_come_back(name: str) -> None:
    written = codec.encode(SAMPLES[name])
    assert codec.decode(written) == SAMPLES[name]
    assert repr(codec.decode(written)) == repr(SAMPLES[name])  # 1 is no 1.0, and a list no tuple


def test_what_has_its_default_is_left_out() -> None:
    written = codec.encode(CHAT)
    assert isinstance(written, str)
    assert "null" not in written
    assert json.loads(written)["v"] == codec.VERSION


def test_fields_of_a_later_version_are_ignored() -> None:
    written = json.loads(codec.encode(CHAT))
    written["colour"], written["usage"]["smell"] = "blue", {"deep": 1}
    assert codec.decode(json.dumps(written)) == CHAT


@pytest.mark.parametrize("written", ["[]", '{"v": 2}', "{}", "nonsense"])
def test_what_cannot_be_read_says_so(written: str) -> None:
    with pytest.raises(ValueError, match=r"newer orobserve|Expecting value"):
        codec.decode(written)


def test_a_part_is_told_from_another_by_its_kind() -> None:
    parts = (Media(type="text", modality="x"), Text(content=""), ToolCall())
    content = Content(output=(Message(role="assistant", parts=parts),))
    assert codec.decode(codec.encode(replace(CHAT, content=content))).content == content


def test_an_applications_own_objects_become_text() -> None:
    found = codec.decode(codec.encode(replace(CHAT, tags={"odd": {1}, "record": Text(content="x")})))
    assert found.tags == {"odd": "{1}", "record": {"content": "x"}}
