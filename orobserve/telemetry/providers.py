"""Where spans and metrics go: the application's own providers, or ones made from the standard `OTEL_*` variables.

An existing provider is used and never replaced. Ours are made at the first call, so that an application that sets its
own after `instrument()` still comes first; nothing is made when no endpoint is named.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace

from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROTOCOL = "http/protobuf"


def has_tracer_provider() -> bool:
    """Tell whether the application has set a provider."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def has_meter_provider() -> bool:
    """Tell whether the application has set a provider."""
    return type(metrics.get_meter_provider()).__name__ != "_ProxyMeterProvider"


def endpoint_for(signal: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment sends a signal (`TRACES`, `METRICS`) anywhere over OTLP.

    Raises:
        ConfigurationError: it asks for a protocol that is not installed.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = environ.get(f"OTEL_{signal}_EXPORTER", "").strip().lower()
    variable = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    if not (environ.get(variable) or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")) and exporters != "otlp":
        return False
    if exporters not in {"", "otlp"}:
        return False
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(name, "").strip().lower()
        if protocol:
            if protocol != _PROTOCOL:
                raise ConfigurationError(
                    name,
                    protocol,
                    allowed=_PROTOCOL,
                    fix=f"set {name}={_PROTOCOL} (port 4318), or set up a tracer provider with another exporter first",
                )
            break
    return True


def import_exporters() -> None:
    """Import what the two functions below need: at set-up rather than in the first call."""
    import opentelemetry.exporter.otlp.proto.http.metric_exporter  # noqa: PLC0415 - only where an endpoint is named
    import opentelemetry.exporter.otlp.proto.http.trace_exporter  # noqa: F401, PLC0415


def set_tracer_provider() -> None:
    """Make the application's tracer provider from the environment."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)


def set_meter_provider() -> None:
    """Make the application's meter provider from the environment."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
