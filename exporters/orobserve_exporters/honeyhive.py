"""HoneyHive: events of the type `model`, described by attributes of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._details import facts, metadata, model, parameters
from orobserve_exporters._gen_ai import GenAIExporter
from orobserve_exporters._messages import completion, prompt

if TYPE_CHECKING:
    from orobserve.generation import Generation
    from orobserve_exporters._otlp import Attributes


class HoneyHive(GenAIExporter):
    """Generations as model events, named parents as chains."""

    TYPE = "honeyhive"
    TITLE = "HoneyHive"
    JSON = True
    PATH = "/opentelemetry/v1/traces"
    FIELDS = (
        Field(name="api_key", help="API key of the project", required=True, secret=True, env=("HH_API_KEY",)),
        Field(name="project", help="name of the project", required=True, env=("HH_PROJECT",)),
        Field(name="source", help="where the events come from", default="orobserve", env=("HH_SOURCE",)),
        Field(
            name="base_url",
            help="address, or that of the data plane",
            default="https://api.honeyhive.ai",
            env=("HH_API_URL",),
        ),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the key."""
        return {"Authorization": f"Bearer {self.config['api_key']}"}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the event; costs in USD."""
        content, cost = generation.content, generation.cost
        return {
            **super().attributes(generation),
            **self._event(generation, "model"),
            "honeyhive_inputs": content and {"chat_history": prompt(content)},
            "honeyhive_outputs": content and {"messages": completion(content)},
            "honeyhive_config": {"model": model(generation), "provider": generation.provider, **parameters(generation)},
            "honeyhive_metadata": {**facts(generation), **metadata(generation)} or None,
            "honeyhive_metrics": {"cost": cost.total} if cost and cost.total is not None else None,
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return the event without model, tokens and cost."""
        custom = {"honeyhive_metadata": metadata(generation) or None}
        return {**super().parent_attributes(generation, name), **self._event(generation, "chain"), **custom}

    def _event(self, generation: Generation, kind: str) -> Attributes:
        user = generation.request.user
        return {
            "honeyhive_event_type": kind,
            "honeyhive.project": self.config["project"],
            "honeyhive.source": self.config["source"],
            "honeyhive.session_id": generation.request.session_id,
            "honeyhive_user_properties": {"user_id": user} if user else None,
        }
