"""Respan (Keywords AI before): customers, threads and metadata by attributes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._details import metadata
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes


class Respan(GenAIExporter):
    """Spans by the semantic conventions, as JSON."""

    TYPE = "respan"
    TITLE = "Respan"
    JSON = True
    PATH = "/v2/traces"
    FIELDS = (
        Field(name="api_key", help="API key", required=True, secret=True, env=("RESPAN_API_KEY",)),
        Field(name="base_url", help="address", default="https://api.respan.ai/api", env=("RESPAN_BASE_URL",)),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self.config['api_key']}"}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions and Respan's own."""
        return {**super().attributes(generation), **_identity(generation)}

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return user, session and metadata."""
        return {**super().parent_attributes(generation, name), **_identity(generation)}


def _identity(generation: Generation) -> Attributes:
    return {
        "respan.customer_params.customer_identifier": generation.request.user,
        "respan.threads.thread_identifier": generation.request.session_id,
        **{f"respan.metadata.{key}": value for key, value in metadata(generation).items()},
    }
