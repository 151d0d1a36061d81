"""The metrics of every call: few labels, all of bounded variety. Recorded before any sampling, so sums are true."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from opentelemetry.metrics import Observation

from orobserve._version import __version__
from orobserve.telemetry import names
from orobserve.telemetry.conventions import Next, Standard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from opentelemetry.metrics import Meter, MeterProvider
    from opentelemetry.util.types import AttributeValue

    from orobserve.config import Config
    from orobserve.generation import Budget, Generation, Usage


class Delivery(Protocol):
    """How a destination is doing."""

    @property
    def name(self) -> str:
        """As the user calls it."""

    @property
    def delivered(self) -> int:
        """How many records it has got."""

    @property
    def queued(self) -> int:
        """How many wait."""

    @property
    def deferred(self) -> int:
        """How often one was put off, and kept in the ledger."""


OTHER = "_other"
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


class Cap:
    """Keeps a label's variety bounded: names come from users and, worse, from models that make them up."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, value: str) -> str:
        """Return the value, or `_other` once there are too many."""
        if value in self._known:
            return value
        with self._lock:
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(value)
        return value


class Metrics:
    """The instruments."""

    def __init__(
        self,
        provider: MeterProvider,
        config: Config,
        *,
        held: Callable[[], int] = lambda: 0,
        budgets: Callable[[], Sequence[Budget]] | None = None,
        deliveries: Callable[[], Sequence[Delivery]] = list,
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
        self._config = config
        self._cap = Cap(config.model_limit)
        self._cap_provider = Cap(config.model_limit)
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
        self._details = meter.create_counter(
            "openrouter.client.token.details", "{token}", "Subsets of the token counts, not additive with them"
        )
        self._cache = meter.create_counter("openrouter.client.response_cache", "{request}", "Response cache results")
        self._fallbacks = meter.create_counter("openrouter.client.fallbacks", "{attempt}", "Attempts that failed")
        self._tools = meter.create_counter("openrouter.client.server_tool.calls", "{call}", "Server tool calls")
        self._dropped = meter.create_counter("orobserve.dropped", "{item}", "What orobserve itself has lost")
        self._savings = meter.create_up_down_counter(
            "openrouter.client.prompt_cache.savings", "USD", "What the providers' prompt caches saved, less surcharges"
        )
        self._lookups = meter.create_counter("orobserve.enrichment.lookups", "{lookup}", "Records looked for")
        self._lookup_duration = meter.create_histogram(
            "orobserve.enrichment.duration",
            "s",
            "Time from the end of a call to its record, or to giving up",
            explicit_bucket_boundaries_advisory=LOOKUP_BUCKETS,
        )
        meter.create_observable_gauge(
            "orobserve.enrichment.pending",
            [lambda _options: [Observation(held())]],
            "{span}",
            "Spans that wait for their record",
        )
        _observe_deliveries(meter, deliveries)
        if budgets is not None:
            _observe_budgets(meter, budgets)
        self._active = meter.create_up_down_counter(
            "openrouter.client.active_requests", "{request}", "Calls in flight, streams included"
        )

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

    def record(self, generation: Generation, *, standard: bool = True) -> None:
        """Record a finished call, once, with what is known when its span ends.

        Args:
            generation: the call.
            standard: also the `gen_ai.*` metrics, which another instrumentation may have recorded already.
        """
        labels = self._labels(generation)
        if standard:
            for family in self._families:
                family.record(generation, labels, self._upstream(generation))
            if self._next and generation.operation in _INFERENCE:
                self._next.record(generation, labels)
        self._record_cost(generation, labels)
        if generation.usage is not None:
            self._record_usage(generation.usage, labels)
        if generation.cache is not None and generation.cache.status:
            self._cache.add(1, {**labels, names.RESPONSE_CACHE_STATUS: generation.cache.status})
        self._record_attempts(generation, labels)
        self._record_savings(generation, labels)

    def complete(self, before: Generation, after: Generation) -> None:
        """Record of a finished call what was not known when its span ended; nothing is recorded twice."""
        labels = self._labels(after)
        if before.cost is None or before.cost.total is None:
            self._record_cost(after, labels)
        if before.usage is None and after.usage is not None:
            for family in self._families:
                family.record_tokens(after.usage, labels)
            self._record_usage(after.usage, labels)
        if before.routing is None or not before.routing.attempts:
            self._record_attempts(after, labels)
        self._record_savings(after, labels)

    def _record_attempts(self, generation: Generation, labels: dict[str, AttributeValue]) -> None:
        for attempt in generation.routing.attempts[:-1] if generation.routing is not None else ():
            provider = self._cap_provider(attempt.provider or "unknown")
            self._fallbacks.add(1, {**labels, names.UPSTREAM: provider, names.HTTP_STATUS: attempt.status or 0})

    def _record_savings(self, generation: Generation, labels: dict[str, AttributeValue]) -> None:
        saved = generation.cost.cache_discount if generation.cost is not None else None
        if saved:
            self._savings.add(saved, {**labels, **self._upstream(generation)})

    def _labels(self, generation: Generation) -> dict[str, AttributeValue]:
        labels: dict[str, AttributeValue] = {
            names.OPERATION_NAME: generation.operation,
            names.PROVIDER_NAME: names.PROVIDER,
            names.SERVER_ADDRESS: generation.server_address,
            names.SERVER_PORT: generation.server_port,
        }
        if generation.request.model:
            labels[names.REQUEST_MODEL] = self._cap(generation.request.model)
        if generation.model:
            labels[names.RESPONSE_MODEL] = self._cap(generation.model)
        if generation.error is not None:
            labels[names.ERROR_TYPE] = generation.error.type
        return labels

    def _upstream(self, generation: Generation) -> dict[str, AttributeValue]:
        return {names.UPSTREAM: self._cap_provider(generation.provider)} if generation.provider else {}

    def _record_cost(self, generation: Generation, labels: dict[str, AttributeValue]) -> None:
        cost = generation.cost
        if cost is None or cost.charged is None or cost.total is None:
            return
        labels = {**labels, **self._upstream(generation)}
        if self._cost_per_call is not None:
            self._cost_per_call.record(cost.total, labels)
        if cost.is_byok is not None:
            labels[names.BYOK] = cost.is_byok
        self._cost.add(cost.charged, {**labels, names.COST_KIND: "charged"})
        if cost.is_byok and cost.upstream is not None:
            self._cost.add(cost.upstream, {**labels, names.COST_KIND: "upstream"})

    def _record_usage(self, usage: Usage, labels: dict[str, AttributeValue]) -> None:
        for field, kind in _KINDS.items():
            tokens = getattr(usage, field)
            if tokens:
                self._details.add(tokens, {**labels, names.TOKEN_KIND: kind})
        searches, fetches = usage.web_search_requests or 0, usage.web_fetch_requests or 0
        others = (usage.server_tools_executed or 0) - searches - fetches
        for kind, calls in (("web_search", searches), ("web_fetch", fetches), ("other", others)):
            if calls > 0:
                self._tools.add(calls, {**labels, names.TOOL_KIND: kind})


def _observe_deliveries(meter: Meter, deliveries: Callable[[], Sequence[Delivery]]) -> None:
    def delivered(_options: object) -> Iterator[Observation]:
        return (Observation(each.delivered, {"destination": each.name}) for each in deliveries())

    def queued(_options: object) -> Iterator[Observation]:
        return (Observation(each.queued, {"destination": each.name}) for each in deliveries())

    def deferred(_options: object) -> Iterator[Observation]:
        return (Observation(each.deferred, {"destination": each.name}) for each in deliveries())

    meter.create_observable_counter("orobserve.delivery.delivered", [delivered], "{generation}", "Records delivered")
    meter.create_observable_counter("orobserve.delivery.deferred", [deferred], "{generation}", "Records put off")
    meter.create_observable_gauge("orobserve.delivery.queued", [queued], "{generation}", "Records that wait to be sent")


def _observe_budgets(meter: Meter, budgets: Callable[[], Sequence[Budget]]) -> None:
    def remaining(_options: object) -> Iterator[Observation]:
        for budget in budgets():
            if budget.remaining is not None:
                yield Observation(budget.remaining, {names.KEY_LABEL: budget.label, names.KEY_PERIOD: budget.period})

    def usage(_options: object) -> Iterator[Observation]:
        for budget in budgets():
            for period, spent in budget.usage.items():
                yield Observation(spent, {names.KEY_LABEL: budget.label, names.KEY_PERIOD: period})

    meter.create_observable_gauge("openrouter.key.limit_remaining", [remaining], "USD", "What a key may still spend")
    meter.create_observable_gauge("openrouter.key.usage", [usage], "USD", "What a key has spent")
