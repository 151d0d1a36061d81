"""Faults that show in the content of a response: errors and cuts inside a stream, and bodies that are not JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from orobserve.testing.sse import Event

if TYPE_CHECKING:
    from orobserve.testing.answers import Answer
    from orobserve.testing.dialects import Dialect
    from orobserve.testing.scenarios import Scenario

_PADDING = b"\n         "


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """The events to play, of how many there would have been, and how the connection ends."""

    events: list[Event]
    total: int
    ending: Literal["complete", "torn", "reset"] = "complete"


def served_whole(scenario: Scenario) -> bool:
    """Whether the scenario delivers its answer undamaged, so that the response cache may keep it."""
    cut_off = (scenario.truncated_after, scenario.reset_after, scenario.hold_after)
    return scenario.error is None and scenario.body == "normal" and all(place is None for place in cut_off)


def script(events: list[Event], dialect: Dialect, answer: Answer) -> Script:
    """Cut a stream where the scenario says so."""
    scenario = answer.scenario
    total = len(events)
    spoken = [event for event in events if not event.terminal]
    failure = scenario.error
    if failure and failure.place == "midstream" and dialect.broken_off:
        spoken = spoken[: failure.after]
        shown = replace(failure, after=len(spoken))
        return Script(events=[*spoken, *dialect.broken_off(answer, shown)], total=total)
    if scenario.truncated_after is not None:
        ending: Literal["complete", "torn"] = "complete" if scenario.truncated_clean else "torn"
        return Script(events=spoken[: scenario.truncated_after], total=total, ending=ending)
    if scenario.reset_after is not None:
        return Script(events=spoken[: scenario.reset_after], total=total, ending="reset")
    return Script(events=events, total=total)


def damage_events(events: list[Event], scenario: Scenario) -> list[Event]:
    """Make one event of a stream unreadable, or drop them all."""
    broken = {"malformed": '{"id":"gen-', "array": "[1,2]"}.get(scenario.body)
    if scenario.body == "empty":
        return []
    if broken is None:
        return events
    return [*events[:1], Event(broken), *events[2:]]


def damage_body(body: bytes, scenario: Scenario) -> bytes:
    """Make a JSON body unreadable, or put whitespace keep-alives before it."""
    if scenario.body == "empty":
        return b""
    if scenario.body == "array":
        return b"[1,2]"
    if scenario.body == "malformed":
        body = body[: len(body) // 2]
    return _PADDING * scenario.framing.padding + body
