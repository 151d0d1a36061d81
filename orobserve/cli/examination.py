"""What `orobserve doctor` looks at. Facts and problems; how they are shown is the command's business."""

from __future__ import annotations

import os
import platform
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from importlib import metadata
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import metrics, trace

from orobserve import _guard, _runtime, config, config_file
from orobserve.capture import _patches
from orobserve.delivery.exporter import DirectExporter, Verdict
from orobserve.delivery.probe import probe
from orobserve.errors import ConfigurationError
from orobserve.telemetry import providers
from orobserve.wire.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.delivery.settings import DestinationSettings

_PACKAGES = (
    "orobserve",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-exporter-otlp-proto-http",
    "opentelemetry-exporter-otlp-proto-grpc",
    "opentelemetry-instrumentation",
    "httpx",
    "httpx2",
    "requests",
    "aiohttp",
    "urllib3",
    "openai",
    "anthropic",
    "openrouter",
    "langchain-openrouter",
    "langchain-openai",
    "pydantic-ai-slim",
    "litellm",
    "dspy",
)
_HIDDEN = re.compile(r"HEADERS|KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_CONNECT_TIMEOUT = 3.0  # seconds
_GRPC_PORT = 4317
HIDDEN = "(hidden)"
MOST_SKEW = 5.0  # seconds
_AT_ONCE = 8  # probes


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something to be mended, and how. A warning lets the program go on as it should."""

    what: str
    fix: str
    is_warning: bool = False


def shown(name: str, value: object) -> str:
    """Return a setting's value without what is secret in it."""
    if value not in (None, "") and _HIDDEN.search(name) and not isinstance(value, bool):
        return HIDDEN
    return redact(_USER_INFO.sub(f"{HIDDEN}@", str(value)))


def versions() -> dict[str, str | None]:
    """Return what is installed; None is not."""
    return {"python": platform.python_version(), **{package: _version(package) for package in _PACKAGES}}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def hooks(problems: list[Problem]) -> list[dict[str, Any]]:
    """Return the methods that carry every call, and whether they are hooked in this process."""
    for point in sorted(_patches.unfit):
        what = f"calls of {point.module.partition('.')[0]} are not seen: this version has no {point.name}"
        problems.append(Problem(what=what, fix="use a version that orobserve knows, or update orobserve"))
    return [{"method": name, "hooked": hooked} for name, hooked in _patches.hooks().items()]


def telemetry(environ: Mapping[str, str], problems: list[Problem]) -> dict[str, Any]:
    """Return who receives spans and metrics, and the standard variables that are set."""
    variables = {name: shown(name, environ[name]) for name in sorted(environ) if name.startswith("OTEL_")}
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        what = "OTEL_SDK_DISABLED is true, so there are no spans and no metrics"
        problems.append(Problem(what=what, fix="unset OTEL_SDK_DISABLED", is_warning=True))
    return {
        "traces": _receiver("TRACES", environ, problems),
        "metrics": _receiver("METRICS", environ, problems),
        "variables": variables,
    }


def _receiver(signal: str, environ: Mapping[str, str], problems: list[Problem]) -> str | None:
    """Say where a signal goes, or None."""
    is_set = providers.has_tracer_provider() if signal == "TRACES" else providers.has_meter_provider()
    if is_set:
        provider = trace.get_tracer_provider() if signal == "TRACES" else metrics.get_meter_provider()
        return f"{type(provider).__module__}.{type(provider).__qualname__}"
    try:
        if not providers.endpoint_for(signal, environ):
            return None
        exporter = providers.exporter_for(signal, environ)
    except ConfigurationError as error:
        problems.append(of_error(error))
        return None
    is_grpc = ".grpc." in exporter.__module__
    default = "http://localhost:4317" if is_grpc else "http://localhost:4318"
    own = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"
    variable = own if environ.get(own) else "OTEL_EXPORTER_OTLP_ENDPOINT"
    endpoint = environ.get(variable) or default
    _check_endpoint(variable, endpoint, problems, is_grpc=is_grpc)
    return f"OTLP to {shown(variable, endpoint)}"


def _check_endpoint(variable: str, endpoint: str, problems: list[Problem], *, is_grpc: bool) -> None:
    """See whether anybody listens there; what is sent would be refused is for the exporter's own log."""
    address = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    where = f"{variable}={shown(variable, endpoint)}"
    try:
        port = address.port or (443 if address.scheme == "https" else _GRPC_PORT if is_grpc else 80)
        socket.create_connection((address.hostname or "", port), _CONNECT_TIMEOUT).close()
    except (OSError, ValueError) as error:
        fix = "start the collector, or mend the address"
        problems.append(Problem(what=f"nobody answers at {where}: {error}", fix=fix))
        return
    if port == _GRPC_PORT and not is_grpc:
        what = f"{where} is the port of gRPC, but the protocol is http/protobuf"
        problems.append(Problem(what=what, fix="use port 4318", is_warning=True))


def settings(environ: Mapping[str, str], problems: list[Problem]) -> tuple[list[dict[str, Any]], config.Config]:
    """Return every setting with its value and its source (argument, environment, file, default), and all together."""
    loaded, file = None, None
    try:
        file = config_file.read(environ)
        loaded = config.load({}, environ)
    except ConfigurationError as error:
        problems.append(of_error(error))
    running = _runtime._state.get("settings")  # noqa: SLF001 - what `instrument()` was given in this process
    effective = running or loaded or config.Config()
    rows = []
    for name in config.setting_fields():
        value = getattr(effective, name)
        source = _source(name, environ, file)
        if running is not None and loaded is not None and value != getattr(loaded, name):
            source = "argument"
        rows.append({"name": name, "value": _plain(name, value), "source": source})
    return rows, effective


_STANDARD = {"content": config.CONTENT_VARIABLE, "emit_event": "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT"}


def _source(name: str, environ: Mapping[str, str], file: config_file.File | None) -> str:
    for variable in (config.PREFIX + name.upper(), _STANDARD.get(name, "")):
        if environ.get(variable):
            return f"environment ({variable})"
    if file is not None and name in file.values:
        line = config_file.line_of(file.text, name)
        return f"file ({file.path}{f', line {line}' if line else ''})"
    return "default"


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - of any setting
    if name == "destinations":
        return [str(getattr(item, "name", item)) for item in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return shown("", value)
    if isinstance(value, (tuple, list)):
        return [shown("", item) for item in value]
    if isinstance(value, dict):
        return {shown("", key): shown("", item) for key, item in value.items()}
    return getattr(value, "__qualname__", type(value).__qualname__)  # a function or a provider of the user's


def of_error(error: ConfigurationError) -> Problem:
    """Return what a mistake in the settings says, its advice apart."""
    what, _, fix = str(error).partition(" Fix: ")
    return Problem(what=what, fix=fix)


def destinations(configured: Sequence[DestinationSettings], problems: list[Problem]) -> list[dict[str, Any]]:
    """Ask every destination that is enabled, all at once."""
    enabled = [each for each in configured if each.enabled]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows = list(pool.map(probed, enabled))
    for row in rows:
        if not row["ok"]:
            what = f"destination {row['name']}: {row['reason']}"
            problems.append(Problem(what=what, fix=f"mend its settings, then run: orobserve test {row['name']}"))
        if row["remark"]:
            fix = f"not needed; to see it again: orobserve test {row['name']}"
            problems.append(Problem(what=f"destination {row['name']}: {row['remark']}", fix=fix, is_warning=True))
        skew = row["clock_skew"]
        if skew is not None and abs(skew) > MOST_SKEW:
            fix = "let this machine's clock follow a time server (NTP)"
            problems.append(Problem(what=skew_text(row["name"], skew), fix=fix, is_warning=True))
    return rows


def probed(settings: DestinationSettings) -> dict[str, Any]:
    """Return what a destination answers to the cheapest question that proves its settings right."""
    exporter = settings.make()
    try:
        found = probe(exporter)
    finally:
        if isinstance(exporter, DirectExporter):
            exporter.close()
    ok = found.result.verdict is Verdict.DELIVERED
    return {
        "name": settings.name,
        "type": settings.type,
        "title": settings.exporter.TITLE,
        "ok": ok,
        "reason": None if ok else redact(found.result.reason),
        "remark": redact(found.result.reason) if ok and found.result.reason else None,
        "seconds": round(found.elapsed, 3),
        "clock_skew": None if found.server_time is None else _skew(found.server_time),
        "config": _config(settings, os.environ),
    }


def _skew(server_time: datetime) -> float:
    """Return by how many seconds this machine's clock is ahead. The server told whole seconds."""
    told = server_time if server_time.tzinfo is not None else server_time.replace(tzinfo=timezone.utc)
    return round((datetime.now(timezone.utc) - told).total_seconds(), 1)


def skew_text(name: str, skew: float) -> str:
    """Say that the clocks differ."""
    side = "ahead of" if skew > 0 else "behind"
    return f"this machine's clock is {abs(skew):.0f} s {side} that of {name}: its times will be wrong there"


def _config(settings: DestinationSettings, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return a destination's own settings and where each is from, without what is secret."""
    found = {}
    for field in settings.exporter.FIELDS:
        value = settings.config.get(field.name)
        if value is not None:
            variable = next((name for name in field.env if environ.get(name)), None)
            source = "default" if value == field.default else "given"
            if variable is not None and str(value) == environ[variable]:
                source = f"environment ({variable})"
            found[field.name] = {"value": HIDDEN if field.secret else _plain(field.name, value), "source": source}
    if settings.config.get("headers"):
        found["headers"] = {"value": HIDDEN, "source": "given"}
    return found


def process(problems: list[Problem]) -> dict[str, Any]:
    """Return what became of the records of this process: queues, losses, and errors of ours by their cause."""
    states = [asdict(state) for state in _runtime.deliveries()]
    for state in states:
        lost = sum(state["dropped"].values()) + state["rejected"]
        if lost:
            what = f"destination {state['name']}: {lost} generations were lost ({state['last_error']})"
            problems.append(Problem(what=what, fix=f"run: orobserve test {state['name']}"))
    for cause, times in _guard.swallowed.items():
        what = f"something could not be observed, {times} times: {cause}"
        problems.append(Problem(what=what, fix="please report it, with this line"))
    return {"destinations": states, "swallowed": dict(_guard.swallowed)}
