"""New Relic. It stores no value of more than 4,095 characters, and no request of more than 1 MB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field, Limits
from orobserve_exporters._broadcast import BroadcastExporter

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes

_HOSTS = {
    "us": "https://otlp.nr-data.net",
    "eu": "https://otlp.eu01.nr-data.net",
    "gov": "https://gov-otlp.nr-data.net",
}
_VALUE_LIMIT, _NAME_LIMIT, _LIST_LIMIT = 4095, 255, 64  # characters, characters, items


class NewRelic(BroadcastExporter):
    """A text that was cut is marked by an attribute of its own: `<name>.truncated`."""

    TYPE = "newrelic"
    TITLE = "New Relic"
    LIMITS = Limits(bytes=1_000_000)
    FIELDS = (
        Field(
            name="license_key",
            help="ingest license key",
            required=True,
            secret=True,
            env=("NEW_RELIC_LICENSE_KEY",),
        ),
        Field(name="region", help="where the account is", default="us", choices=tuple(_HOSTS)),
        *BroadcastExporter.FIELDS,
    )

    def url(self) -> str:
        """Return the endpoint of the region."""
        return f"{_HOSTS[self.config['region']]}/v1/traces"

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"api-key": self.config["license_key"]}

    def attributes(self, generation: Generation) -> Attributes:
        """Keep within the limits."""
        return _fit(super().attributes(generation))

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Keep within the limits."""
        return _fit(super().parent_attributes(generation, name))


def _fit(attributes: Attributes) -> Attributes:
    found: Attributes = {}
    for name, value in attributes.items():
        key = name[:_NAME_LIMIT]
        found[key] = _cut(value)
        if isinstance(value, str) and len(value) > _VALUE_LIMIT:
            found[f"{key}.truncated"[:_NAME_LIMIT]] = True
    return found


def _cut(value: Any) -> Any:  # noqa: ANN401 - an attribute's value
    if isinstance(value, str):
        return value[:_VALUE_LIMIT]
    if isinstance(value, (list, tuple)):
        return [_cut(item) for item in value[:_LIST_LIMIT]]
    return value
