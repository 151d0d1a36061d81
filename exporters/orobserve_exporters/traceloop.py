"""Traceloop: OpenLLMetry's back end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._details import metadata
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes


class Traceloop(GenAIExporter):
    """Generations by the semantic conventions, named parents as workflows."""

    TYPE = "traceloop"
    TITLE = "Traceloop"
    FIELDS = (
        Field(name="api_key", help="API key", required=True, secret=True, env=("TRACELOOP_API_KEY",)),
        Field(name="base_url", help="address", default="https://api.traceloop.com", env=("TRACELOOP_BASE_URL",)),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self.config['api_key']}"}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions and Traceloop's own."""
        return {**super().attributes(generation), **_associations(generation)}

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return the workflow."""
        kind = {"traceloop.span.kind": "workflow", "traceloop.entity.name": name}
        return {**super().parent_attributes(generation, name), **kind, **_associations(generation)}


def _associations(generation: Generation) -> Attributes:
    request = generation.request
    found = {**metadata(generation), "user_id": request.user, "session_id": request.session_id}
    return {f"traceloop.association.properties.{key}": value for key, value in found.items()}
