"""SigNoz, in the cloud or of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes


class SigNoz(GenAIExporter):
    """Spans by the semantic conventions."""

    TYPE = "signoz"
    TITLE = "SigNoz"
    FIELDS = (
        Field(name="api_key", help="ingestion key, for the cloud", secret=True, env=("SIGNOZ_INGESTION_KEY",)),
        Field(name="region", help="the cloud's region, such as us, eu or in", default="us"),
        Field(name="base_url", help="address of a server of one's own, such as http://localhost:4318"),
        *GenAIExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: neither a key for the cloud nor the address of a server.
        """
        if not config["base_url"] and not config["api_key"]:
            raise ValueError(
                "set api_key (or SIGNOZ_INGESTION_KEY) for the cloud, or base_url for a server of your own"
            )
        cloud = f"https://ingest.{config['region']}.signoz.cloud:443"
        super().__init__({**config, "base_url": config["base_url"] or cloud})

    def headers(self) -> dict[str, str]:
        """Return the key, if there is one."""
        key = self.config["api_key"]
        return {"signoz-ingestion-key": key} if key else {}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions, and the time to the first token in seconds."""
        return {**super().attributes(generation), "gen_ai.server.ttft": generation.timing.time_to_first_chunk}
