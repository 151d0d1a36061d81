"""Why nobody knows what a call cost, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.generation import Outcome

if TYPE_CHECKING:
    from orobserve.generation import Generation

_NOT_ASKED = "the response has no cost, and OpenRouter's record of the call was not asked for (enrichment)"
_WHY = {  # a cost is unknown, by what came of asking
    "pending": "the program ended, or flushed, before OpenRouter's record of the call was in",
    "timeout": "OpenRouter's record of the call was not there before the deadline",
    "not_found": "OpenRouter has no record of the call",
    "unauthorized": "the key may not read OpenRouter's record of the call",
    "error": "OpenRouter's record of the call could not be read",
    "dropped": "too many calls were waiting for their records",
    "complete": "OpenRouter's own record of the call has no cost either",
    "not_needed": _NOT_ASKED,
}


def why_unknown(generation: Generation) -> str:
    """Return why the cost of a call is not known."""
    cost, enrichment, outcome = generation.cost, generation.enrichment, generation.outcome
    if cost is not None and cost.ambiguous:
        return "whether the key was your own (BYOK) is not told, and the figures disagree"
    if generation.failed:
        return "the call failed, and nothing tells of a cost"
    if generation.job is not None and not generation.job.finished:
        return "the job had not finished: the call that finds it finished has its cost"
    broken = f"the stream was {outcome.value} before its usage; " if outcome is not Outcome.COMPLETE else ""
    return broken + (_WHY.get(enrichment.status, enrichment.status) if enrichment is not None else _NOT_ASKED)
