"""What is taken out of a record before a destination sees it: all content, or what a mask or a pattern finds in it.

An error's message is free text of the peer and may quote the prompt, so it goes the same way as the content.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve._guard import guard
from orobserve.errors import ConfigurationError
from orobserve.generation import Content, Message, Text
from orobserve.wire.redact import MASK, redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orobserve.generation import Generation, Part

    Mask: TypeAlias = Callable[[Content], Content | None]

_DIGITS = re.compile(r"\D")
_READABLE = {"content", "arguments", "response", "uri"}  # of a part; its other fields name what it is
NAMED: Mapping[str, re.Pattern[str]] = {
    "email": re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "api_key": re.compile(
        r"\b(?:sk|pk|rk)[-_][\w-]{8,}|\bAKIA[A-Z0-9]{16}\b|\bAIza[\w-]{35}|\bgh[pousr]_\w{20,}|\bxox[a-z]-[\w-]{8,}"
        r"|\bglc_[\w=+/-]{8,}|\blsv2_\w{8,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"
    ),
    "credit_card": re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"),  # and its check digit is right
    "ip_address": re.compile(
        r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)|(?<![\w:])(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}\b"
    ),
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """Text that is to be blanked out: a pattern of ours by its name, or the user's own."""

    text: str
    pattern: re.Pattern[str]

    def blank(self, text: str) -> str:
        """Return a text without what the pattern finds."""
        return self.pattern.sub(_blank_card if self.text == "credit_card" else MASK, text)


def patterns(setting: str, raw: object) -> tuple[Pattern, ...]:
    """Compile a list of `email`, `api_key`, `credit_card`, `ip_address`, or regular expressions."""
    if not isinstance(raw, (list, tuple)):
        raise _wrong(setting, raw, f"write {setting} as a list")
    return tuple(_pattern(f"{setting}[{index}]", item) for index, item in enumerate(raw))


def _pattern(setting: str, raw: object) -> Pattern:
    if not isinstance(raw, str) or not raw:
        raise _wrong(setting, raw, "give a text")
    try:
        return Pattern(raw, NAMED.get(raw) or re.compile(raw))
    except re.error as error:
        raise _wrong(setting, raw, f"mend it: {error}") from None


def _wrong(setting: str, raw: object, fix: str) -> ConfigurationError:
    allowed = ", ".join(NAMED) + ", or regular expressions of Python's, as a list"
    return ConfigurationError(setting, raw, allowed=allowed, fix=fix)


def _blank_card(found: re.Match[str]) -> str:
    """Blank a number only if its check digit is right (Luhn)."""
    digits = [int(digit) for digit in reversed(_DIGITS.sub("", found[0]))]
    doubled = [digit * 2 - 9 * (digit > 4) if place % 2 else digit for place, digit in enumerate(digits)]  # noqa: PLR2004
    return MASK if sum(doubled) % 10 == 0 else found[0]


def strip(generation: Generation) -> Generation:
    """Return the record without what was said, its error without its message."""
    error = None if generation.error is None else replace(generation.error, message=None)
    return replace(generation, content=None, error=error)


def mask(generation: Generation, masks: Sequence[Mask], blanks: Sequence[Pattern]) -> Generation:
    """Return the record with its content masked: by the functions, then the patterns, and keys are always blanked.

    A function that fails means no content at all. It is asked for the error's message too, as one text part.
    """
    error, content = generation.error, generation.content
    message = error.message if error else None
    quoted = None if message is None else Content(output=(Message(role="assistant", parts=(Text(content=message),)),))
    content, quoted = _masked(content, masks, blanks), _masked(quoted, masks, blanks)
    if error is not None:
        parts = [part for said in (() if quoted is None else quoted.output) for part in said.parts]
        error = replace(error, message="\n".join(part.content for part in parts if isinstance(part, Text)) or None)
    return replace(generation, content=content, error=error)


def _masked(content: Content | None, masks: Sequence[Mask], blanks: Sequence[Pattern]) -> Content | None:
    for function in masks:
        content = None if content is None else _run(function, content)
    return None if content is None else _rewritten(content, blanks)


def _run(function: Mask, content: Content) -> Content | None:
    with guard:
        found: object = function(content)
        if found is None or isinstance(found, Content):
            return found
        raise TypeError("a mask returns Content or None")
    return None


def _rewritten(content: Content, blanks: Sequence[Pattern]) -> Content:
    def change(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, str):
            value = redact(value)
            for pattern in blanks:
                value = pattern.blank(value)
            return value
        if isinstance(value, dict):
            return {change(key): change(item) for key, item in value.items()}
        return [change(item) for item in value] if isinstance(value, (list, tuple)) else value

    def part(given: Part) -> Part:
        texts = {item.name for item in fields(given)} & _READABLE
        return replace(given, **{name: change(getattr(given, name)) for name in texts})

    def message(given: Message) -> Message:
        return replace(given, parts=tuple(map(part, given.parts)), name=change(given.name))

    return Content(
        input=tuple(map(message, content.input)),
        output=tuple(map(message, content.output)),
        system=tuple(map(part, content.system)),
        tools=tuple(map(change, content.tools)),
        citations=tuple(replace(each, url=change(each.url), title=change(each.title)) for each in content.citations),
    )
