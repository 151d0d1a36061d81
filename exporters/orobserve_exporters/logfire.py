"""Pydantic Logfire: the semantic conventions, and a cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._gen_ai import GenAIExporter

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes


class Logfire(GenAIExporter):
    """Spans of a Logfire project."""

    TYPE = "logfire"
    TITLE = "Pydantic Logfire"
    FIELDS = (
        Field(name="token", help="write token of the project", required=True, secret=True, env=("LOGFIRE_TOKEN",)),
        Field(
            name="base_url",
            help="address; in the EU https://logfire-eu.pydantic.dev",
            default="https://logfire-us.pydantic.dev",
            env=("LOGFIRE_BASE_URL",),
        ),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the token, without a scheme."""
        return {"Authorization": self.config["token"]}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions and the cost in USD."""
        cost = generation.cost
        return {**super().attributes(generation), "operation.cost": cost and cost.total}
