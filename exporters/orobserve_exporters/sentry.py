"""Sentry. Its Relay prices calls by a table of its own, unless a span says what it cost in Sentry's words."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve.delivery import Field
from orobserve.telemetry import names
from orobserve_exporters._broadcast import CONFIG, BroadcastExporter, metadata, own_attributes, traces_url
from orobserve_exporters._figures import split_cost
from orobserve_exporters._otlp import Attributes, as_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.generation import Generation

_CONFIG = replace(CONFIG, compat=("cost",))
_PATH = "/integration/otlp"


class Sentry(BroadcastExporter):
    """The endpoint and the key are both in the DSN."""

    TYPE = "sentry"
    TITLE = "Sentry"
    FIELDS = (
        Field(name="dsn", help="DSN of the project", required=True, secret=True, env=("SENTRY_DSN",)),
        Field(
            name="otlp_endpoint",
            help="full URL of the traces endpoint (Client Keys, OTLP); otherwise derived from the DSN",
        ),
        *BroadcastExporter.FIELDS,
    )

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        key, derived = _from_dsn(config["dsn"])
        url = config["otlp_endpoint"] or derived
        if url.rstrip("/").endswith(_PATH):
            url = f"{url.rstrip('/')}/v1/traces"
        self._key, self._url = key, traces_url("otlp_endpoint", url, urlsplit(derived).path)

    def url(self) -> str:
        """Return the project's endpoint."""
        return self._url

    def headers(self) -> dict[str, str]:
        """Return the public key."""
        return {"x-sentry-auth": f"sentry sentry_key={self._key}"}

    def attributes(self, generation: Generation) -> Attributes:
        """Return our own attributes, and Sentry's for what it names otherwise."""
        found = own_attributes(generation, _CONFIG)
        for name in (names.INPUT_MESSAGES, names.OUTPUT_MESSAGES):
            if name in found:
                found[name] = as_json([_message(message) for message in json.loads(found[name])])
        usage, cost = generation.usage, generation.cost
        if usage is not None:
            found["gen_ai.usage.total_tokens"] = usage.total_tokens
            found["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_input_tokens
        if cost is not None:
            given, taken = split_cost(cost) or (None, None)
            found["gen_ai.cost.total_tokens"] = cost.total
            found["gen_ai.cost.input_tokens"], found["gen_ai.cost.output_tokens"] = given, taken
            found["gen_ai.usage.total_cost"] = cost.total  # Broadcast's name, to search by
        custom = metadata(generation)
        return {**found, "sentry.environment": custom.get("environment"), "sentry.release": custom.get("release")}


def _message(message: dict[str, Any]) -> dict[str, Any]:
    parts = [
        {("result" if name == "response" else name): value for name, value in part.items()} for part in message["parts"]
    ]
    return {**message, "parts": parts}


def _from_dsn(dsn: str) -> tuple[str, str]:
    """Return a DSN's key and endpoint."""
    found = urlsplit(dsn)
    prefix, _, project = found.path.rstrip("/").rpartition("/")
    if not (found.scheme and found.username and found.hostname and project):
        raise ValueError("dsn must look like https://<key>@o1.ingest.us.sentry.io/<project>: copy it from Client Keys")
    host = found.netloc.rpartition("@")[2]
    return found.username, f"{found.scheme}://{host}{prefix}/api/{project}{_PATH}/v1/traces"
