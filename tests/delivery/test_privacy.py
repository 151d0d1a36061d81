"""What is taken out before a destination sees a record."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from orobserve import ConfigurationError, _guard
from orobserve.delivery import privacy
from orobserve.generation import Citation, Content, Error, Media, Message, Text, ToolCall, ToolCallResponse
from tests.delivery.test_filters import FULL

SECRETS = "ann@example.com 4111 1111 1111 1111 AKIAABCDEFGHIJKLMNOP 10.20.30.40"
SAID = Content(
    system=(Text(content=SECRETS),),
    input=(
        Message(role="user", name="ann@example.com", parts=(Text(content=SECRETS),)),
        Message(role="user", parts=(Media(type="uri", modality="image", uri="https://x/?u=ann@example.com"),)),
        Message(role="tool", parts=(ToolCallResponse(id="t", response=[{SECRETS: SECRETS, "n": 1}]),)),
    ),
    output=(Message(role="assistant", parts=(ToolCall(id="t", name="f", arguments={"to": [SECRETS]}),)),),
    tools=({"name": SECRETS},),
    citations=(Citation(url=f"https://x/?{SECRETS}", title=SECRETS),),
)
FAILED = replace(FULL, content=SAID, error=Error(type="invalid", message=f"said: {SECRETS}", code="400"))


def blanks(*names: str) -> tuple[privacy.Pattern, ...]:
    return privacy.patterns("mask_patterns", list(names))


def test_stripped_means_no_text_at_all() -> None:
    stripped = privacy.strip(FAILED)
    assert stripped.content is None
    assert stripped.error == Error(type="invalid", code="400")
    assert (stripped.usage, stripped.cost, stripped.request) == (FAILED.usage, FAILED.cost, FAILED.request)
    assert privacy.strip(FULL).error is None


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("email", "ann@example.com"),
        ("credit_card", "4111 1111 1111 1111"),
        ("api_key", "AKIAABCDEFGHIJKLMNOP"),
        ("ip_address", "10.20.30.40"),
        (r"ann@\w+", "ann@example"),
    ],
)
def test_a_pattern_reaches_every_text(name: str, secret: str) -> None:
    masked = privacy.mask(FAILED, (), blanks(name))
    shown = repr(asdict(masked))
    assert masked.content is not None
    assert secret not in repr(masked.content) + shown
    assert "[REDACTED]" in shown
    others = {"ann@example.com", "4111 1111 1111 1111"} - {secret, "ann@example.com" if "ann" in name else ""}
    assert all(other in shown for other in others)
    assert masked.content.output[0].parts[0].name == "f"  # type: ignore[union-attr]


def test_keys_are_blanked_whatever_the_settings() -> None:
    said = Content(input=(Message(role="user", parts=(Text(content="my key: sk-or-v1-0123456789abcdef"),)),))
    masked = privacy.mask(replace(FULL, content=said), (), ())
    assert masked.content is not None
    assert masked.content.input[0].parts[0] == Text(content="my key: [REDACTED]")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4111111111111111", True),
        ("378282246310005", True),
        ("4111-1111-1111-1111", True),
        ("4111111111111112", False),  # the check digit is wrong
        ("1234567890", False),
        ("2024-01-01 12:00", False),
    ],
)
def test_a_card_is_known_by_its_check_digit(text: str, found: bool) -> None:
    (pattern,) = blanks("credit_card")
    assert ("[REDACTED]" in pattern.blank(text)) is found


@pytest.mark.parametrize(
    ("text", "found"),
    [("at 10.0.0.1.", True), ("2001:0db8:0:0:0:0:0:1", True), ("version 1.2.3", False), ("1.2.3.4.5", False)],
)
def test_an_address(text: str, found: bool) -> None:
    (pattern,) = blanks("ip_address")
    assert ("[REDACTED]" in pattern.blank(text)) is found


def test_functions_run_in_order_and_before_the_patterns() -> None:
    seen: list[str] = []

    def first(content: Content) -> Content:
        seen.append("first")
        return replace(content, system=())

    def second(content: Content) -> Content:
        seen.append("second")
        assert content.system == ()
        return content

    masked = privacy.mask(replace(FULL, content=SAID), (first, second), blanks("email"))
    assert seen == ["first", "second"]
    assert masked.content is not None
    assert masked.content.system == ()
    assert "ann@" not in repr(masked.content)


def test_an_error_is_masked_like_an_answer() -> None:
    def shout(content: Content) -> Content:
        parts = tuple(Text(content="X") for message in content.output for _ in message.parts)
        return Content(output=(Message(role="assistant", parts=parts),))

    masked = privacy.mask(FAILED, (shout,), ())
    assert masked.error == Error(type="invalid", message="X", code="400")


def test_a_mask_may_leave_nothing() -> None:
    masked = privacy.mask(FAILED, (lambda _: None,), ())
    assert masked.content is None
    assert masked.error == Error(type="invalid", code="400")


def broken(content: Content) -> Content:
    raise RuntimeError(str(content))


@pytest.mark.swallows
@pytest.mark.parametrize("function", [broken, lambda content: "hidden"])
def test_a_mask_that_fails_means_no_content(function: Any) -> None:
    masked = privacy.mask(FAILED, (function,), ())
    assert masked.content is None
    assert masked.error is not None
    assert masked.error.message is None
    assert sum(_guard.swallowed.values()) == 2  # of the content, and of the error


def test_no_content_stays_no_content() -> None:
    masked = privacy.mask(replace(FULL, content=None), (broken,), blanks("email"))
    assert (masked.content, masked.error) == (None, None)


@pytest.mark.parametrize("raw", ["email", ["("], [""], [3], None])
def test_wrong_patterns(raw: object) -> None:
    with pytest.raises(ConfigurationError, match=r"mask_patterns.*email, api_key, credit_card, ip_address"):
        privacy.patterns("mask_patterns", raw)
