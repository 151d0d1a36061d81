"""W&B Weave: a generation as a call in the traces view. It takes protobuf only.

Weave accepts no cost, it prices calls itself by a table of its own: what OpenRouter charged stands in the call's
attributes, under `cost`. Servers of different age read different token counts. Those that read `gen_ai.usage.*` for the
input alone take the output from `llm.token_count.*`; where a server knows both, it shows one of them.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from orobserve.delivery import Field, HTTPRequest, Result
from orobserve_exporters._details import facts, metadata, model, parameters, tags
from orobserve_exporters._messages import completion, prompt
from orobserve_exporters._otlp import OTLPExporter, as_json, endpoint, sent_headers

if TYPE_CHECKING:
    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Generation, Json
    from orobserve_exporters._otlp import Attributes


class Weave(OTLPExporter):
    """Weave of Weights & Biases, cloud, dedicated or self-managed."""

    TYPE = "weave"
    TITLE = "W&B Weave"
    FIELDS = (
        Field(name="api_key", help="key of your W&B account", required=True, secret=True, env=("WANDB_API_KEY",)),
        Field(name="entity", help="team, or your user name", required=True, env=("WANDB_ENTITY",)),
        Field(name="project", help="project", required=True, env=("WANDB_PROJECT",)),
        Field(
            name="base_url",
            help="https://trace.wandb.ai, or https://<yours>.wandb.io/traces",
            default="https://trace.wandb.ai",
            env=("WF_TRACE_SERVER_URL",),
        ),
        *OTLPExporter.FIELDS,
    )

    def url(self) -> str:
        """Return the traces endpoint."""
        return endpoint(self._base, "/otel/v1/traces")

    def headers(self) -> dict[str, str]:
        """Return the key, and the project for servers that look for it here."""
        return {"wandb-api-key": self.config["api_key"], "project_id": self._project}

    def resource(self) -> Attributes:
        """Return where the calls belong."""
        return {
            **super().resource(),
            "wandb.entity": self.config["entity"],
            "wandb.project": self.config["project"],
        }

    @property
    def _base(self) -> str:
        return str(self.config["base_url"]).rstrip("/")

    @property
    def _project(self) -> str:
        return f"{self.config['entity']}/{self.config['project']}"

    def attributes(self, generation: Generation) -> Attributes:
        """Return a call of the kind `llm`."""
        usage, asked = generation.usage, parameters(generation)
        given, taken = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
        total = usage.total_tokens if usage else None
        known = {**metadata(generation), **facts(generation), **_who(generation), **_figures(generation)}
        known.pop("cost_usd", None)  # it is under `cost`
        return {
            "weave.span.kind": "llm",
            "gen_ai.response.model": model(generation),
            "llm.provider": generation.provider,
            "llm.invocation_parameters": as_json(asked) if asked else None,
            "gen_ai.usage.input_tokens": given,
            "gen_ai.usage.output_tokens": taken,
            "llm.token_count.prompt": given,
            "llm.token_count.completion": taken,
            "llm.token_count.total": total,
            **_said(generation),
            "wandb.display_name": self.span_name(generation),
            "wandb.attributes": as_json(known),
            **_thread(generation, is_turn=not (generation.trace_name or generation.span_name)),
        }

    def parent_attributes(self, generation: Generation, name: str) -> Attributes:
        """Return a call without model and tokens."""
        known = {**metadata(generation), **_who(generation)}
        return {
            "wandb.display_name": name,
            **_said(generation),
            "wandb.attributes": as_json(known) if known else None,
            **_thread(generation, is_turn=name == (generation.trace_name or generation.span_name)),
        }

    def probe(self) -> HTTPRequest:
        """Return a query for one call of the project."""
        pair = base64.b64encode(f"api:{self.config['api_key']}".encode()).decode()
        own = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
        body = json.dumps({"project_id": self._project, "limit": 1}).encode()
        return HTTPRequest(url=f"{self._base}/calls/stream_query", body=body, headers=sent_headers(self, own))

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the key opens the project."""
        result = super().judge_probe(response)
        hint = {401: "check api_key", 403: "check entity and project", 404: "check entity, project and base_url"}
        found = hint.get(response.status)
        return Result(verdict=result.verdict, reason=f"{result.reason}: {found}") if found else result


def _who(generation: Generation) -> dict[str, Json]:
    found: dict[str, Json] = {
        "user_id": generation.request.user,
        "session_id": generation.request.session_id,
        "tags": [*tags(generation)] or None,
    }
    return {key: value for key, value in found.items() if value is not None}


def _figures(generation: Generation) -> dict[str, Json]:
    """Return what Weave has no fields for: USD, all token counts."""
    cost, usage = generation.cost, asdict(generation.usage) if generation.usage else {}
    found: dict[str, Json] = {
        "cost": {"total": cost.total} if cost and cost.total is not None else None,
        "usage": {name: count for name, count in usage.items() if count is not None} or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _said(generation: Generation) -> Attributes:
    content = generation.content
    asked, answers = (prompt(content), completion(content)) if content else ([], [])
    return {
        "input.value": as_json(asked) if asked else None,
        "output.value": as_json(answers) if answers else None,
    }


def _thread(generation: Generation, *, is_turn: bool) -> Attributes:
    """Return the conversation; its turns are the outermost calls."""
    session = generation.request.session_id
    return {"wandb.thread_id": session, "wandb.is_turn": True if session and is_turn else None}
