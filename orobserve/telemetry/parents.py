"""Named parents that came along with a call: only names again, since who delivers the call makes those spans anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orobserve.generation import Trace
from orobserve.telemetry.spellings import DEFAULT_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.generation import Generation
    from orobserve.telemetry.received import Received

_MOST = 16  # spans above one another; a circle has no end
_TRACE_NAME = "trace.name"


def without_named(generation: Generation, spans: Mapping[tuple[str, str], Received]) -> Generation:
    """Return a record whose parents are among the given spans with their names instead.

    Args:
        generation: a call that we or Broadcast sent.
        spans: those of the same sender that came with it and stand for no call, by trace id and span id.
    """
    above: list[Received] = []
    place = generation.parent_span_id
    while place is not None and len(above) < _MOST:
        parent = spans.get((generation.trace_id or "", place))
        if parent is None:
            break
        above.append(parent)
        place = parent.parent_span_id
    if not above:
        return generation
    named = {"parent_span_id": place, **_names(above)}
    if place is not None:  # what stands above the names was asked for, or nobody would have put them there
        asked = generation.request
        trace = replace(asked.trace or Trace(), parent_span_id=place)
        named["request"] = replace(asked, trace=trace)
    return replace(generation, **named)  # type: ignore[arg-type]


def _names(above: list[Received]) -> dict[str, object]:
    """Return the trace's name and the span's; of a single parent without a hint it is the trace's."""
    found: dict[str, object] = {}
    outermost, nearest = above[-1], above[0]
    for parent in (outermost, nearest):
        is_trace = parent.attributes.get(_TRACE_NAME, outermost.name) == parent.name
        if parent.name and parent.name not in DEFAULT_NAMES:
            found.setdefault("trace_name" if is_trace else "span_name", parent.name)
    return found
