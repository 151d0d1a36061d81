"""The JSON Schema of `orobserve.toml`, for editors: completion, help, and marks under what cannot be right.

It says what a value looks like, never what must be there: the environment may give what the file does not.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orobserve import config_values as values
from orobserve.delivery import filters, privacy
from orobserve.delivery.sampling import Exempt
from orobserve.delivery.settings import find_exporter, installed
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from dataclasses import Field as Setting

    from orobserve.delivery.exporter import Field

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "object", "additionalProperties": _TEXT}
_LIST: Schema = {"type": "array", "items": _TEXT}
_FLAG: Schema = {"type": "boolean"}
_SHAPES: dict[type, Schema] = {
    str: {"type": ["string", "number"]},
    int: {"type": ["integer", "string"]},  # a text may name an environment variable
    float: {"type": ["number", "string"]},
    bool: {"type": ["boolean", "string"]},
    dict: {"anyOf": [_TEXTS, _TEXT]},
}
_PARSERS: dict[Any, Schema] = {
    values.boolean: _FLAG,
    values.tri_state: {"enum": [True, False, "auto"]},
    values.integer: {"type": "integer", "minimum": 0},
    values.positive: {"type": "number", "exclusiveMinimum": 0},
}
_BUDGET: Schema = {
    "type": "object",
    "required": ["amount"],
    "additionalProperties": False,
    "properties": {
        "amount": {"type": ["number", "string"], "description": "USD"},
        "period": {"enum": ["hour", "day", "week", "month"]},
        "by": {"enum": ["none", "user", "key", "tag"], "description": "each of which has the amount"},
        **{name: {**_TEXT, "description": f"only this {name}"} for name in ("user", "key", "tag")},
        "thresholds": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 1},
        "name": _TEXT,
        "webhook": {**_TEXT, "description": "URL that alerts are posted to, or $NAME"},
        "notify": {**_FLAG, "description": "show alerts on the desktop"},
    },
}


def camel(name: str) -> str:
    """Return a name as Broadcast spells it: `baseUrl`."""
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def schema(known: Mapping[str, Setting[Any]]) -> Schema:
    """Return the schema, with the types that are installed here; `known` are all settings by name."""
    settings = {name: setting for name, setting in known.items() if setting.metadata["file"]}
    properties = {name: _setting(setting) for name, setting in settings.items()}
    properties["destinations"] = {
        "description": settings["destinations"].metadata["help"],
        "anyOf": [{"type": "array", "items": {"anyOf": [_TEXT, {"$ref": "#/$defs/destination"}]}}, _TEXT],
    }
    properties["budgets"] = {
        "description": settings["budgets"].metadata["help"],
        "anyOf": [{"type": "array", "items": {"anyOf": [_TEXT, {"$ref": "#/$defs/budget"}]}}, _TEXT],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "orobserve.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "$defs": {"budget": _BUDGET, "destination": _destination(), "filter_rules": _filter_rules()},
    }


def _setting(setting: Setting[Any]) -> Schema:
    parse = setting.metadata["parse"]
    if isinstance(parse, values.OneOf):
        shape: Schema = {"enum": list(parse.allowed)}
    elif parse in _PARSERS:
        shape = _PARSERS[parse]
    elif "tuple" in str(setting.type):
        shape = {"anyOf": [_LIST, _TEXT]}
    elif setting.name == "api_key_labels":
        shape = _TEXTS
    else:  # content: a mode, or true or false
        shape = {"type": ["string", "boolean"]}
    return {"description": setting.metadata["help"], **shape}


def _destination() -> Schema:
    types = sorted(installed())
    return {
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": {"enum": types},
            "name": {"type": "string", "description": "default: the type, numbered from the second one on"},
            "enabled": _FLAG,
            "config": {"type": "object"},
            "sampling_rate": {"type": "number", "minimum": 0, "maximum": 1, "description": "whole sessions in or out"},
            "privacy_mode": {**_FLAG, "description": "send no content"},
            "api_key_hashes": {**_LIST, "minItems": 1, "description": "only calls with these keys"},
            "filter_rules": {"$ref": "#/$defs/filter_rules"},
            "groups_logic": {"enum": list(filters.LOGIC.allowed), "description": "how groups of rules are joined"},
            "broadcast_generation_cost": _FLAG,
            "broadcast_generation_identity": _FLAG,
            "broadcast_generation_request_context": _FLAG,
            "always_send": {
                "anyOf": [{"type": "array", "items": {"enum": [item.value for item in Exempt]}}, _TEXT],
                "description": "calls that are sent whatever the sampling rate",
            },
            "always_send_above": {
                "type": "number",
                "minimum": 0,
                "description": "likewise, calls above this cost in USD",
            },
            "mask_patterns": {**_LIST, "description": ", ".join(privacy.NAMED) + ", or regular expressions"},
            **dict.fromkeys(("id", "workspace_id", "created_at", "updated_at"), _TEXT),
        },
        "allOf": [
            {"if": {"properties": {"type": {"const": name}}}, "then": {"properties": {"config": config}}}
            for name, config in ((name, _config(name)) for name in types)
            if config is not None
        ],
    }


def _config(name: str) -> Schema | None:
    try:
        exporter = find_exporter(name)
    except ConfigurationError:  # a package it needs is missing here: its keys are not known
        return None
    fields = {"headers": _TEXTS, **{entry.name: _field(entry) for entry in exporter.FIELDS}}
    spelt = {spelling: shape for key, shape in fields.items() for spelling in (key, camel(key))}
    return {"type": "object", "description": exporter.TITLE, "additionalProperties": False, "properties": spelt}


def _field(entry: Field) -> Schema:
    shape = dict(_SHAPES[entry.kind])
    if entry.choices:
        shape = {"anyOf": [{"enum": list(entry.choices)}, {"type": "string", "pattern": r"^\$"}]}
    return {**shape, "description": entry.help, **({} if entry.default is None else {"default": entry.default})}


def _filter_rules() -> Schema:
    rule = {
        "type": "object",
        "required": ["field", "operator"],
        "additionalProperties": False,
        "properties": {
            "field": {"enum": list(filters.FIELDS)},
            "operator": {"enum": list(filters.OPERATORS)},
            "value": {"type": ["string", "number"]},
        },
    }
    group = {
        "type": "object",
        "required": ["rules"],
        "additionalProperties": False,
        "properties": {"logic": {"enum": ["and", "or"]}, "rules": {"type": "array", "items": rule}},
    }
    return {
        "type": "object",
        "required": ["groups"],
        "additionalProperties": False,
        "properties": {"enabled": _FLAG, "groups": {"type": "array", "items": group}},
    }
