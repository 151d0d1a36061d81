"""The metrics that the GenAI semantic conventions define: as they are, and as they are about to be named.

Each is recorded with a call's labels, and in the context of its span, so that exemplars lead there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.telemetry import names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter
    from opentelemetry.util.types import AttributeValue

    from orobserve.generation import Generation, Usage

    Labels = dict[str, AttributeValue]

DURATION_BUCKETS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKEN_BUCKETS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]


class Standard:
    """The conventions' metrics as opentelemetry-util-genai 1.3b0 emits them."""

    def __init__(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to the first chunk with content",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )
        self._per_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            "s",
            "Time between chunks",
            explicit_bucket_boundaries_advisory=DURATION_BUCKETS,
        )

    def record(self, generation: Generation, labels: Labels, span: Context) -> None:
        """Record a finished call."""
        self._duration.record(generation.timing.duration, labels, span)
        if generation.usage is not None:
            self.record_tokens(generation.usage, labels, span)
        first_chunk = generation.timing.time_to_first_chunk
        if first_chunk is not None:
            self._first_chunk.record(first_chunk, labels, span)
        for gap in generation.timing.chunk_gaps:
            self._per_chunk.record(gap, labels, span)

    def record_tokens(self, usage: Usage, labels: Labels, span: Context) -> None:
        """Record the tokens of a call."""
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if tokens is not None:
                self._tokens.record(tokens, {**labels, names.TOKEN_TYPE: kind}, span)


class Next:
    """The names of the conventions' open pull request 521, for those who want them early."""

    def __init__(self, meter: Meter) -> None:
        prefix = "gen_ai.client.inference."
        self._duration = meter.create_histogram(
            prefix + "duration", "s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS
        )
        self._first_chunk = meter.create_histogram(
            prefix + "time_to_first_chunk", "s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS
        )
        self._per_chunk = meter.create_histogram(
            prefix + "time_per_output_chunk", "s", explicit_bucket_boundaries_advisory=DURATION_BUCKETS
        )
        self._counters = {
            field: meter.create_counter(f"{prefix}usage.{name}", "{token}")
            for field, name in (
                ("input_tokens", "input_tokens"),
                ("output_tokens", "output_tokens"),
                ("cache_read_input_tokens", "cache_read.input_tokens"),
                ("cache_write_input_tokens", "cache_write.input_tokens"),
                ("reasoning_output_tokens", "reasoning.output_tokens"),
            )
        }
        self._sizes = {
            field: meter.create_histogram(
                f"{prefix}operation.{field}", "{token}", explicit_bucket_boundaries_advisory=TOKEN_BUCKETS
            )
            for field in ("input_tokens", "output_tokens")
        }

    def record(self, generation: Generation, labels: Labels, span: Context) -> None:
        """Record a finished call."""
        self._duration.record(generation.timing.duration, labels, span)
        first_chunk, usage = generation.timing.time_to_first_chunk, generation.usage
        if first_chunk is not None:
            self._first_chunk.record(first_chunk, labels, span)
        for gap in generation.timing.chunk_gaps:
            self._per_chunk.record(gap, labels, span)
        for field, counter in self._counters.items():
            tokens = getattr(usage, field) if usage is not None else None
            if tokens is None and field not in self._sizes:
                continue
            modality = "unknown" if usage is None else "text"
            counter.add(tokens or 0, {**labels, names.TOKEN_MODALITY: modality}, span)
        for field, histogram in self._sizes.items():
            tokens = getattr(usage, field) if usage is not None else None
            if tokens is not None:
                histogram.record(tokens, labels, span)
