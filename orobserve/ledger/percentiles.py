"""Percentiles out of histograms: durations are counted in bins, each a tenth longer than the one before.

What is told is the middle of a bin: at most 5 % (exactly: 4.9 %) away from the duration that stands at that place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH = math.log(1.1)


def bin_of(duration: int | None) -> int | None:
    """Return the number of the bin of a duration in nanoseconds; None is unknown."""
    return None if duration is None else math.floor(math.log(max(duration, 1)) / _WIDTH)


def percentile(counts: Mapping[int, int], part: float) -> float | None:
    """Return the shortest duration (seconds) that this part of the durations do not exceed; None: there are none.

    Args:
        counts: how many there are, by bin.
        part: from 0 to 1: 0.95 for the 95th percentile.
    """
    left = math.ceil(part * sum(counts.values()))
    for number in sorted(counts):
        left -= counts[number]
        if left <= 0 < counts[number]:
            return math.exp((number + 0.5) * _WIDTH) / 1e9
    return None
