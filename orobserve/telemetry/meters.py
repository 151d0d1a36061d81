"""Which meter provider our metrics are recorded with: the user's, one for Prometheus, or what the environment says."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING

from opentelemetry import metrics

from orobserve._guard import guard
from orobserve.errors import ConfigurationError
from orobserve.telemetry import providers

if TYPE_CHECKING:
    from types import ModuleType

    from opentelemetry.metrics import MeterProvider

    from orobserve.config import Config
    from orobserve.telemetry.prometheus import Provider

    Address = tuple[str, int]

_log = logging.getLogger("orobserve")
_BUDGET = 2000  # milliseconds for what is still to be sent over OTLP
_TWO = (
    "prometheus_port=%d serves our metrics, and the application's own MeterProvider does not get them. To have them "
    "there, leave out prometheus_port, and give it a PrometheusMetricReader of opentelemetry-exporter-prometheus"
)


class Meters:
    """Finds the provider when it is first needed; only a port that the settings name is opened before.

    Attributes:
        served: what Prometheus fetches from a port of this process, if there is one.
    """

    def __init__(self, settings: Config, before: Meters | None = None) -> None:
        """Open the port for Prometheus, if there is to be one.

        Args:
            settings: the settings.
            before: who did this until now: a port that stays the same stays open, with what was counted.

        Raises:
            ConfigurationError: the settings contradict each other, or a package is missing.
        """
        metrics.get_meter_provider()  # loads what OTEL_PYTHON_METER_PROVIDER names
        self._given: MeterProvider | None = settings.meter_provider
        self._later: Address | None = None
        self._exports = False
        address = None if settings.prometheus_port is None else (settings.prometheus_host, settings.prometheus_port)
        self.served = before.release(address if self._given is None else None) if before is not None else None
        if address is not None and self.served is None:
            self._serve(address)
        elif address is None and self._given is None and not providers.has_meter_provider():
            self._later = _of_environment()
            self._exports = self._later is None and providers.endpoint_for("METRICS")
            if self._exports:
                providers.exporter_for("METRICS")  # imported at set-up rather than in the first call

    def find(self) -> MeterProvider | None:
        """Return the provider, or None while nobody has set one up: the application may still do so."""
        if self._given is None and self.served is None and not providers.has_meter_provider():
            if self._later is not None:
                self._serve(self._later)
            elif self._exports:
                providers.set_meter_provider()
            else:
                return None
        return self._given or self.served or metrics.get_meter_provider()

    def wake(self) -> None:
        """Listen in a forked child too, if the parent has left the port."""
        if self.served is not None and not self.served.is_up:
            self.served.listen()

    def release(self, wanted: Address | None = None) -> Provider | None:
        """Hand over what is served at the wanted address; what is served anywhere else ends."""
        served, self.served, self._later = self.served, None, None
        if served is None or (wanted is not None and served.address == wanted):
            return served
        served.leave()
        if self._given is None:
            with guard:
                served.shutdown(_BUDGET)
        return None

    def _serve(self, address: Address) -> None:
        prometheus = _prometheus(address[1])
        if self._given is None:
            if providers.has_meter_provider():
                _log.warning(_TWO, address[1])
            self.served = prometheus.Provider()
        elif isinstance(self._given, prometheus.Provider):
            self.served = self._given
        else:
            fix = "leave out one of them; the provider can have a PrometheusMetricReader of its own"
            raise ConfigurationError("prometheus_port", address[1], allowed="nothing beside meter_provider", fix=fix)
        self.served.address = address
        self.served.listen()


def _prometheus(port: int) -> ModuleType:
    try:
        return import_module("orobserve.telemetry.prometheus")
    except ModuleNotFoundError as error:
        allowed, fix = f"a Python with {error.name}", "pip install 'orobserve[prometheus]'"
        raise ConfigurationError("prometheus_port", port, allowed=allowed, fix=fix) from None


def _of_environment() -> Address | None:
    """Return the port for Prometheus that the standard variables name, if it can be had."""
    address = providers.port_for_prometheus()
    if address is not None:
        try:
            _prometheus(address[1])
        except ConfigurationError as error:
            _log.warning("OTEL_METRICS_EXPORTER=prometheus: %s", error)
            return None
    return address
