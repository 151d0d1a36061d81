"""Settings: one table of names, environment variables, defaults and help.

Arguments win over the environment, that over the file `orobserve.toml`, and that over the defaults.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

from orobserve import config_file
from orobserve.config_values import (
    FALSE,
    TRUE,
    OneOf,
    boolean,
    callable_or_none,
    host,
    integer,
    key_labels,
    metric_tags,
    names,
    nearest,
    port,
    positive,
    size,
    switch_or_path,
    tri_state,
)
from orobserve.errors import ConfigurationError
from orobserve.wire.exchange import ENRICHMENT_MODES
from orobserve.wire.route import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from orobserve.delivery.exporter import Exporter
    from orobserve.delivery.settings import DestinationSettings
    from orobserve.generation import Content

    # A type by name, one that is ready-made, or an object as Broadcast has it.
    Destination = str | Exporter | dict[str, Any]

PREFIX = "OROBSERVE_"
PROXY_PREFIX = "OROBSERVE_PROXY_"  # the sidecar's own settings, which it reads and checks itself
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
RECEIVE_TOKEN_VARIABLE = "OROBSERVE_RECEIVE_TOKEN"  # read by that command alone: no setting of the library
_EVENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
CONTENT_MODES = ("no_content", "span_only", "event_only", "span_and_event")
_NESTED_MODES = ("enrich", "span", "off")
_SEMCONV_MODES = ("stable", "next", "stable+next")
_COMPAT_SETS = ("cost", "legacy_tokens", "legacy_system")


class Settings(TypedDict, total=False):
    """The keyword arguments of `orobserve.instrument`; see `Config` for what each one means."""

    hosts: Iterable[str] | str
    content: str | bool
    mask: Callable[[Content], Content | None] | None
    content_limit: int
    when_nested: str
    console: bool | None
    identity: bool
    api_key_hash: bool
    api_key_labels: Mapping[str, str]
    app_attribution: bool
    semconv: str
    compat: Iterable[str] | str
    metadata_limit: int
    metric_limit: int
    metric_tags: Iterable[str] | str
    prometheus_port: int | str | None
    prometheus_host: str
    emit_event: bool
    chunk_metric: bool
    cost_histogram: bool
    enrichment: str
    enrichment_deadline: float
    enrichment_limit: int
    enrichment_concurrency: int
    enrichment_rate: float
    enrichment_content: bool
    attempt_spans: bool
    router_metadata: bool
    key_budget: bool
    key_budget_interval: float
    ledger: bool | str | PathLike[str] | None
    ledger_content: bool
    ledger_days: int
    ledger_size: int | str
    destinations: Iterable[Destination] | Destination
    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None


def _hosts(setting: str, value: object) -> tuple[str, ...]:
    allowed = "host names, host:port, or base URLs, as a list or one text with commas"
    fix = 'for example hosts=["llm-gateway.corp:8443"] or OROBSERVE_HOSTS=llm-gateway.corp:8443'
    try:
        found = names(setting, value)
        Hosts(found)
    except ValueError as error:
        detail = "" if isinstance(error, ConfigurationError) else f" ({error})"
        raise ConfigurationError(setting, value, allowed=allowed + detail, fix=fix) from None
    return found


def _content(setting: str, value: object) -> str:
    """Read the convention's four modes; `true` is the older convention's word for `span_only`."""
    word = str(value).strip().lower()
    if isinstance(value, bool) or word in TRUE | FALSE:
        return "span_only" if word in TRUE else "no_content"
    return OneOf(*CONTENT_MODES)(setting, value)


def _compat(setting: str, value: object) -> tuple[str, ...]:
    return tuple(OneOf(*_COMPAT_SETS)(setting, name) for name in names(setting, value))


def _unresolved(setting: str, value: object) -> tuple[str, object]:
    """Keep the destinations as given: they are resolved last, and only those that won."""
    return setting, value


def _any(_setting: str, value: object) -> Any:  # noqa: ANN401 - passed on as given
    return value


def _port(setting: str, value: object) -> int | None:
    return None if value is None else port(setting, value)


def _setting(
    parse: Callable[[str, object], Any],
    default: Any,  # noqa: ANN401
    text: str,
    *,
    env: bool = True,
    file: bool = True,
) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"parse": parse, "help": text, "env": env, "file": file})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting, checked. Build it with `load`."""

    hosts: tuple[str, ...] = _setting(_hosts, (), "further hosts that serve OpenRouter's API: gateways, proxies")
    content: str = _setting(_content, "no_content", "message content in telemetry: " + ", ".join(CONTENT_MODES))
    mask: Any = _setting(callable_or_none, None, "function Content -> Content | None, run first", env=False, file=False)
    content_limit: int = _setting(integer, 32768, "bytes kept of each content attribute")
    when_nested: str = _setting(OneOf(*_NESTED_MODES), "enrich", "inside another GenAI span: enrich it, span, off")
    console: bool | None = _setting(tri_state, None, "a line per call on stderr; auto: if nothing else is set up")
    identity: bool = _setting(boolean, True, "user and session ids on spans")  # noqa: FBT003 - a default
    api_key_hash: bool = _setting(boolean, False, "SHA-256 of the API key on spans")  # noqa: FBT003
    api_key_labels: Any = field(
        default_factory=dict,
        metadata={"parse": key_labels, "help": "your name for a key, by its SHA-256", "env": False, "file": True},
    )
    app_attribution: bool = _setting(boolean, False, "HTTP-Referer and title headers on spans")  # noqa: FBT003
    semconv: str = _setting(OneOf(*_SEMCONV_MODES), "stable", "metric and cost names: stable, next, stable+next")
    compat: tuple[str, ...] = _setting(_compat, ("cost",), "further spellings: " + ", ".join(_COMPAT_SETS))
    metadata_limit: int = _setting(integer, 24, "custom metadata attributes per span")
    metric_limit: int = _setting(integer, 200, "distinct values of a metric's label before `_other`")
    metric_tags: tuple[str, ...] = _setting(metric_tags, (), "names of tags or metadata that are labels of metrics")
    prometheus_port: int | None = _setting(_port, None, "a port where Prometheus fetches the metrics")
    prometheus_host: str = _setting(host, "127.0.0.1", "the address to listen at there; 0.0.0.0: all")
    emit_event: bool = _setting(boolean, False, "an event per call, without content")  # noqa: FBT003
    chunk_metric: bool = _setting(boolean, False, "histogram of the time between output chunks")  # noqa: FBT003
    cost_histogram: bool = _setting(boolean, False, "histogram of the cost per call")  # noqa: FBT003
    enrichment: str = _setting(
        OneOf(*ENRICHMENT_MODES), "always", "ask OpenRouter for its record of a call: always, missing (cost), never"
    )
    enrichment_deadline: float = _setting(positive, 10.0, "seconds that a span is kept open for the record")
    enrichment_limit: int = _setting(integer, 1000, "calls that may wait for their record at once")
    enrichment_concurrency: int = _setting(integer, 8, "look-ups at the same time")
    enrichment_rate: float = _setting(positive, 50.0, "look-ups per second")
    enrichment_content: bool = _setting(boolean, False, "stored content of aborted streams, where content is captured")  # noqa: FBT003
    attempt_spans: bool = _setting(boolean, False, "provider attempts as child spans instead of span events")  # noqa: FBT003
    router_metadata: bool = _setting(boolean, False, "ask for routing detail: adds a header to inference calls")  # noqa: FBT003
    key_budget: bool = _setting(boolean, False, "gauges of what the API keys in use have spent and may spend")  # noqa: FBT003
    key_budget_interval: float = _setting(positive, 60.0, "seconds between two looks at the key budgets")
    ledger: bool | str | None = _setting(
        switch_or_path, None, "a record of every call in a local file: true, false, or the file's path"
    )
    ledger_content: bool = _setting(boolean, True, "message content in the ledger")  # noqa: FBT003
    ledger_days: int = _setting(integer, 90, "days that a call stays in the ledger; 0: for ever")
    ledger_size: int = _setting(size, 2_000_000_000, "bytes that the ledger may take, also as 500MB; 0: no limit")
    destinations: tuple[DestinationSettings, ...] = _setting(
        _unresolved, (), "who receives every generation: names, or objects as OpenRouter's Broadcast has them"
    )
    tracer_provider: Any = _setting(_any, None, "instead of the global one", env=False, file=False)
    meter_provider: Any = _setting(_any, None, "instead of the global one", env=False, file=False)

    @property
    def content_on_span(self) -> bool:
        """Whether spans carry messages."""
        return self.content in {"span_only", "span_and_event"}

    @property
    def content_on_event(self) -> bool:
        """Whether the event carries messages."""
        return self.content in {"event_only", "span_and_event"}

    @property
    def wants_content(self) -> bool:
        """Whether anything carries messages, or a destination's filter reads them."""
        is_stored = bool(self.ledger) and self.ledger_content
        return is_stored or self.content != "no_content" or any(found.wants_content for found in self.destinations)


def setting_fields() -> dict[str, Field[Any]]:
    """Return the settings by name."""
    return {setting.name: setting for setting in fields(Config)}


def load(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings: arguments, then environment, then `orobserve.toml`, then defaults.

    Raises:
        ConfigurationError: an unknown name, or a value that cannot be used.
    """
    known = setting_fields()
    _reject_unknown(given, known, environ)
    file = config_file.read(environ)
    values = _from_environment(environ)
    values.update({name: known[name].metadata["parse"](name, value) for name, value in given.items()})
    of_file = {} if file is None else _from_file(file)
    is_filed = "destinations" not in values
    values = {**of_file, **values}
    if "next" in str(values.get("semconv")) and "compat" not in values:
        values["compat"] = ()  # gen_ai.usage.cost would be leaf and namespace at once
    if "destinations" in values:
        with file.named_in_errors() if is_filed and file is not None else nullcontext():
            values["destinations"] = _destinations(values, environ)
    return Config(**values)


def _destinations(values: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[DestinationSettings, ...]:
    from orobserve.delivery.settings import Shared, resolve  # noqa: PLC0415 - for those who have destinations

    setting, value = values["destinations"]
    shared = Shared(environ=environ, mask=values.get("mask"), api_key_labels=values.get("api_key_labels") or {})
    return resolve(setting, value, shared)


def _from_file(file: config_file.File) -> dict[str, Any]:
    settings = setting_fields()
    known = [name for name, setting in settings.items() if setting.metadata["file"]]
    with file.named_in_errors():
        for name, value in file.values.items():
            if name not in known:
                fix = "give it to orobserve.instrument(): only code can" if name in settings else nearest(name, known)
                raise ConfigurationError(name, value, allowed=", ".join(known), fix=fix)
        return {name: settings[name].metadata["parse"](name, value) for name, value in file.values.items()}


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if raw := environ.get(CONTENT_VARIABLE):
        values["content"] = _content(CONTENT_VARIABLE, raw)
    if raw := environ.get(_EVENT_VARIABLE):
        values["emit_event"] = boolean(_EVENT_VARIABLE, raw)
    for name, setting in setting_fields().items():
        variable = PREFIX + name.upper()
        if setting.metadata["env"] and environ.get(variable):
            values[name] = setting.metadata["parse"](variable, environ[variable])
    return values


def _reject_unknown(given: Mapping[str, Any], known: Mapping[str, Field[Any]], environ: Mapping[str, str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigurationError(name, given[name], allowed=", ".join(sorted(known)), fix=nearest(name, known))
    variables = [PREFIX + name.upper() for name, setting in known.items() if setting.metadata["env"]]
    variables = sorted([*variables, config_file.VARIABLE, RECEIVE_TOKEN_VARIABLE])
    for name in environ:
        if name.startswith(PREFIX) and not name.startswith(PROXY_PREFIX) and name not in variables:
            fix = nearest(name, variables)
            raise ConfigurationError(name, environ[name], allowed=", ".join(variables), fix=fix)
