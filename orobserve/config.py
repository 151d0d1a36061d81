"""Settings: one table of names, environment variables, defaults and help. Arguments win over the environment."""

from __future__ import annotations

import difflib
import math
import os
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypedDict

from orobserve.errors import ConfigurationError
from orobserve.wire.route import Hosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from orobserve.generation import Content

PREFIX = "OROBSERVE_"
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_EVENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"
CONTENT_MODES = ("no_content", "span_only", "event_only", "span_and_event")
ENRICHMENT_MODES = ("always", "missing", "never")
_NESTED_MODES = ("enrich", "span", "off")
_SEMCONV_MODES = ("stable", "next", "stable+next")
_COMPAT_SETS = ("cost", "legacy_tokens", "legacy_system")
_TRUE, _FALSE = {"true", "1", "yes", "on"}, {"false", "0", "no", "off"}


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
    model_limit: int
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
    destinations: Iterable[str] | str
    tracer_provider: TracerProvider | None
    meter_provider: MeterProvider | None


def _boolean(setting: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if isinstance(value, str) and word in _TRUE | _FALSE:
        return word in _TRUE
    raise ConfigurationError(setting, value, allowed="true or false", fix=f"set {setting} to true or false")


def _tri_state(setting: str, value: object) -> bool | None:
    return None if value is None or value == "auto" else _boolean(setting, value)


def _integer(setting: str, value: object) -> int:
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else -1
    except ValueError:
        number = -1
    if number < 0:
        raise ConfigurationError(setting, value, allowed="a whole number, 0 or more", fix=f"for example {setting}=100")
    return number


def _positive(setting: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else 0.0
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise ConfigurationError(setting, value, allowed="a number above 0", fix=f"for example {setting}=10")
    return number


def _one_of(*allowed: str) -> Callable[[str, object], str]:
    def parse(setting: str, value: object) -> str:
        word = str(value).strip().lower()
        if not isinstance(value, str) or word not in allowed:
            near = difflib.get_close_matches(word, allowed, n=1)
            raise ConfigurationError(
                setting, value, allowed=", ".join(map(repr, allowed)), fix=f"use {(near or allowed)[0]!r}"
            )
        return word

    return parse


def _names(setting: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(item.strip() for item in value.split(",") if item.strip())
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ConfigurationError(
        setting, value, allowed="a list of names, or one text with commas", fix=f'for example {setting}=["a", "b"]'
    )


def _hosts(setting: str, value: object) -> tuple[str, ...]:
    allowed = "host names, host:port, or base URLs, as a list or one text with commas"
    fix = 'for example hosts=["llm-gateway.corp:8443"] or OROBSERVE_HOSTS=llm-gateway.corp:8443'
    try:
        names = _names(setting, value)
        Hosts(names)
    except ValueError as error:
        detail = "" if isinstance(error, ConfigurationError) else f" ({error})"
        raise ConfigurationError(setting, value, allowed=allowed + detail, fix=fix) from None
    return names


def _content(setting: str, value: object) -> str:
    """Read the convention's four modes; `true` is the older convention's word for `span_only`."""
    word = str(value).strip().lower()
    if isinstance(value, bool) or word in _TRUE | _FALSE:
        return "span_only" if word in _TRUE else "no_content"
    return _one_of(*CONTENT_MODES)(setting, value)


def _compat(setting: str, value: object) -> tuple[str, ...]:
    return tuple(_one_of(*_COMPAT_SETS)(setting, name) for name in _names(setting, value))


def _destinations(setting: str, value: object) -> tuple[str, ...]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow to import, and rarely needed

    names = _names(setting, value)
    known = sorted(point.name for point in entry_points(group="orobserve.exporters"))
    for name in names:
        if name not in known:
            raise ConfigurationError(
                setting,
                name,
                allowed=", ".join(known) or "none, as no exporter is installed",
                fix="leave it out; spans go wherever OTEL_EXPORTER_OTLP_ENDPOINT or your own provider sends them",
            )
    return names


def _any(_setting: str, value: object) -> Any:  # noqa: ANN401 - passed on as given
    return value


def _callable_or_none(setting: str, value: object) -> Any:  # noqa: ANN401 - a callable
    if value is None or callable(value):
        return value
    raise ConfigurationError(setting, value, allowed="a function, or None", fix="pass the function itself")


def _labels(setting: str, value: object) -> Mapping[str, str]:
    if isinstance(value, dict) and all(isinstance(item, str) for pair in value.items() for item in pair):
        return value
    raise ConfigurationError(
        setting, value, allowed="a dict of SHA-256 key hash to label", fix='for example {"ab12...": "search-team"}'
    )


def _setting(parse: Callable[[str, object], Any], default: Any, text: str, *, env: bool = True) -> Any:  # noqa: ANN401
    return field(default=default, metadata={"parse": parse, "help": text, "env": env})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every setting, checked. Build it with `load`."""

    hosts: tuple[str, ...] = _setting(_hosts, (), "further hosts that serve OpenRouter's API: gateways, proxies")
    content: str = _setting(_content, "no_content", "message content in telemetry: " + ", ".join(CONTENT_MODES))
    mask: Any = _setting(_callable_or_none, None, "function Content -> Content | None, run first", env=False)
    content_limit: int = _setting(_integer, 32768, "bytes kept of each content attribute")
    when_nested: str = _setting(_one_of(*_NESTED_MODES), "enrich", "inside another GenAI span: enrich it, span, off")
    console: bool | None = _setting(_tri_state, None, "a line per call on stderr; auto: if nothing else is set up")
    identity: bool = _setting(_boolean, True, "user and session ids on spans")  # noqa: FBT003 - a default
    api_key_hash: bool = _setting(_boolean, False, "SHA-256 of the API key on spans")  # noqa: FBT003
    api_key_labels: Any = field(
        default_factory=dict,
        metadata={"parse": _labels, "help": "your name for a key, by its SHA-256", "env": False},
    )
    app_attribution: bool = _setting(_boolean, False, "HTTP-Referer and title headers on spans")  # noqa: FBT003
    semconv: str = _setting(_one_of(*_SEMCONV_MODES), "stable", "metric and cost names: stable, next, stable+next")
    compat: tuple[str, ...] = _setting(_compat, ("cost",), "further spellings: " + ", ".join(_COMPAT_SETS))
    metadata_limit: int = _setting(_integer, 24, "custom metadata attributes per span")
    model_limit: int = _setting(_integer, 200, "distinct models on metrics before `_other`")
    emit_event: bool = _setting(_boolean, False, "an event per call, without content")  # noqa: FBT003
    chunk_metric: bool = _setting(_boolean, False, "histogram of the time between output chunks")  # noqa: FBT003
    cost_histogram: bool = _setting(_boolean, False, "histogram of the cost per call")  # noqa: FBT003
    enrichment: str = _setting(
        _one_of(*ENRICHMENT_MODES), "always", "ask OpenRouter for its record of a call: always, missing (cost), never"
    )
    enrichment_deadline: float = _setting(_positive, 10.0, "seconds that a span is kept open for the record")
    enrichment_limit: int = _setting(_integer, 1000, "calls that may wait for their record at once")
    enrichment_concurrency: int = _setting(_integer, 8, "look-ups at the same time")
    enrichment_rate: float = _setting(_positive, 50.0, "look-ups per second")
    enrichment_content: bool = _setting(_boolean, False, "stored content of aborted streams, where content is captured")  # noqa: FBT003
    attempt_spans: bool = _setting(_boolean, False, "provider attempts as child spans instead of span events")  # noqa: FBT003
    router_metadata: bool = _setting(_boolean, False, "ask for routing detail: adds a header to inference calls")  # noqa: FBT003
    key_budget: bool = _setting(_boolean, False, "gauges of what the API keys in use have spent and may spend")  # noqa: FBT003
    key_budget_interval: float = _setting(_positive, 60.0, "seconds between two looks at the key budgets")
    destinations: tuple[str, ...] = _setting(_destinations, (), "exporters that receive every generation")
    tracer_provider: Any = _setting(_any, None, "instead of the global one", env=False)
    meter_provider: Any = _setting(_any, None, "instead of the global one", env=False)

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
        """Whether anything carries messages."""
        return self.content != "no_content"


def setting_fields() -> dict[str, Field[Any]]:
    """Return the settings by name."""
    return {setting.name: setting for setting in fields(Config)}


def load(given: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Config:
    """Return the settings: arguments, then environment, then defaults.

    Raises:
        ConfigurationError: an unknown name, or a value that cannot be used.
    """
    known = setting_fields()
    _reject_unknown(given, known, environ)
    values = _from_environment(environ)
    values.update({name: known[name].metadata["parse"](name, value) for name, value in given.items()})
    if "next" in str(values.get("semconv")) and "compat" not in values:
        values["compat"] = ()  # gen_ai.usage.cost would be leaf and namespace at once
    return Config(**values)


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if raw := environ.get(CONTENT_VARIABLE):
        values["content"] = _content(CONTENT_VARIABLE, raw)
    if raw := environ.get(_EVENT_VARIABLE):
        values["emit_event"] = _boolean(_EVENT_VARIABLE, raw)
    for name, setting in setting_fields().items():
        variable = PREFIX + name.upper()
        if setting.metadata["env"] and environ.get(variable):
            values[name] = setting.metadata["parse"](variable, environ[variable])
    return values


def _reject_unknown(given: Mapping[str, Any], known: Mapping[str, Field[Any]], environ: Mapping[str, str]) -> None:
    for name in given:
        if name not in known:
            raise _unknown(name, given[name], sorted(known))
    variables = sorted(PREFIX + name.upper() for name, setting in known.items() if setting.metadata["env"])
    for name in environ:
        if name.startswith(PREFIX) and name not in variables:
            raise _unknown(name, environ[name], variables)


def _unknown(name: str, value: object, known: list[str]) -> ConfigurationError:
    near = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {near[0]}?" if near else "remove it, or check its spelling"
    return ConfigurationError(name, value, allowed=", ".join(known), fix=fix)
