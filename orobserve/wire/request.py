"""What a request asks for: one table of body fields that all dialects share, and the headers that matter.

Only the fields that are present are looked at, so a small request costs little.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, TypeAlias

from orobserve.generation import ProviderPreferences, Trace
from orobserve.wire.values import count, flag, integer, mapping, number, objects, sequence, strings, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fields: TypeAlias = "dict[str, Any]"
Reader: TypeAlias = "Callable[[Fields, Any], None]"

_SLUG = re.compile(r"^~?(?P<model>[^:@]*)(?::(?P<variant>[^@:]+))?(?:@preset/(?P<preset>.+))?$")
VARIANTS = frozenset({"free", "nitro", "floor", "exacto", "thinking", "extended", "online"})
_TRACE_KEYS = ("trace_id", "trace_name", "span_name", "generation_name", "parent_span_id")


def _field(name: str, read: Callable[[Any], Any]) -> Reader:
    def reader(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
        known = read(value)
        if known is not None:  # two spellings may share a field, and a null beside the other says nothing
            fields[name] = known

    return reader


def _fallback(name: str, read: Callable[[Any], Any]) -> Reader:
    """Read a field that only counts where the better-named one is missing."""

    def reader(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
        if fields.get(name) is None:
            fields[name] = read(value)

    return reader


def _model(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    slug = fields["model"] = text(value)
    if slug and (":" in slug or "@" in slug):
        parts = _SLUG.match(slug)
        if parts and parts["variant"] in VARIANTS:
            fields["variant"] = parts["variant"]
        if parts and parts["preset"]:
            fields["preset"] = parts["preset"]


def _fallbacks(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if models := strings([item.get("model") for item in objects(value)]):
        fields["models"] = models


def _sort(value: object) -> str | None:
    if isinstance(value, dict):
        parts = [text(value.get("by")), text(value.get("partition"))]
        return "/".join(part for part in parts if part) or None
    return text(value)


def _provider(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    given, price = mapping(value), mapping(mapping(value).get("max_price"))
    if given:
        fields["provider"] = ProviderPreferences(
            order=strings(given.get("order")),
            only=strings(given.get("only")),
            ignore=strings(given.get("ignore")),
            quantizations=strings(given.get("quantizations")),
            sort=_sort(given.get("sort")),
            allow_fallbacks=flag(given.get("allow_fallbacks")),
            require_parameters=flag(given.get("require_parameters")),
            zdr=flag(given.get("zdr")),
            data_collection=text(given.get("data_collection")),
            max_price_prompt=_price(price.get("prompt")),
            max_price_completion=_price(price.get("completion")),
        )


def _price(value: object) -> float | None:
    """Read a price, which the schema allows as number and as string."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return number(value)


def _tools(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    kinds = [text(tool.get("type")) for tool in objects(value)]
    user_tools = sum(kind in {None, "function", "custom"} for kind in kinds)
    servers = [kind.removeprefix("openrouter:") for kind in kinds if kind not in {None, "function", "custom"} and kind]
    fields["tool_count"] = user_tools or None
    fields["server_tools"] = tuple(servers) or None
    if any("cache_control" in tool for tool in objects(value)):
        fields["cache_control"] = True


def _tool_choice(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        kind = text(value.get("type"))
        value = "function" if kind in {"function", "tool"} else kind
    fields["tool_choice"] = text(value)


def _reasoning(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    given = mapping(value)
    if effort := text(given.get("effort")):
        fields["reasoning_level"] = effort
    if (budget := count(given.get("max_tokens"))) is not None:
        fields["reasoning_max_tokens"] = budget


def _thinking(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if (budget := count(mapping(value).get("budget_tokens"))) is not None:
        fields["reasoning_max_tokens"] = budget


def _output_format(value: object) -> str | None:
    """Map a response format to the convention's output types."""
    kind = text(mapping(value).get("type"))
    return "json" if kind in {"json_object", "json_schema"} else ("text" if kind else None)


def _format_at(*path: str) -> Reader:
    def reader(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
        for key in path:
            value = mapping(value).get(key)
        if kind := _output_format(value):
            fields["output_type"] = kind

    return reader


def _output_config(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if effort := text(mapping(value).get("effort")):
        fields["reasoning_level"] = effort
    _format_at("format")(fields, value)


def _modalities(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    kinds = strings(value) or ()
    for kind, output_type in (("image", "image"), ("audio", "speech")):
        if kind in kinds:
            fields["output_type"] = output_type


def _speed(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if value == "fast" and not fields.get("service_tier"):
        fields["service_tier"] = "fast"


def _metadata(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if user := text(mapping(value).get("user_id")):
        fields.setdefault("user", user)


def _trace(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    given = mapping(value)
    if given:
        known = {key: text(given.get(key)) for key in _TRACE_KEYS}
        metadata = {str(key): item for key, item in given.items() if key not in known}
        fields["trace"] = Trace(**known, metadata=metadata)


def _choices(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    wanted = count(value)
    fields["choice_count"] = wanted if wanted != 1 else None


def _documents(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    fields["document_count"] = len(sequence(value)) or None


def _cached(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if value is not None:
        fields["cache_control"] = True


def _user(fields: Fields, value: Any) -> None:  # noqa: ANN401 - JSON
    if user := text(value):
        fields["user"] = user


READERS: Mapping[str, Reader] = {
    "model": _model,
    "models": _field("models", strings),
    "fallbacks": _fallbacks,
    "preset": _field("preset", text),
    "route": _field("route", text),
    "provider": _provider,
    "plugins": _field("plugins", lambda value: strings([item.get("id") for item in objects(value)])),
    "transforms": _fallback("plugins", strings),
    "tools": _tools,
    "tool_choice": _tool_choice,
    "service_tier": _field("service_tier", text),
    "speed": _speed,
    "stream": _field("stream", lambda value: True if value is True else None),
    "temperature": _field("temperature", number),
    "top_p": _field("top_p", number),
    "top_k": _field("top_k", integer),
    "frequency_penalty": _field("frequency_penalty", number),
    "presence_penalty": _field("presence_penalty", number),
    "seed": _field("seed", integer),
    "max_tokens": _fallback("max_tokens", count),
    "max_completion_tokens": _field("max_tokens", count),
    "max_output_tokens": _field("max_tokens", count),
    "stop": _field("stop_sequences", strings),
    "stop_sequences": _field("stop_sequences", strings),
    "n": _choices,
    "reasoning": _reasoning,
    "reasoning_effort": _fallback("reasoning_level", text),
    "thinking": _thinking,
    "response_format": _format_at(),
    "text": _format_at("format"),
    "output_config": _output_config,
    "modalities": _modalities,
    "encoding_format": _field("encoding_formats", strings),
    "dimensions": _field("dimensions", count),
    "documents": _documents,
    "cache_control": _cached,
    "user": _user,
    "safety_identifier": _fallback("user", text),
    "metadata": _metadata,
    "session_id": _field("session_id", text),
    "trace": _trace,
}


def read_fields(body: Mapping[str, Any], readers: Mapping[str, Reader] = READERS) -> Fields:
    """Return the `Request` fields of a body, whatever its order of keys."""
    fields: Fields = {}
    for key, value in body.items():
        reader = readers.get(key)
        if reader is not None:
            reader(fields, value)
    if fields.get("model") is None and fields.get("models"):
        _model(fields, fields["models"][0])
    return fields


def read_headers(fields: Fields, headers: Mapping[str, str]) -> None:
    """Add what the request headers (lower-case names) say; the body wins over the header for the session."""
    if not fields.get("session_id"):
        fields["session_id"] = text(headers.get("x-session-id"))
    wanted = headers.get("x-openrouter-cache")
    if wanted is not None:
        fields["response_cache"] = wanted.lower() == "true"
        fields["response_cache_ttl"] = leading_integer(headers.get("x-openrouter-cache-ttl"))
    fields["referer"] = text(headers.get("http-referer"))
    fields["title"] = text(headers.get("x-openrouter-title") or headers.get("x-title"))


def leading_integer(value: str | None) -> int | None:
    """Read a header as OpenRouter does: `60abc` is 60, `1.5` is 1."""
    digits = re.match(r"\s*(\d{1,15})", value or "")
    return int(digits[1]) if digits else None


def api_key_of(headers: Mapping[str, str]) -> str | None:
    """Return the caller's API key. Never keep it: only its hash may leave this process."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key")


def hash_api_key(key: str) -> str:
    """Return the SHA-256 by which OpenRouter's Keys API names a key: 64 lower-case hex digits."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
