"""OTLP destinations that have a base address, of which users give more or less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from orobserve_exporters._otlp import OTLPExporter

if TYPE_CHECKING:
    from collections.abc import Mapping


class AddressedExporter(OTLPExporter):
    """An OTLP destination whose field `base_url` is its address up to `PATH`."""

    PATH: ClassVar[str] = "/v1/traces"

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        self._url = endpoint(config["base_url"], self.PATH)

    def url(self) -> str:
        """Return the address of the traces endpoint."""
        return self._url


def endpoint(base: str, path: str) -> str:
    """Return the base address with a path; what the base already holds of it is not said twice.

    Raises:
        ValueError: the base is no HTTP address.
    """
    found = urlsplit(base)
    if found.scheme not in {"http", "https"} or not found.hostname:
        raise ValueError(f"base_url must be a full address, such as https://host.example.com{path}")
    base, segments = base.rstrip("/"), path.split("/")
    for size in range(len(segments), 1, -1):
        head = "/".join(segments[:size])
        if base.endswith(head):
            return base.removesuffix(head) + path
    return base + path
