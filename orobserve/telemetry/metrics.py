"""The metrics of every call: few labels, all of bounded variety. Recorded before any sampling, so sums are true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from orobserve._version import __version__
from orobserve.telemetry import gauges, names
from orobserve.telemetry.conventions import Next, Standard
from orobserve.telemetry.labels import Bounded, CallLabels
from orobserve.telemetry.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import SpanContext
    from opentelemetry.util.types import AttributeValue

    from orobserve.config import Config
    from orobserve.generation import Budget, Cost, Generation, Usage

    Labels = dict[str, AttributeValue]

LOOKUP_BUCKETS = [0.5, 1, 1.5, 2, 3, 4, 5, 7, 10, 15, 30, 60, 120, 300, 600]
COST_BUCKETS = [1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_KINDS = {
    "cache_read_input_tokens": "cache_read",
    "cache_write_input_tokens": "cache_write",
    "reasoning_output_tokens": "reasoning",
    "image_input_tokens": "image",
    "image_output_tokens": "image",
    "audio_input_tokens": "audio",
    "audio_output_tokens": "audio",
    "video_input_tokens": "video",
}
_INFERENCE = frozenset({"chat", "text_completion", "generate_content"})
_NO_SPAN = Context()


class Metrics:
    """The instruments."""

    def __init__(
        self,
        provider: MeterProvider,
        config: Config,
        *,
        held: Callable[[], int] = lambda: 0,
        budgets: Callable[[], Sequence[Budget]] | None = None,
        deliveries: Callable[[], Sequence[gauges.Delivery]] = list,
    ) -> None:
        """Make them.

        Args:
            provider: where they are recorded.
            config: the settings.
            held: tells how many spans wait for their record.
            budgets: tells the budgets of the API keys in use, where they are looked at.
            deliveries: tells how destinations are doing.
        """
        meter = provider.get_meter(names.SCOPE, __version__, schema_url=names.SCHEMA_URL)
        self._labels = CallLabels(config)
        self._bounded_attempts = Bounded(config.metric_limit)
        self._seen = Switches()
        self._families = [Standard(meter)] if config.semconv != "next" else []
        self._next = Next(meter) if "next" in config.semconv else None
        self._cost = meter.create_counter("openrouter.client.cost", "USD", "What OpenRouter billed")
        self._cost_per_call = (
            meter.create_histogram(
                "openrouter.client.operation.cost",
                "USD",
                "Cost of one call",
                explicit_bucket_boundaries_advisory=COST_BUCKETS,
            )
            if config.cost_histogram
            else None
        )
        self._unpriced = meter.create_up_down_counter(
            "openrouter.client.unpriced_requests", "{request}", "Calls that did not fail and whose cost is not known"
        )
        self._savings = meter.create_up_down_counter(
            "openrouter.client.prompt_cache.savings", "USD", "What the providers' prompt caches saved, less surcharges"
        )
        self._details = meter.create_counter(
            "openrouter.client.token.details", "{token}", "Subsets of the token counts, not additive with them"
        )
        self._cache = meter.create_counter("openrouter.client.response_cache", "{request}", "Response cache results")
        self._fallbacks = meter.create_counter("openrouter.client.fallbacks", "{attempt}", "Attempts that failed")
        self._switches = meter.create_counter(
            "openrouter.client.provider_switches",
            "{request}",
            "Calls by another provider than the session's last",
        )
        self._tools = meter.create_counter("openrouter.client.server_tool.calls", "{call}", "Server tool calls")
        self._active = meter.create_up_down_counter(
            "openrouter.client.active_requests", "{request}", "Calls in flight, streams included"
        )
        self._dropped = meter.create_counter("orobserve.dropped", "{item}", "What orobserve itself has lost")
        self._lookups = meter.create_counter("orobserve.enrichment.lookups", "{lookup}", "Records looked for")
        self._lookup_duration = meter.create_histogram(
            "orobserve.enrichment.duration",
            "s",
            "Time from the end of a call to its record, or to giving up",
            explicit_bucket_boundaries_advisory=LOOKUP_BUCKETS,
        )
        gauges.observe_held(meter, held)
        gauges.observe_deliveries(meter, deliveries)
        if budgets is not None:
            gauges.observe_budgets(meter, budgets, config.metric_limit)

    def drop(self, signal: str, reason: str, number: int = 1, **whose: str) -> None:
        """Count something of ours that was lost."""
        self._dropped.add(number, {"signal": signal, "reason": reason, **whose})

    def begin(self, operation: str) -> None:
        """Note a call in flight."""
        self._active.add(1, {names.OPERATION_NAME: operation, names.PROVIDER_NAME: names.PROVIDER})

    def end(self, operation: str) -> None:
        """Note that a call is no longer in flight."""
        self._active.add(-1, {names.OPERATION_NAME: operation, names.PROVIDER_NAME: names.PROVIDER})

    def settle(self, status: str, seconds: float) -> None:
        """Note what came of looking for a record, and how long after the end of its call."""
        labels = {names.ENRICHMENT_OUTCOME: status}
        self._lookups.add(1, labels)
        self._lookup_duration.record(seconds, labels)

    def record(self, generation: Generation, span: SpanContext | None = None, *, standard: bool = True) -> None:
        """Record a finished call, once, with what is known when its span ends.

        Args:
            generation: the call.
            span: of the call; exemplars lead to it, if it is sampled.
            standard: also the `gen_ai.*` metrics, which another instrumentation may have recorded already.
        """
        labels, within = self._labels(generation), _within(span)
        if standard:
            for family in self._families:
                family.record(generation, labels, within)
            if self._next and generation.operation in _INFERENCE:
                self._next.record(generation, labels, within)
        self._record_cost(generation.cost, None, labels, within)
        if _is_unpriced(generation):
            self._unpriced.add(1, labels, within)
        if generation.usage is not None:
            self._record_usage(generation.usage, labels, within)
        if generation.cache is not None and generation.cache.status:
            self._cache.add(1, {**labels, names.RESPONSE_CACHE_STATUS: generation.cache.status}, within)
        self._record_route(generation, None, labels, within)
        self._record_savings(generation.cost, None, labels, within)

    def complete(self, before: Generation, after: Generation, span: SpanContext | None = None) -> None:
        """Record of a finished call what was not known when its span ended; nothing is recorded twice."""
        labels, within = self._labels(after), _within(span)
        self._record_cost(after.cost, before.cost, labels, within)
        if _is_unpriced(before) and not _is_unpriced(after):
            self._unpriced.add(-1, self._labels(before), within)
        if before.usage is None and after.usage is not None:
            for family in self._families:
                family.record_tokens(after.usage, labels, within)
            self._record_usage(after.usage, labels, within)
        self._record_route(after, before, labels, within)
        self._record_savings(after.cost, before.cost, labels, within)

    def _record_cost(self, cost: Cost | None, before: Cost | None, labels: Labels, within: Context) -> None:
        """Record what is billed beyond what was known of it before. Of less nothing can be told: counters only rise."""
        if cost is None or cost.charged is None or cost.total is None:
            return
        known = _billed(before)
        if self._cost_per_call is not None and not known:
            self._cost_per_call.record(cost.total, labels, within)
        byok: Labels = {} if cost.is_byok is None else {names.BYOK: cost.is_byok}
        for kind, amount in _billed(cost).items():
            if amount > known.get(kind, -1):
                self._cost.add(amount - known.get(kind, 0), {**labels, **byok, names.COST_KIND: kind}, within)

    def _record_usage(self, usage: Usage, labels: Labels, within: Context) -> None:
        for field, kind in _KINDS.items():
            tokens = getattr(usage, field)
            if tokens:
                self._details.add(tokens, {**labels, names.TOKEN_KIND: kind}, _NO_SPAN)  # parts of what has one
        searches, fetches = usage.web_search_requests or 0, usage.web_fetch_requests or 0
        others = (usage.server_tools_executed or 0) - searches - fetches
        for kind, calls in (("web_search", searches), ("web_fetch", fetches), ("other", others)):
            if calls > 0:
                self._tools.add(calls, {**labels, names.TOOL_KIND: kind}, within)

    def _record_route(self, generation: Generation, before: Generation | None, labels: Labels, within: Context) -> None:
        if (before is None or not before.provider) and self._seen.see(generation):
            self._switches.add(1, labels, within)
        if before is not None and before.routing is not None and before.routing.attempts:
            return
        for attempt in generation.routing.attempts[:-1] if generation.routing is not None else ():
            failed = {names.UPSTREAM: attempt.provider or "unknown", names.HTTP_STATUS: attempt.status or 0}
            self._fallbacks.add(1, self._bounded_attempts({**labels, **failed}), within)

    def _record_savings(self, cost: Cost | None, before: Cost | None, labels: Labels, within: Context) -> None:
        known = (before.cache_discount if before is not None else None) or 0
        saved = ((cost.cache_discount if cost is not None else None) or known) - known
        if saved:
            self._savings.add(saved, labels, within)


def _within(span: SpanContext | None) -> Context:
    """Return the context of a call's span, which has ended by now; not of whatever span happens to be active."""
    if span is None or not span.trace_flags.sampled:
        return _NO_SPAN
    return set_span_in_context(NonRecordingSpan(span), _NO_SPAN)


def _is_unpriced(generation: Generation) -> bool:
    return not generation.failed and (generation.cost is None or generation.cost.total is None)


def _billed(cost: Cost | None) -> dict[str, float]:
    """Return the kinds of cost that add up to the total."""
    if cost is None or cost.charged is None or cost.total is None:
        return {}
    is_split = cost.is_byok and cost.upstream is not None
    return {"charged": cost.charged, **({"upstream": cost.upstream} if is_split else {})}  # type: ignore[dict-item]
