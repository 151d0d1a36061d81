"""What a response has said so far. Dialects fill it, from one body or event by event; `Exchange` makes the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orobserve.generation import Citation
from orobserve.wire.shape import Texts
from orobserve.wire.values import first, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.generation import Content, Error, Job, Message
    from orobserve.wire.request import Fields
    from orobserve.wire.shape import Delta, Target
    from orobserve.wire.values import Object

_CITATIONS = 200  # that are kept
TEXT_LIMIT = 1024 * 1024  # bytes kept of one text of a stream


class Answer:
    """Mutable, one per exchange. Raw `usage` and `metadata` objects are interpreted once, at the end."""

    id: str | None = None  # the generation id, where the body names it
    response_id: str | None = None
    model: str | None = None
    provider: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    error: Error | None = None
    job: Job | None = None
    citations = 0
    images = 0
    output: tuple[Message, ...] | None = None
    texts: Texts
    began = False  # the first content, reasoning or tool call has come
    ended = False  # the protocol's terminal event has come

    def __init__(self, *, wants_content: bool = False) -> None:
        """Begin; `texts` are only kept where content is wanted."""
        self.wants_content = wants_content
        self.finish_reasons: dict[int, str] = {}
        self.native_finish_reasons: dict[int, str] = {}
        self.usage: Object = {}
        self.metadata: Object = {}
        self.cited: dict[Citation, None] = {}
        self.tool_calls: dict[Target, tuple[str | None, str | None]] = {}  # id and name
        if wants_content:
            self.texts = Texts(TEXT_LIMIT)

    def append(self, delta: Delta) -> None:
        """Take a piece of text."""
        self.began = True
        if self.wants_content:
            self.texts.append(*delta)

    def cite(self, source: Object) -> None:
        """Count a citation, and keep what it names."""
        self.citations += 1
        if self.wants_content and len(self.cited) < _CITATIONS:
            title = first([text(source.get("title")), text(source.get("document_title"))])
            found = Citation(url=text(source.get("url")), title=title)
            if found != Citation():
                self.cited[found] = None

    def call_tool(self, target: Target, call_id: str | None, name: str | None) -> None:
        """Note a tool call the first time it appears; what comes later completes it."""
        self.began = True
        known_id, known_name = self.tool_calls.get(target, (None, None))
        self.tool_calls[target] = (call_id or known_id, name or known_name)

    def merge_usage(self, usage: object) -> None:
        """Add usage: the last value that is not null wins."""
        if isinstance(usage, dict):
            if not self.usage:
                self.usage = usage
            else:
                self.usage = {**self.usage, **{key: value for key, value in usage.items() if value is not None}}

    def merge_metadata(self, document: Object) -> None:
        """Keep the router metadata of a document, if it has some."""
        metadata = document.get("openrouter_metadata")
        if isinstance(metadata, dict):
            self.metadata = metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One API dialect, as functions.

    Attributes:
        read_body: fill the answer from a whole JSON body.
        read_event: fill the answer from one event of a stream (its name, its JSON document).
        delta: what an event means if it is a piece of text and nothing else; must be a pure function of its shape.
        read_request: the request's fields, from its JSON body.
        read_prompt: the request's content, from its JSON body.
        cache_apart: the input count of `usage` leaves cached tokens out.
        bytes_only: the response is media; only its headers say something.
        counts_usage: an answer without usage is missing something.
    """

    read_body: Callable[[Answer, Object], None]
    read_request: Callable[[Mapping[str, Any]], Fields]
    read_event: Callable[[Answer, str | None, Object], None] | None = None
    delta: Callable[[Object], Delta | None] | None = None
    read_prompt: Callable[[Object], Content] | None = None
    output: Callable[[Answer], tuple[Message, ...]] | None = None
    cache_apart: bool = False
    bytes_only: bool = False
    counts_usage: bool = True
