"""MLflow's tracking server: traces of an experiment."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from orobserve.delivery import Field
from orobserve_exporters._figures import split_cost
from orobserve_exporters._gen_ai import GenAIExporter
from orobserve_exporters._messages import completion, prompt

if TYPE_CHECKING:
    from orobserve.generation import Cost, Generation
    from orobserve_exporters._otlp import Attributes


class MLflow(GenAIExporter):
    """Spans by the semantic conventions, with messages and cost by MLflow's own names."""

    TYPE = "mlflow"
    TITLE = "MLflow"
    FIELDS = (
        Field(
            name="base_url",
            help="address of the tracking server",
            default="http://localhost:5000",
            env=("MLFLOW_TRACKING_URI",),
        ),
        Field(name="experiment_id", help="id of the experiment", default="0", env=("MLFLOW_EXPERIMENT_ID",)),
        Field(name="token", help="bearer token, if needed", secret=True, env=("MLFLOW_TRACKING_TOKEN",)),
        Field(name="username", help="user name, if needed", env=("MLFLOW_TRACKING_USERNAME",)),
        Field(name="password", help="password, if needed", secret=True, env=("MLFLOW_TRACKING_PASSWORD",)),
        *GenAIExporter.FIELDS,
    )

    def headers(self) -> dict[str, str]:
        """Return the experiment, and the credentials where there are any."""
        token, username, found = self.config["token"], self.config["username"], {}
        if token:
            found["Authorization"] = f"Bearer {token}"
        elif username:
            pair = f"{username}:{self.config['password'] or ''}"
            found["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        return {"x-mlflow-experiment-id": str(self.config["experiment_id"]), **found}

    def attributes(self, generation: Generation) -> Attributes:
        """Return the attributes of the conventions and MLflow's own."""
        return {**super().attributes(generation), **_values(generation), "mlflow.llm.cost": _cost(generation.cost)}

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return user, session, metadata, and what was asked and answered."""
        return {**super().parent_attributes(generation, name), **_values(generation)}


def _values(generation: Generation) -> Attributes:
    content = generation.content
    if content is None:
        return {}
    return {
        "mlflow.spanInputs": {"messages": prompt(content)},
        "mlflow.spanOutputs": {"choices": [{"index": n, "message": m} for n, m in enumerate(completion(content))]},
    }


def _cost(cost: Cost | None) -> dict[str, float] | None:
    if cost is None or cost.total is None:
        return None
    given, taken = split_cost(cost) or (None, None)
    split = {} if given is None or taken is None else {"input_cost": given, "output_cost": taken}
    return {**split, "total_cost": cost.total}
