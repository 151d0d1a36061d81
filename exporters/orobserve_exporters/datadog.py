"""Datadog LLM Observability: a generation as a span of the kind `llm`, by the public API or through a local agent.

The product takes spans of the last 24 hours only, and promises nothing about a span that it gets twice. A cost given
in USD overrides its own estimate: without one, models that it does not know show as partly priced.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.delivery import Field, HTTPExporter, HTTPRequest, Limits, Result, Verdict
from orobserve_exporters._datadog import meta, metrics, raw, workflow
from orobserve_exporters._details import model, tags
from orobserve_exporters._figures import known
from orobserve_exporters._otlp import sent_headers
from orobserve_exporters._spans import as_json
from orobserve_exporters._tree import Tree, given_parent_id, given_trace_id, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.delivery import HTTPResponse
    from orobserve.generation import Generation
    from orobserve_exporters._datadog import Item

_DEFAULT = "https://api.us5.datadoghq.com"
_SPANS = "/api/intake/llm-obs/v1/trace/spans"
_PROXY = "/evp_proxy/v2"
_ROOT = "undefined"  # what Datadog has for the parent of a span without one
_LONGEST_APP = 193
_OLD_AGENT = "the agent is too old or its EVP proxy is off: update it, or set api_key and no agent_url"
_AGENT_HINTS = {404: _OLD_AGENT}
_HINTS = {
    401: "the key is refused: check api_key",
    403: "the key is refused, or belongs to another site: check api_key and url or site",
    404: "there is no such path: check url or site",
}


class Datadog(HTTPExporter):
    """Spans in the words of Datadog's own SDK."""

    TYPE = "datadog"
    TITLE = "Datadog LLM Observability"
    FIELDS = (
        Field(name="api_key", help="API key; none is needed with agent_url", secret=True, env=("DD_API_KEY",)),
        Field(name="ml_app", help="name of the application", required=True, env=("DD_LLMOBS_ML_APP",)),
        Field(name="url", help=f"API of your region; {_DEFAULT}, unless site says otherwise"),
        Field(name="site", help="your region, such as datadoghq.eu, instead of url", env=("DD_SITE",)),
        Field(
            name="agent_url",
            help="a Datadog agent to deliver through, such as http://localhost:8126",
            env=("DD_TRACE_AGENT_URL",),
        ),
        Field(name="service", help="tag `service`; ml_app if not given", env=("DD_SERVICE",)),
        Field(name="env", help="tag `env`", env=("DD_ENV",)),
        Field(name="version", help="tag `version`", env=("DD_VERSION",)),
    )
    LIMITS = Limits(items=33, bytes=3 * 1024 * 1024)  # 100 spans: a generation may bring two parents

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: neither a key nor an agent, an address that is none, or a name that Datadog does not take.
        """
        super().__init__(config)
        self._tree = Tree()
        self._app = _checked_app(config["ml_app"])
        self._through_agent = bool(config["agent_url"])
        if self._through_agent:
            self._base = _checked_address("agent_url", config["agent_url"])
            return
        if not config["api_key"]:
            raise ValueError("set api_key (or DD_API_KEY), or agent_url (or DD_TRACE_AGENT_URL) of a Datadog agent")
        site = f"https://api.{config['site']}" if config["site"] else _DEFAULT
        self._base = _checked_address("url", config["url"] or site).removesuffix(_SPANS)

    def encode(self, batch: Sequence[Generation]) -> HTTPRequest:
        """Return the request that delivers a batch."""
        spans = [span for generation in batch for span in self._spans(generation)]
        if self._through_agent:
            body: object = [raw(span) for span in spans]
            return self._request("POST", f"{_PROXY}/api/v2/llmobs", body)
        attributes = {"ml_app": self._app, "spans": spans}
        return self._request("POST", _SPANS, {"data": {"type": "span", "attributes": attributes}})

    def probe(self) -> HTTPRequest:
        """Ask whether the key is valid; or what the agent can do."""
        return self._request("GET", "/info" if self._through_agent else "/api/v1/validate")

    def judge(self, response: HTTPResponse) -> Result:
        """Return what became of the batch."""
        return self._explained(super().judge(response), response.status)

    def judge_probe(self, response: HTTPResponse) -> Result:
        """Return whether the key belongs to the site; or whether the agent passes on what it is sent."""
        result = super().judge_probe(response)
        if self._through_agent and result.verdict is Verdict.DELIVERED and not _lists_proxy(response.body):
            return Result(verdict=Verdict.REJECTED, reason=_OLD_AGENT)
        return self._explained(result, response.status)

    def _explained(self, result: Result, status: int) -> Result:
        hint = (_AGENT_HINTS if self._through_agent else _HINTS).get(status)
        return Result(verdict=result.verdict, reason=f"{hint} (HTTP {status})") if hint else result

    def _request(self, method: str, path: str, body: object = None) -> HTTPRequest:
        own = {} if body is None else {"Content-Type": "application/json"}
        if not self._through_agent:
            own["DD-API-KEY"] = self.config["api_key"]
        elif body is not None:
            own["X-Datadog-EVP-Subdomain"] = "llmobs-intake"
        return HTTPRequest(
            method=method,
            url=f"{self._base}{path}",
            headers=sent_headers(self, own),
            body=b"" if body is None else as_json(body).encode(),
            compress=False,  # the SDK never does, and the API does not offer it
        )

    def _spans(self, generation: Generation) -> list[Item]:
        """Return the generation's span after the named parents that come with it."""
        found = place(generation)
        parents = [
            self._span(generation, parent.span_id, parent.parent_span_id, parent.name, workflow(generation))
            for parent in self._tree.brought(generation)
        ]
        above = found.above if found.parents else given_parent_id(generation)
        said = meta(generation, None if above else found.above or found.dropped)
        name = generation.name or model(generation) or generation.operation
        span = self._span(generation, generation.span_id or "", above, name, said)
        return [*parents, {**span, "metrics": metrics(generation)}]

    def _span(self, generation: Generation, span_id: str, above: str | None, name: str, described: Item) -> Item:
        timing, failed = generation.timing, "error" in described
        said = {
            "ml_app": self._app,
            "service": self.config["service"] or self._app,
            "env": self.config["env"],
            "version": self.config["version"],
            "source": "orobserve",
            "user_id": generation.request.user,
            "session_id": generation.request.session_id,
            "error": "1" if failed else "0",
            "error_type": generation.error.type if failed and generation.error else None,
        }
        return known(
            {
                "name": name,
                "trace_id": given_trace_id(generation),
                "span_id": span_id,
                "parent_id": above or _ROOT,
                "apm_trace_id": generation.trace_id,
                "start_ns": timing.started_at,
                "duration": timing.ended_at - timing.started_at,
                "status": "error" if failed else "ok",
                "session_id": generation.request.session_id,
                "tags": [*(f"{key}:{value}" for key, value in said.items() if value is not None), *tags(generation)],
                "meta": described,
                "metrics": {},
            }
        )


def _lists_proxy(body: bytes) -> bool:
    try:
        found = json.loads(body)
    except ValueError:
        return False
    endpoints = found.get("endpoints") if isinstance(found, dict) else None
    return isinstance(endpoints, list) and any(_PROXY in str(path) for path in endpoints)


def _checked_address(name: str, address: str) -> str:
    found = urlsplit(address)
    if found.scheme not in {"http", "https"} or not found.hostname:
        raise ValueError(f"{name} must be a full HTTP address, such as http://localhost:8126 or {_DEFAULT}")
    return address.rstrip("/")


def _checked_app(name: str) -> str:
    """Return the name of the application: https://docs.datadoghq.com/llm_observability/instrumentation/sdk."""
    wrong = "".join(sorted({mark for mark in name if not (mark.isalnum() or mark in "_-:./")}))
    faults = {
        "use lower case": name != name.lower(),
        f"shorten it to {_LONGEST_APP} characters": len(name) > _LONGEST_APP,
        f"use letters, digits and _ - : . / only, without {wrong!r}": bool(wrong),
        "take out double underscores, and one at its end": "__" in name or name.endswith("_"),
    }
    found = [fault for fault, is_found in faults.items() if is_found]
    if found:
        raise ValueError(f"ml_app is no name that Datadog takes: {'; '.join(found)}")
    return name
