"""LangSmith: a generation as a run. Its OTLP route answers before it looks: a mistake here shows only in the product.

Token details and the cost travel in `langsmith.usage_metadata`, which replaces the flat counts. LangSmith drops a run
whose parent it never receives: only named parents, which are sent, are kept as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orobserve.delivery import Field, HTTPRequest, Result
from orobserve_exporters._details import facts, metadata, model, parameters, tags
from orobserve_exporters._figures import split_cost, total_tokens
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import OTLPExporter, as_json, endpoint, sent_headers

if TYPE_CHECKING:
    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Content, Cost, Generation, Usage
    from orobserve_exporters._otlp import Attributes

_METADATA = "langsmith.metadata."
_KIND = "langsmith.span.kind"
_FIELDS_OF_THEIR_OWN = frozenset({"cost_usd", "provider"})


class LangSmith(OTLPExporter):
    """LangSmith, cloud or self-hosted."""

    TYPE = "langsmith"
    TITLE = "LangSmith"
    FIELDS = (
        Field(
            name="api_key", help="lsv2_...", required=True, secret=True, env=("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
        ),
        Field(name="project", help="project", default="main", env=("LANGSMITH_PROJECT", "LANGCHAIN_PROJECT")),
        Field(
            name="endpoint",
            help="the API of your region (https://eu.api.smith.langchain.com), or https://<your host>/api/v1",
            default="https://api.smith.langchain.com",
            env=("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT"),
        ),
        Field(
            name="workspace_id",
            help="workspace, needed by keys of an organisation",
            env=("LANGSMITH_WORKSPACE_ID",),
        ),
        *OTLPExporter.FIELDS,
    )
    KEEPS_ORPHANS = False
    ORPHAN_OF = f"{_METADATA}parent_span_id"

    def url(self) -> str:
        """Return the traces endpoint."""
        return endpoint(self._endpoint, "/otel/v1/traces")

    def headers(self) -> dict[str, str]:
        """Return the key, the workspace where one is given, and the project."""
        return {**self._credentials, "Langsmith-Project": self.config["project"]}

    @property
    def _endpoint(self) -> str:
        return str(self.config["endpoint"]).rstrip("/")

    @property
    def _credentials(self) -> dict[str, str]:
        workspace = self.config["workspace_id"]
        return {"x-api-key": self.config["api_key"], **({"X-Tenant-Id": workspace} if workspace else {})}

    def attributes(self, generation: Generation) -> Attributes:
        """Return a run of the type `llm`, or `embedding`."""
        usage, cost, provider = generation.usage, generation.cost, (generation.provider or "").lower() or None
        known = {key: value for key, value in facts(generation).items() if key not in _FIELDS_OF_THEIR_OWN}
        return {
            _KIND: "embedding" if generation.operation == "embeddings" else "llm",
            "gen_ai.system": provider,
            "gen_ai.request.model": generation.request.model,
            "gen_ai.response.model": generation.model,
            **{f"gen_ai.request.{name}": value for name, value in parameters(generation).items()},
            **_said(generation.content),
            "langsmith.usage_metadata": _usage(usage, cost),
            **_prefixed(known),
            **_about(generation),
            f"{_METADATA}ls_model_name": model(generation),
            f"{_METADATA}ls_provider": provider,
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:  # noqa: ARG002 - its name is enough
        """Return a run of the type `chain`; the thread stands on every run, which its cost is summed by."""
        return {_KIND: "chain", **_said(generation.content), **_about(generation)}

    def probe(self) -> HTTPRequest:
        """Return a look at the settings of the tenant; `/info` would need no key."""
        return HTTPRequest(
            url=f"{self._endpoint}/settings", method="GET", headers=sent_headers(self, self._credentials)
        )

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the key is accepted."""
        result = super().judge_probe(response)
        hints = {
            401: "check api_key",
            403: "check api_key; a key of an organisation needs workspace_id",
            404: "check endpoint; that of a self-hosted LangSmith ends with /api/v1",
        }
        hint = hints.get(response.status)
        return Result(verdict=result.verdict, reason=f"{result.reason}: {hint}") if hint else result


def _about(generation: Generation) -> Attributes:
    """Return whose run it is. `session` is LangSmith's word for a project: a conversation is a thread."""
    thread, user = generation.request.session_id, generation.request.user
    return {
        **_prefixed(metadata(generation)),
        **({f"{_METADATA}thread_id": thread} if thread else {}),
        **({f"{_METADATA}user_id": user} if user else {}),
        "langsmith.span.tags": ",".join(tags(generation)) or None,
    }


def _prefixed(values: Attributes) -> Attributes:
    return {f"{_METADATA}{key}": value for key, value in values.items()}


def _said(content: Content | None) -> Attributes:
    if content is None:
        return {}
    asked, answers = prompt(content), completion(content)
    given = {"messages": asked, "tools": list(content.tools)} if content.tools else {"messages": asked}
    return {
        "gen_ai.prompt": as_json(given) if asked else None,
        "gen_ai.completion": as_json({"messages": answers}) if answers else None,
    }


def _usage(usage: Usage | None, cost: Cost | None) -> str | None:
    """Return totals that include their details, and USD; what is unknown is not there."""
    found = {**(_tokens(usage) if usage else {}), **(_money(cost) if cost else {})}
    return as_json(found) if found else None


def _tokens(usage: Usage) -> dict[str, Any]:
    details = {
        "input_token_details": {
            "cache_read": usage.cache_read_input_tokens,
            "cache_creation": usage.cache_write_input_tokens,
            "audio": usage.audio_input_tokens,
        },
        "output_token_details": {"reasoning": usage.reasoning_output_tokens, "audio": usage.audio_output_tokens},
    }
    totals = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": total_tokens(usage),
    }
    parts = {name: {key: value for key, value in part.items() if value} for name, part in details.items()}
    return {
        **{name: value for name, value in totals.items() if value is not None},
        **{name: part for name, part in parts.items() if part},
    }


def _money(cost: Cost) -> dict[str, float]:
    if cost.total is None:
        return {}
    split = split_cost(cost)
    parts = {"input_cost": split[0], "output_cost": split[1]} if split else {}
    return {**parts, "total_cost": cost.total}
