"""Secrets never stay in a text."""

from __future__ import annotations

import pytest

from orobserve.wire.redact import MASK, redact, secrets_of_query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No user for sk-or-v1-0123456789", f"No user for {MASK}"),
        ("sk-or-v1-0123456789, pk-lf-12345678.", f"{MASK}, {MASK}."),
        ("Authorization: Bearer abc.def-123", f"Authorization: Bearer {MASK}"),
        ("'authorization': 'bearer abc'", f"'authorization': 'bearer {MASK}'"),
        ("GET https://x.test/a?key=abc&b=1", f"GET https://x.test/a?key={MASK}&b=1"),
        ("https://x.test/a?b=1&api_key=abc#top", f"https://x.test/a?b=1&api_key={MASK}#top"),
        ("https://x.test/a?token=abc", f"https://x.test/a?token={MASK}"),
        ("the sk-8 bus and a task-oriented model", "the sk-8 bus and a task-oriented model"),
        ("", ""),
    ],
)
def test_patterns(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("hunter2hunter2", "pass hunter2hunter2!", f"pass {MASK}!"),
        ("a/b+c=d", "url a%2Fb%2Bc%3Dd", f"url {MASK}"),
        ("short", "a short word", "a short word"),
        ("", "nothing", "nothing"),
        ("caf\udce9-secret", "x caf\udce9-secret y", f"x {MASK} y"),
    ],
)
def test_given_secrets(secret: str, text: str, expected: str) -> None:
    assert redact(text, [secret]) == expected


def test_secrets_of_a_query() -> None:
    query = "model=x&api_key=one&X-Amz-Signature=two&access_token=three&q=%20four&PASSWORD=five%21&key="
    assert secrets_of_query(query) == ["one", "two", "three", "five!"]
    assert secrets_of_query("") == []
