"""Broadcast's filter rules: which records a destination gets. Rules are checked and compiled once, then only asked.

OpenRouter's documents name fields and operators; what they leave open is decided here:

- Groups are joined by "or" unless `groups_logic = "and"`; within a group `logic` holds ("and" unless it says "or").
  No rules at all, or `enabled = false`: every record passes. A group without rules counts for nothing.
- A field may have several values, and a rule holds where any of them fits: `model` is the model that answered and the
  one that was asked for, `finish_reason` the normalised and the provider's own, of every choice. `not_...` is the
  opposite of its partner, so it holds only where no value fits.
- A field that is unknown, empty, or not captured: `not_equals`, `not_contains` and `not_exists` hold, all else fails.
- Text is compared as it is: upper and lower case differ. `regex` is Python's, finds its match anywhere in the text,
  and `(?i)` at its start ignores case.
- `gt lt gte lte` compare numbers; a text that is no number fails. Costs are in USD.
- `total_cost` is the number to sum (with the provider's own charge for BYOK), `prompt_tokens` and
  `completion_tokens` are the inclusive totals of the model's own tokeniser.
- `api_key_name` is the name that your setting `api_key_labels` gives to the key.
- `input` and `output` are the whole texts of what was asked (system included) and answered, before any mask: texts,
  reasoning, and the arguments and answers of tools as JSON.
"""

from __future__ import annotations

import dataclasses
import json
import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.config_values import OneOf, boolean, nearest, number
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orobserve.generation import Generation, Part

Value: TypeAlias = "str | int | float"
Values: TypeAlias = "tuple[Value | None, ...]"

LOGIC = OneOf("and", "or")
_ORDER = ("gt", "lt", "gte", "lte")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "equals": operator.eq,
    "gt": operator.gt,
    "lt": operator.lt,
    "gte": operator.ge,
    "lte": operator.le,
}
_OPPOSITES = {"not_equals": "equals", "not_contains": "contains", "not_exists": "exists"}
OPERATORS = ("equals", *_OPPOSITES, "contains", "regex", "starts_with", "ends_with", *_ORDER, "exists")
_NUMBERS = ("total_cost", "total_tokens", "prompt_tokens", "completion_tokens")


def _read_usage(name: str) -> Callable[[Generation, Mapping[str, str]], Values]:
    return lambda generation, _: (getattr(generation.usage, name, None),)


_FIELDS: Mapping[str, Callable[[Generation, Mapping[str, str]], Values]] = {
    "model": lambda generation, _: (generation.model, generation.request.model),
    "provider": lambda generation, _: (generation.provider,),
    "session_id": lambda generation, _: (generation.request.session_id,),
    "user_id": lambda generation, _: (generation.request.user,),
    "api_key_name": lambda generation, labels: (labels.get(generation.request.api_key_hash or ""),),
    "finish_reason": lambda generation, _: (
        *(generation.finish_reasons or ()),
        *(generation.native_finish_reasons or ()),
    ),
    "input": lambda generation, _: (_asked(generation),),
    "output": lambda generation, _: (_answered(generation),),
    "total_cost": lambda generation, _: (generation.cost.total if generation.cost else None,),
    "total_tokens": _read_usage("total_tokens"),
    "prompt_tokens": _read_usage("input_tokens"),
    "completion_tokens": _read_usage("output_tokens"),
}
FIELDS = tuple(_FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; `fits` tells whether one value of the field satisfies the operator (the partner of a `not_...`)."""

    field: str
    operator: str
    value: Value | None = None
    fits: Callable[[Value], bool] = dataclasses.field(repr=False, compare=False)

    def holds(self, generation: Generation, labels: Mapping[str, str]) -> bool:
        """Tell whether a record satisfies the rule."""
        values = _FIELDS[self.field](generation, labels)
        found = any(self.fits(value) for value in values if value is not None and value != "")
        return found != (self.operator in _OPPOSITES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules joined by `logic`: `and` or `or`."""

    rules: tuple[Rule, ...]
    logic: str = "and"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Groups of rules joined by `logic`."""

    groups: tuple[Group, ...]
    logic: str = "or"

    @property
    def reads_content(self) -> bool:
        """Whether a rule looks into what was said."""
        return any(rule.field in {"input", "output"} for group in self.groups for rule in group.rules)

    def match(self, generation: Generation, labels: Mapping[str, str]) -> bool:
        """Tell whether a record passes; `labels` names keys by their hash."""
        return _joined(
            self.logic,
            [_joined(group.logic, [rule.holds(generation, labels) for rule in group.rules]) for group in self.groups],
        )


def _joined(logic: str, found: Sequence[bool]) -> bool:
    return all(found) if logic == "and" else any(found)


def parse(setting: str, raw: object, logic: str = "or") -> Filters | None:
    """Return the filters of a `filter_rules` object; None where every record passes.

    Raises:
        ConfigurationError: a rule cannot be used; the message says which.
    """
    rules = _object(setting, raw, ("enabled", "groups"))
    groups = [
        _group(f"{setting}.groups[{index}]", group)
        for index, group in enumerate(_list(f"{setting}.groups", rules.get("groups")))
    ]
    kept = tuple(group for group in groups if group.rules)
    if not kept or not boolean(f"{setting}.enabled", rules.get("enabled", True)):
        return None
    return Filters(groups=kept, logic=logic)


def _group(setting: str, raw: object) -> Group:
    group = _object(setting, raw, ("logic", "rules"))
    rules = [
        _rule(f"{setting}.rules[{index}]", rule)
        for index, rule in enumerate(_list(f"{setting}.rules", group.get("rules")))
    ]
    return Group(rules=tuple(rules), logic=LOGIC(f"{setting}.logic", group.get("logic", "and")))


def _rule(setting: str, raw: object) -> Rule:
    given = _object(setting, raw, ("field", "operator", "value"))
    name = OneOf(*FIELDS)(f"{setting}.field", given.get("field"))
    word = OneOf(*OPERATORS)(f"{setting}.operator", given.get("operator"))
    value = given.get("value")
    positive = _OPPOSITES.get(word, word)
    if positive != "exists":
        needs_number = positive in _ORDER or (positive == "equals" and name in _NUMBERS)
        is_fit = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        if not is_fit or (needs_number and number(value) is None):
            kind = "a number" if needs_number else "a text or a number"
            raise ConfigurationError(f"{setting}.value", value, allowed=kind, fix=f"give {kind} that {word} can use")
    return Rule(field=name, operator=word, value=value, fits=_fits(f"{setting}.value", positive, value, name))


def _fits(setting: str, word: str, expected: Any, name: str) -> Callable[[Value], bool]:  # noqa: ANN401 - checked
    text = str(expected)
    if word in _ORDER or (word == "equals" and name in _NUMBERS):
        compare, limit = _COMPARE[word], float(expected)
        return lambda value: (found := number(value)) is not None and compare(found, limit)
    if word == "regex":
        try:
            pattern = re.compile(text)
        except re.error as error:
            raise ConfigurationError(
                setting, text, allowed="a regular expression of Python's", fix=f"mend it: {error}"
            ) from None
        return lambda value: pattern.search(str(value)) is not None
    tests: dict[str, Callable[[str], bool]] = {
        "exists": lambda _: True,
        "equals": lambda value: value == text,
        "contains": lambda value: text in value,
        "starts_with": lambda value: value.startswith(text),
        "ends_with": lambda value: value.endswith(text),
    }
    test = tests[word]
    return lambda value: test(str(value))


def _object(setting: str, raw: object, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ConfigurationError(
            setting, raw, allowed="an object with " + ", ".join(known), fix="see the documentation"
        )
    for key in raw:
        if key not in known:
            raise ConfigurationError(
                f"{setting}.{key}", raw[key], allowed=", ".join(known), fix=nearest(str(key), known)
            )
    return raw


def _list(setting: str, raw: object) -> list[Any]:
    if not isinstance(raw, list):
        raise ConfigurationError(setting, raw, allowed="a list of objects", fix=f"write {setting} as a list")
    return raw


def _asked(generation: Generation) -> str | None:
    content = generation.content
    if content is None:
        return None
    return _text([content.system, *(message.parts for message in content.input)])


def _answered(generation: Generation) -> str | None:
    content = generation.content
    return None if content is None else _text(message.parts for message in content.output)


def _text(parts: Iterable[Sequence[Part]]) -> str:
    """Return everything readable in a conversation, a line each."""
    said = [
        getattr(part, name, None) for some in parts for part in some for name in ("content", "arguments", "response")
    ]
    return "\n".join(
        item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in said if item is not None
    )
