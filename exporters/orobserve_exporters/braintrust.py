"""Braintrust: a generation as a span of the type `llm`, in `braintrust.*` attributes, which override everything else.

The trace view shows `estimated_cost` as it is. The stock "Total LLM cost" monitor prices calls itself, by an exact
match of `metadata.model` with its registry: that is why the model stands there without its vendor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from orobserve.delivery import Field, HTTPRequest, Result, Verdict
from orobserve_exporters._details import facts, metadata, model, parameters, tags
from orobserve_exporters._figures import total_tokens
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import OTLPExporter, as_json, endpoint, sent_headers

if TYPE_CHECKING:
    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Generation, Json
    from orobserve_exporters._otlp import Attributes

# How Braintrust names a place to log to, and where it can be looked up.
_PLACES = {
    "project_id": "v1/project/{}",
    "project_name": "v1/project?limit=1&project_name={}",
    "experiment_id": "v1/experiment/{}",
}
_METRICS = frozenset({"cost_usd", "time_to_first_token"})


class Braintrust(OTLPExporter):
    """Braintrust, cloud or a data plane of one's own."""

    TYPE = "braintrust"
    TITLE = "Braintrust"
    FIELDS = (
        Field(name="api_key", help="sk-...", required=True, secret=True, env=("BRAINTRUST_API_KEY",)),
        Field(
            name="project_id",
            help="id of the project, or project_name:<name>, or experiment_id:<id>",
            required=True,
            env=("BRAINTRUST_PROJECT_ID", "BRAINTRUST_PARENT"),
        ),
        Field(
            name="base_url",
            help="https://api.braintrust.dev, https://api-eu.braintrust.dev, or your data plane",
            default="https://api.braintrust.dev",
            env=("BRAINTRUST_API_URL",),
        ),
        *OTLPExporter.FIELDS,
    )

    def url(self) -> str:
        """Return the traces endpoint."""
        return endpoint(self._base, "/otel/v1/traces")

    def headers(self) -> dict[str, str]:
        """Return the key and the place to log to."""
        return {**self._credentials, "x-bt-parent": ":".join(self._place)}

    @property
    def _base(self) -> str:
        return str(self.config["base_url"]).rstrip("/")

    @property
    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.config['api_key']}"}

    @property
    def _place(self) -> tuple[str, str]:
        kind, _, name = str(self.config["project_id"]).partition(":")
        return (kind, name) if name and kind in _PLACES else ("project_id", self.config["project_id"])

    def attributes(self, generation: Generation) -> Attributes:
        """Return a span of the type `llm`; the only one with metrics, since Braintrust adds them up."""
        slug, tools = model(generation), generation.content.tools if generation.content else ()
        known = {
            **metadata(generation),
            **parameters(generation),
            **{key: value for key, value in facts(generation).items() if key not in _METRICS},
            **_who(generation),
            "model": slug.rpartition("/")[2] if slug else None,
            "openrouter_model": slug,
            "tools": list(tools) or None,
        }
        return {
            "braintrust.span_attributes": as_json({"type": "llm", "name": self.span_name(generation)}),
            **_said(generation),
            "braintrust.metadata": as_json({key: value for key, value in known.items() if value is not None}),
            "braintrust.metrics": _metrics(generation),
            "braintrust.tags": tags(generation),
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return a span of the type `task`."""
        known = {**metadata(generation), **_who(generation)}
        return {
            "braintrust.span_attributes": as_json({"type": "task", "name": name}),
            **_said(generation),
            "braintrust.metadata": as_json(known) if known else None,
            "braintrust.tags": tags(generation),
        }

    def probe(self) -> HTTPRequest:
        """Return a look at the place to log to, which proves both the key and the place."""
        kind, name = self._place
        address = f"{self._base}/{_PLACES[kind].format(quote(name, safe=''))}"
        return HTTPRequest(url=address, method="GET", headers=sent_headers(self, self._credentials))

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the key opens the place to log to."""
        result = super().judge_probe(response)
        if result.verdict is Verdict.DELIVERED and b'"objects":[]' in response.body.replace(b" ", b""):
            return Result(verdict=Verdict.REJECTED, reason="there is no such project: check project_id")
        hint = {401: "check api_key", 403: "check api_key and project_id", 404: "check project_id, then base_url"}
        found = hint.get(response.status)
        return Result(verdict=result.verdict, reason=f"{result.reason}: {found}") if found else result


def _who(generation: Generation) -> dict[str, Json]:
    found = {"user_id": generation.request.user, "session_id": generation.request.session_id}
    return {key: value for key, value in found.items() if value is not None}


def _said(generation: Generation) -> Attributes:
    content = generation.content
    asked, answers = (prompt(content), completion(content)) if content else ([], [])
    return {
        "braintrust.input_json": as_json(asked) if asked else None,
        "braintrust.output_json": as_json(answers) if answers else None,
    }


def _metrics(generation: Generation) -> str | None:
    """Return inclusive token counts, seconds to the first token, and USD; what is unknown is not there."""
    usage, cost = generation.usage, generation.cost
    given, taken = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
    found = {
        "prompt_tokens": given,
        "completion_tokens": taken,
        "tokens": usage and total_tokens(usage),
        "prompt_cached_tokens": usage and usage.cache_read_input_tokens,
        "prompt_cache_creation_tokens": usage and usage.cache_write_input_tokens,
        "completion_reasoning_tokens": usage and usage.reasoning_output_tokens,
        "time_to_first_token": generation.timing.time_to_first_chunk,
        "estimated_cost": cost and cost.total,
    }
    metrics = {name: value for name, value in found.items() if value is not None}
    return as_json(metrics) if metrics else None
