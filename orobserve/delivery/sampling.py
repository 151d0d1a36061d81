"""Which records a destination gets when it is to get a share of them: by hash, so that every process decides alike.

The hash is the first 8 bytes of SHA-256(destination name, a zero byte, session id or trace id) as a big-endian
number; a record is in when that is below rate times 2^64. So a session, or a trace without one, is in or out as a
whole, a higher rate keeps what a lower one kept, and destinations choose independently.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING

from orobserve.generation import Outcome

if TYPE_CHECKING:
    from orobserve.generation import Generation


class Exempt(Enum):
    """Records that are sent whatever the rate."""

    ERROR = "error"  # OpenRouter or the transport failed
    ABORTED = "aborted"  # cancelled, abandoned or cut off before its end


_ABORTED = {Outcome.CANCELLED, Outcome.ABANDONED, Outcome.TRUNCATED}


def position(name: str, key: str) -> int:
    """Return where a session or trace stands for a destination: 0 or more, and below 2^64."""
    digest = hashlib.sha256(f"{name}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def is_sampled(generation: Generation, name: str, rate: float) -> bool:
    """Tell whether a record is in a destination's share: whole numbers and floats are compared exactly."""
    return position(name, generation.request.session_id or generation.trace_id or "") < rate * 2**64


def is_exempt(generation: Generation, exempt: frozenset[Exempt], above: float | None) -> bool:
    """Tell whether a record is to be sent whatever the rate; `above` is a cost in USD."""
    failed = generation.error is not None or generation.outcome is Outcome.FAILED
    if failed and Exempt.ERROR in exempt:
        return True
    if generation.outcome in _ABORTED and Exempt.ABORTED in exempt:
        return True
    cost = generation.cost.total if generation.cost else None
    return above is not None and cost is not None and cost > above
