"""The terminal: one JSON object per generation and line, to be read by people and by `jq`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from orobserve.delivery import DirectExporter, Field, Result, Verdict
from orobserve_exporters._broadcast import CONFIG, own_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.generation import Generation


class Console(DirectExporter):
    """Writes to what `sys.stderr`, or `sys.stdout`, is at that moment."""

    TYPE = "console"
    TITLE = "Console"
    FIELDS = (Field(name="stream", help="where to write", default="stderr", choices=("stderr", "stdout")),)

    def export(self, batch: Sequence[Generation]) -> Result:
        """Write a line per generation."""
        lines = [json.dumps(_record(generation), default=str) for generation in batch]  # ASCII: any terminal takes it
        stream = getattr(sys, self.config["stream"])
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()
        return Result(verdict=Verdict.DELIVERED)

    def check(self) -> Result:
        """Say whether there is such a stream: a process without a terminal may have none."""
        if getattr(sys, self.config["stream"]) is None:
            return Result(verdict=Verdict.REJECTED, reason=f"stream: this process has no {self.config['stream']}")
        return Result(verdict=Verdict.DELIVERED)


def _record(generation: Generation) -> dict[str, Any]:
    facts = {
        "name": generation.name,
        "trace_id": generation.trace_id,
        "span_id": generation.span_id,
        "parent_span_id": generation.parent_span_id,
        "started_at": generation.timing.started_at,
        "duration": generation.timing.duration,
        "outcome": generation.outcome.value,
        "error": generation.error and generation.error.message,
        "attributes": own_attributes(generation, CONFIG),
    }
    return {name: value for name, value in facts.items() if value is not None}
