"""A destination's `config`, checked against the fields of its exporter. No value of it is ever shown in an error."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from orobserve.config_values import boolean, integer, nearest, number
from orobserve.errors import ConfigurationError
from orobserve.wire.redact import redact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.delivery.exporter import Exporter, Field

HIDDEN = "(not shown)"  # instead of a value, which may be a secret
_WHOLE = re.compile(r"\$([A-Za-z_]\w*)")
_INSIDE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_MASKED = re.compile(r"[^\s/]*(?:\.{3}[^\s/.]{0,4}|\*{4,}[^\s/]{0,8})")  # sk-l...AbCd, proj_..., ****...AbCd, ********


def squash(name: str) -> str:
    """Return a name without what differs between `baseUrl`, `base_url` and `base-url`."""
    return name.replace("_", "").replace("-", "").lower()


def is_masked(value: object) -> bool:
    """Tell whether a text is a secret in the way that OpenRouter's API shows it."""
    return isinstance(value, str) and _MASKED.fullmatch(value) is not None


def variable_for(kind: str, entry: Field) -> str:
    """Return the environment variable that gives a field: the product's usual one, or one of ours."""
    return entry.env[0] if entry.env else f"{kind}_{entry.name}".upper().replace("-", "_")


def check(setting: str, raw: object, exporter: type[Exporter], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return every field of the exporter by name, and `headers` where they were given.

    Raises:
        ConfigurationError: a key is unknown, or a value is missing, masked or of another kind.
    """
    if not isinstance(raw, dict):
        raise ConfigurationError(setting, HIDDEN, allowed="an object", fix="write it as key = value")
    given = _by_field(setting, raw, exporter)
    headers = given.pop("headers", None) if "headers" not in {entry.name for entry in exporter.FIELDS} else None
    found = {
        entry.name: _value(f"{setting}.{entry.name}", given.get(entry.name), entry, exporter.TYPE, environ)
        for entry in exporter.FIELDS
    }
    if headers is not None:
        found["headers"] = _texts(f"{setting}.headers", headers, environ)
    return found


def _by_field(setting: str, raw: dict[str, Any], exporter: type[Exporter]) -> dict[str, Any]:
    """Return the values by the fields' own names, whichever way they are spelt."""
    known = {squash(entry.name): entry.name for entry in exporter.FIELDS} | {"headers": "headers"}
    found: dict[str, Any] = {}
    for key, value in raw.items():
        name = known.get(squash(str(key)))
        if name is None or name in found:
            fix = nearest(str(key), known.values()) if name is None else f"{name} is given twice: remove one of them"
            raise ConfigurationError(f"{setting}.{key}", HIDDEN, allowed=", ".join(known.values()), fix=fix)
        found[name] = value
    return found


def _value(setting: str, raw: object, entry: Field, kind: str, environ: Mapping[str, str]) -> Any:  # noqa: ANN401
    value = expanded(setting, raw, environ)
    if value is None or value == "":
        value = next((environ[name] for name in entry.env if environ.get(name)), entry.default)
    if value is None:
        if entry.required:
            variables = " or ".join(entry.env) or variable_for(kind, entry)
            own = "" if entry.env else f' and give "${variable_for(kind, entry)}"'
            fix = f"set the environment variable {variables}{own}, or give {entry.name}"
            raise ConfigurationError(setting, None, allowed=entry.help, fix=fix)
        return None
    _refuse_masked(setting, value, variable_for(kind, entry))
    typed = _typed(setting, value, entry, environ)
    if entry.choices and typed not in entry.choices:
        shown = HIDDEN if entry.secret else typed
        near = difflib.get_close_matches(str(typed), entry.choices, n=1) or entry.choices
        raise ConfigurationError(setting, shown, allowed=", ".join(entry.choices), fix=f"use {near[0]!r}")
    return typed


def _refuse_masked(setting: str, value: object, variable: str) -> None:
    if is_masked(value):
        raise ConfigurationError(
            setting,
            HIDDEN,
            allowed="the value itself: this one was masked by OpenRouter, which never shows secrets",
            fix=f'set the environment variable {variable} and give "${variable}" instead',
        )


def expanded(setting: str, raw: object, environ: Mapping[str, str]) -> object:
    """Replace `$NAME`, if that is all, and `${NAME}` anywhere, by what the environment says."""
    if not isinstance(raw, str):
        return raw

    def look_up(found: re.Match[str]) -> str:
        value = environ.get(found[1])
        if not value:
            fix = f"export {found[1]}=..., in the environment of this process"
            raise ConfigurationError(setting, found[0], allowed="an environment variable that is set", fix=fix)
        return value

    whole = _WHOLE.fullmatch(raw)
    return look_up(whole) if whole else _INSIDE.sub(look_up, raw)


def _typed(setting: str, value: object, entry: Field, environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - by kind
    if entry.kind is dict:
        return _texts(setting, value, environ)
    try:
        if entry.kind is bool:
            return boolean(setting, value)
        if entry.kind is int:
            return integer(setting, value)
        if entry.kind is float:
            return _float(setting, value)
        return _string(setting, value)
    except ConfigurationError:
        if not entry.secret:
            raise
        message = f"another kind of value than {entry.kind.__name__}"
    raise ConfigurationError(setting, HIDDEN, allowed=entry.help, fix=f"this is {message}")


def _float(setting: str, value: object) -> float:
    found = number(value)
    if found is None:
        raise ConfigurationError(setting, value, allowed="a number", fix=f"for example {setting}=1.5")
    return found


def _string(setting: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConfigurationError(setting, value, allowed="a text", fix="write it in quotes")
    return str(value)  # an id that is a number in TOML


def _texts(setting: str, raw: object, environ: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping of texts: an object, or as OTEL_EXPORTER_OTLP_HEADERS has it (`a=b,c=d`), or JSON text."""
    value = expanded(setting, raw, environ)
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, dict) or not all(isinstance(item, (str, int, float)) for item in value.values()):
        raise ConfigurationError(
            setting, HIDDEN, allowed="an object of texts", fix='for example { "X-Team" = "search" }'
        )
    found = {str(key): str(expanded(f"{setting}.{key}", item, environ)) for key, item in value.items()}
    for key, item in found.items():
        _refuse_masked(f"{setting}.{key}", item, re.sub(r"\W", "_", key).upper())
    return found


def _parsed(text: str) -> object:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            return None
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    return (
        {name.strip(): unquote(value.strip()) for name, is_pair, value in pairs} if all(p[1] for p in pairs) else None
    )


def make_once(setting: str, exporter: type[Exporter], config: Mapping[str, Any]) -> None:
    """Let the exporter say whether its settings can be used together.

    Raises:
        ConfigurationError: they cannot.
    """
    try:
        exporter(config)
    except ValueError as error:
        secrets = [str(config[entry.name]) for entry in exporter.FIELDS if entry.secret and config[entry.name]]
        text = redact(str(error), secrets)
        raise ConfigurationError(setting, exporter.TYPE, allowed="settings that fit together", fix=text) from None
