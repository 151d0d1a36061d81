"""Sampling: the same decision everywhere and for ever, whole sessions, independent destinations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orobserve.delivery.sampling import Exempt, is_exempt, is_sampled, position
from orobserve.generation import Cost, Error, Outcome, Request
from tests.delivery.test_filters import EMPTY, FULL

TRACED = replace(FULL, request=Request(), trace_id="0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("langfuse", "s-1", 0xCF7CEBAD39640F41),
        ("webhook", "s-1", 0x6F2CB2A16BAE8783),
        ("langfuse", "0123456789abcdef0123456789abcdef", 0x1F418DD378D670E4),
        ("é", "会話", 0x6944B6B132951BCE),
        ("langfuse", "", 0x53B45E8BC88ABDC5),
    ],
)
def test_the_hash_is_frozen(name: str, key: str, expected: int) -> None:
    assert position(name, key) == expected


def test_a_lone_surrogate_is_a_key_too() -> None:
    assert 0 <= position("x", "\ud800") < 2**64


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_the_rate(rate: float) -> None:
    seen = [replace(TRACED, trace_id=f"{number:032x}") for number in range(20_000)]
    kept = sum(is_sampled(generation, "langfuse", rate) for generation in seen)
    assert abs(kept / len(seen) - rate) < 4 * (rate * (1 - rate) / len(seen)) ** 0.5


def test_the_ends() -> None:
    assert is_sampled(TRACED, "langfuse", 1.0)
    assert not is_sampled(TRACED, "langfuse", 0.0)


def test_a_session_is_in_or_out_as_a_whole_and_a_higher_rate_keeps_more() -> None:
    kept = {}
    for rate in (0.2, 0.6):
        for session in range(200):
            calls = [
                replace(TRACED, request=Request(session_id=f"s{session}"), trace_id=f"{call:032x}") for call in range(5)
            ]
            decisions = {is_sampled(call, "langfuse", rate) for call in calls}
            assert len(decisions) == 1
            kept[rate, session] = decisions.pop()
    assert all(kept[0.6, session] for session in range(200) if kept[0.2, session])


def test_destinations_choose_independently() -> None:
    seen = [replace(TRACED, trace_id=f"{number:032x}") for number in range(10_000)]
    both = sum(is_sampled(generation, "a", 0.5) and is_sampled(generation, "b", 0.5) for generation in seen)
    assert abs(both / len(seen) - 0.25) < 0.02


def test_a_record_without_ids_is_decided_too() -> None:
    assert is_sampled(EMPTY, "langfuse", 0.5) == (position("langfuse", "") < 2**63)


@pytest.mark.parametrize(
    ("change", "exempt", "above", "expected"),
    [
        ({}, {Exempt.ERROR, Exempt.ABORTED}, 0.3, False),
        ({}, set(), 0.2, True),
        ({}, set(), 0.25, False),
        ({"cost": None}, set(), 0.0, False),
        ({"cost": Cost()}, set(), 0.0, False),
        ({"error": Error(type="timeout")}, {Exempt.ERROR}, None, True),
        ({"outcome": Outcome.FAILED}, {Exempt.ERROR}, None, True),
        ({"outcome": Outcome.FAILED}, {Exempt.ABORTED}, None, False),
        ({"outcome": Outcome.CANCELLED}, {Exempt.ABORTED}, None, True),
        ({"outcome": Outcome.ABANDONED}, {Exempt.ABORTED}, None, True),
        ({"outcome": Outcome.TRUNCATED}, {Exempt.ABORTED}, None, True),
        ({"outcome": Outcome.TRUNCATED}, {Exempt.ERROR}, None, False),
    ],
)
def test_what_is_sent_whatever_the_rate(change, exempt, above, expected) -> None:
    assert is_exempt(replace(FULL, **change), frozenset(exempt), above) is expected
