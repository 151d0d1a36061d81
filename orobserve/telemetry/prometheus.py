"""Our metrics for Prometheus to fetch: a meter provider in memory, what it tells, and a port where one is asked for.

Names and labels are those of OpenTelemetry's own exporter, which leaves out exemplars: here they lead to the trace. It
must not know what the metrics mean.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import threading
from bisect import bisect_left
from contextlib import suppress
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    Histogram,
    HistogramDataPoint,
    MetricReader,
    NumberDataPoint,
    PeriodicExportingMetricReader,
    Sum,
)
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Exemplar
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics import exposition as openmetrics

from orobserve.telemetry import providers
from orobserve.telemetry.port import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.metrics import Exemplar as SDKExemplar
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

_log = logging.getLogger("orobserve")
_OPENMETRICS, _PLAIN = "application/openmetrics-text", "text/plain; version=0.0.4; charset=utf-8"
_LONGEST = 1.0  # seconds that a fork waits for a scrape
_UNITS = {"s": "seconds"}
_ANNOTATION = re.compile(r"\{.*\}")  # `{call}` and the like, which is no unit
_NO_NAME = re.compile(r"[^a-zA-Z0-9]+")


class Provider(MeterProvider):
    """A meter provider whose metrics Prometheus fetches; they go over OTLP too where the environment says so.

    Attributes:
        registry: what is told; other collectors may join it.
        address: host and port where it listens by itself, or is to.
        is_up: whether that was tried in this process.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.address: tuple[str, int] | None = None
        self.is_up = True
        self._server: Server | None = None
        self._reader = _Reader()
        self.registry.register(_Collector(self._reader))
        readers: list[MetricReader] = [self._reader]
        if providers.endpoint_for("METRICS"):
            readers.append(PeriodicExportingMetricReader(providers.exporter_for("METRICS")()))
        super().__init__(readers)
        if hasattr(os, "register_at_fork"):
            # A fork in the midst of a scrape would leave the SDK's locks shut in the child, for good.
            os.register_at_fork(
                before=lambda: self._reader.lock.acquire(timeout=_LONGEST),
                after_in_parent=self._in_parent,
                after_in_child=self._in_child,
            )

    def answer(self, accept: str = "") -> tuple[bytes, str]:
        """Return the metrics and their content type, by the words of an `Accept` header; OpenMetrics has exemplars."""
        if _OPENMETRICS in accept:
            found: bytes = openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return found, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self.registry), _PLAIN

    def listen(self) -> None:
        """Answer at `address`. Where that is not possible, say so once."""
        self.is_up = True
        if self.address is None:
            return
        host, port = self.address
        try:
            self._server = Server(self.address, self.registry)
        except (OSError, UnicodeError, RuntimeError) as error:  # the last: no further thread
            _log.warning(
                "Prometheus cannot fetch the metrics of process %d: no listening on %s:%d (%s). One port serves one "
                "process: where there are several, give each a port of its own, or send metrics to a Collector "
                "(OTEL_EXPORTER_OTLP_ENDPOINT)",
                os.getpid(),
                host,
                port,
                error,
            )

    def leave(self) -> None:
        """Stop listening."""
        server, self._server, self.address = self._server, None, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _in_parent(self) -> None:
        with suppress(RuntimeError):  # it was not to be had in time
            self._reader.lock.release()

    def _in_child(self) -> None:
        """Leave the port to the parent: a child answers at its own first call, if the port is free then."""
        if self._server is not None:
            self._server.socket.close()
        self._server, self.is_up = None, self.address is None
        self._reader.lock = threading.RLock()


class _Reader(MetricReader):
    """Hands over what there is when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.RLock()
        self._data: MetricsData | None = None

    def take(self) -> MetricsData | None:
        with self.lock:
            self.collect()
            data, self._data = self._data, None
        return data

    def _receive_metrics(self, metrics_data: MetricsData, *_: Any, **__: Any) -> None:  # noqa: ANN401 - the SDK's
        self._data = metrics_data

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the SDK's
        """Do nothing: who collects uses up the exemplars."""
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ANN401
        """Do nothing."""


class _Collector:
    """What a registry of Prometheus' asks."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader

    def collect(self) -> Iterator[Family]:
        data = self._reader.take()
        for resource in data.resource_metrics if data is not None else ():
            target = Family("target", "Target metadata", "info")
            target.add_sample("target_info", _labels(resource.resource.attributes), 1)
            yield target
            yield from (_family(metric) for scope in resource.scope_metrics for metric in scope.metrics)


def _family(metric: Metric) -> Family:
    """Translate a metric."""
    data = metric.data
    is_counter = isinstance(data, Sum) and data.is_monotonic
    kind = "histogram" if isinstance(data, Histogram) else "counter" if is_counter else "gauge"
    unit = _ANNOTATION.sub("", metric.unit or "")
    family = Family(_NO_NAME.sub("_", metric.name), metric.description or "", kind, _UNITS.get(unit, unit))
    for point in data.data_points:
        labels = _labels(point.attributes)
        if isinstance(point, HistogramDataPoint):
            _add_histogram(family, labels, point)
        elif isinstance(point, NumberDataPoint):
            last = next((_exemplar(each) for each in reversed(point.exemplars) if each.trace_id), None)
            suffix, exemplar = ("_total", last) if is_counter else ("", None)
            family.add_sample(family.name + suffix, labels, point.value, exemplar=exemplar)
    return family


def _add_histogram(family: Family, labels: dict[str, str], point: HistogramDataPoint) -> None:
    bounds = [*point.explicit_bounds, math.inf]
    found = {bisect_left(bounds, each.value): _exemplar(each) for each in point.exemplars if each.trace_id}
    for place, (bound, count) in enumerate(zip(bounds, accumulate(point.bucket_counts), strict=True)):
        le = {**labels, "le": "+Inf" if bound == math.inf else repr(float(bound))}
        family.add_sample(f"{family.name}_bucket", le, count, exemplar=found.get(place))
    family.add_sample(f"{family.name}_count", labels, point.count)
    family.add_sample(f"{family.name}_sum", labels, point.sum)


def _exemplar(given: SDKExemplar) -> Exemplar:
    ids = {"trace_id": f"{given.trace_id:032x}", "span_id": f"{given.span_id:016x}"}
    return Exemplar(ids, given.value, given.time_unix_nano / 1e9)


def _labels(attributes: Mapping[str, Any] | None) -> dict[str, str]:
    return {
        _NO_NAME.sub("_", name): value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in (attributes or {}).items()
    }
