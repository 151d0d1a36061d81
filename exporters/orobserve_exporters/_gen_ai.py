"""OTLP destinations that read the semantic conventions of generative AI, some with a few attributes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.telemetry import names
from orobserve_exporters._address import AddressedExporter
from orobserve_exporters._broadcast import own_attributes
from orobserve_exporters._details import metadata
from orobserve_exporters._figures import split_cost

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes


class GenAIExporter(AddressedExporter):
    """What the application's own spans carry, and the cost by the names of OpenRouter's Broadcast too."""

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions."""
        return {**own_attributes(generation), **costs(generation)}

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return user, session and custom metadata."""
        custom = {f"{names.METADATA_PREFIX}{key}": value for key, value in metadata(generation).items()}
        return {**super().parent_attributes(generation, name), **custom}


def costs(generation: Generation) -> Attributes:
    """Return the cost in USD: the total, and its parts where they add up."""
    cost = generation.cost
    given, taken = (cost and split_cost(cost)) or (None, None)
    return {
        "gen_ai.usage.total_cost": cost and cost.total,
        "gen_ai.usage.input_cost": given,
        "gen_ai.usage.output_cost": taken,
    }
