"""Which headers go on, which end here, and what `X-Orobserve-*` says about a call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

    Headers = list[tuple[bytes, bytes]]

_PREFIX = b"x-orobserve-"
_METADATA = b"x-orobserve-metadata-"
_WORDS = {
    b"x-orobserve-user": "user",
    b"x-orobserve-session": "session_id",
    b"x-orobserve-trace-name": "trace_name",
    b"x-orobserve-span-name": "span_name",
    b"x-orobserve-generation-name": "generation_name",
}
_TAGS = b"x-orobserve-tags"
# Of one connection only (RFC 9110, 7.6.1); `expect` is answered here.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"expect",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# What a `Connection` header must not make us drop: without them a message means something else.
_ALWAYS = frozenset({b"authorization", b"content-encoding", b"content-length", b"content-type", b"host", b"x-api-key"})


def _dropped(headers: Headers) -> frozenset[bytes]:
    named = {token.strip().lower() for name, value in headers if name == b"connection" for token in value.split(b",")}
    return _HOP_BY_HOP | (named - _ALWAYS) if named else _HOP_BY_HOP


def for_upstream(headers: Iterable[tuple[bytes, bytes]], host: bytes) -> Headers:
    """Return a request's headers as they go on: in order, spelled as they came, with the upstream's host."""
    given = [(name, name.lower(), value) for name, value in headers]
    dropped = _dropped([(lower, value) for _, lower, value in given])
    return [
        (name, host if lower == b"host" else value)
        for name, lower, value in given
        if lower not in dropped and not lower.startswith(_PREFIX)
    ]


def for_client(headers: Headers, *, bodiless: bool) -> Headers:
    """Return a response's headers as they go on; one without a body by its status has no length either."""
    given = [(name.lower(), value) for name, value in headers]
    dropped = _dropped(given)
    return [
        (name, value) for name, value in given if name not in dropped and not (bodiless and name == b"content-length")
    ]


def said(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Return what the caller says about a call, as `orobserve.context` takes it. `%C3%A9` stands for é."""
    found: dict[str, Any] = {}
    for name, value in headers:
        lower = name.lower()
        if not lower.startswith(_PREFIX):
            continue
        text = _text(value)
        if lower in _WORDS:
            found[_WORDS[lower]] = text
        elif lower == _TAGS:
            found.setdefault("tags", []).extend(tag.strip() for tag in text.split(",") if tag.strip())
        elif lower.startswith(_METADATA):
            found.setdefault("metadata", {})[lower[len(_METADATA) :].decode("latin-1")] = text
    return found


def _text(value: bytes) -> str:
    try:
        return unquote(value.decode("utf-8"))
    except UnicodeDecodeError:
        return value.decode("latin-1")
