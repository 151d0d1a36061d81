"""Where the proxy's metrics are: in memory for Prometheus to fetch, and over OTLP where the environment says so."""

from __future__ import annotations

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader

from orobserve.telemetry import providers


def meter_provider() -> MeterProvider:
    """Return a new provider. Prometheus' own registry holds it for as long as the process lives."""
    readers: list[MetricReader] = [PrometheusMetricReader()]
    if providers.endpoint_for("METRICS"):
        readers.append(PeriodicExportingMetricReader(providers.exporter_for("METRICS")()))
    return MeterProvider(readers)
