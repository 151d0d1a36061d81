"""Where spans and metrics go: the application's own providers, or ones made from the standard `OTEL_*` variables.

An existing provider is used and never replaced. Ours are made at the first call, so that an application that sets its
own after `instrument()` still comes first; nothing is made when no endpoint is named.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import _internal as _metrics_internal

from orobserve.config_values import port
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROTOCOLS = {"http/protobuf": "http", "grpc": "grpc"}
_PROMETHEUS = 9464  # the port that OpenTelemetry gives it


def has_tracer_provider() -> bool:
    """Tell whether the application has set a provider."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def has_meter_provider() -> bool:
    """Tell whether the application has set a provider; asked for every call, so it costs no look at the environment."""
    return _metrics_internal._METER_PROVIDER is not None  # noqa: SLF001 - get_meter_provider() hides it behind a proxy


def endpoint_for(signal: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the environment sends a signal (`TRACES`, `METRICS`) anywhere over OTLP.

    Raises:
        ConfigurationError: it asks for a protocol that is not installed.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporters = _exporters(signal, environ)
    variable = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    if not (environ.get(variable) or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "otlp" in exporters):
        return False
    if exporters and "otlp" not in exporters:
        return False
    _protocol(signal, environ)
    return True


def port_for_prometheus(environ: Mapping[str, str] = os.environ) -> tuple[str, int] | None:
    """Return host and port where the standard variables say that Prometheus fetches metrics, or None.

    Raises:
        ConfigurationError: the port is none.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if "prometheus" not in _exporters("METRICS", environ):
        return None
    name = "OTEL_EXPORTER_PROMETHEUS_PORT"
    return environ.get("OTEL_EXPORTER_PROMETHEUS_HOST") or "localhost", port(name, environ.get(name) or _PROMETHEUS)


def _exporters(signal: str, environ: Mapping[str, str]) -> set[str]:
    listed = environ.get(f"OTEL_{signal}_EXPORTER", "").lower().split(",")
    return {name.strip() for name in listed} - {""}


def _protocol(signal: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the variable that names the protocol, and the protocol."""
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environ.get(name, "").strip().lower()
        if protocol and protocol not in _PROTOCOLS:
            raise ConfigurationError(
                name, protocol, allowed=" or ".join(_PROTOCOLS), fix=f"set {name}=http/protobuf and use port 4318"
            )
        if protocol:
            return name, protocol
    return "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"


def exporter_for(signal: str, environ: Mapping[str, str] = os.environ) -> Any:  # noqa: ANN401 - of several packages
    """Return the OTLP exporter class of a signal (`TRACES`, `METRICS`), for the protocol that the environment names.

    Raises:
        ConfigurationError: the protocol is not known, or its exporter is not installed.
    """
    name, protocol = _protocol(signal, environ)
    kind = "trace" if signal == "TRACES" else "metric"
    try:
        module = importlib.import_module(f"opentelemetry.exporter.otlp.proto.{_PROTOCOLS[protocol]}.{kind}_exporter")
    except ImportError:
        raise ConfigurationError(
            name,
            protocol,
            allowed="http/protobuf, and grpc where its exporter is installed",
            fix=f"set {name}=http/protobuf and use port 4318, or pip install opentelemetry-exporter-otlp-proto-grpc",
        ) from None
    return module.OTLPSpanExporter if signal == "TRACES" else module.OTLPMetricExporter


def set_tracer_provider() -> None:
    """Make the application's tracer provider from the environment."""
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - only where an endpoint is named
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    made = TracerProvider()
    made.add_span_processor(BatchSpanProcessor(exporter_for("TRACES")()))
    trace.set_tracer_provider(made)


def set_meter_provider() -> None:
    """Make the application's meter provider from the environment."""
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415 - only where an endpoint is named
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415

    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(exporter_for("METRICS")())]))
