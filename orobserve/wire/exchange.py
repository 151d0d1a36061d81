"""One HTTP call in flight: told `request`, `response`, `feed` and `end` by an edge, it makes one `Generation`.

It never raises: what cannot be read is said in the record. It never keeps what nobody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orobserve.generation import CacheInfo, Content, Error, Generation, Outcome, Request, Stream, Timing
from orobserve.wire import (
    batches,
    chat,
    completions,
    document,
    embeddings,
    errors,
    images,
    messages,
    rerank,
    responses,
    speech,
    transcriptions,
    videos,
)
from orobserve.wire.answer import Answer, Dialect
from orobserve.wire.encoding import DecodeError, Decoder, decoder_for
from orobserve.wire.redact import redact, secrets_of_query
from orobserve.wire.request import Fields, api_key_of, build, hash_api_key, leading_integer, read_headers
from orobserve.wire.routing import read_routing, selected_provider
from orobserve.wire.stream import EventReader
from orobserve.wire.usage import read_cost, read_usage
from orobserve.wire.values import flag, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.wire.route import Route

DIALECTS: Mapping[str, Dialect] = {
    "chat_completions": chat.DIALECT,
    "completions": completions.DIALECT,
    "responses": responses.DIALECT,
    "messages": messages.DIALECT,
    "embeddings": embeddings.DIALECT,
    "rerank": rerank.DIALECT,
    "images": images.DIALECT,
    "speech": speech.DIALECT,
    "transcriptions": transcriptions.DIALECT,
    "videos": videos.DIALECT,
    "batches": batches.DIALECT,
}
_ERROR_STATUS = 400
_EMPTY = Request()
_TRUNCATED = Error(type="stream_truncated", message="the stream ended without its terminal event")


@dataclass(frozen=True, slots=True)
class Ambient:
    """What the application has said about its calls in general; the request's own fields win."""

    user: str | None = None
    session_id: str | None = None
    tags: Mapping[str, Any] = field(default_factory=dict)
    trace_name: str | None = None
    span_name: str | None = None
    generation_name: str | None = None

    @property
    def names_parents(self) -> bool:
        """Whether the call belongs below named spans."""
        return self.trace_name is not None or self.span_name is not None


_NOTHING = Ambient()


class Exchange:
    """Mutable, ends exactly once, whoever says so first: terminal event, edge, or garbage collector.

    Attributes:
        request: what was asked for, known before the call goes out.
        wants_content: messages are kept.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_cache",
        "_clock",
        "_decoder",
        "_dialect",
        "_fault",
        "_generation_id",
        "_is_media",
        "_keeps_chunk_times",
        "_on_end",
        "_prompt",
        "_retry_after",
        "_secrets",
        "_started_at",
        "_status",
        "_stream",
        "ambient",
        "asked",
        "feed",
        "route",
        "wants_content",
    )

    def __init__(
        self,
        route: Route,
        *,
        clock: Callable[[], int],
        ambient: Ambient = _NOTHING,
        wants_content: bool = False,
        keeps_chunk_times: bool = False,
    ) -> None:
        """Begin.

        Args:
            route: where the call goes.
            clock: nanoseconds since the epoch.
            ambient: what the application has said in general.
            wants_content: keep the messages.
            keeps_chunk_times: keep the time of every chunk.
        """
        self.route = route
        self.wants_content = wants_content
        self.asked = _EMPTY
        self._keeps_chunk_times = keeps_chunk_times
        self._dialect = DIALECTS[route.endpoint.api_type]
        self._answer = Answer(wants_content=wants_content)
        self.ambient = ambient
        self._clock = clock
        self._started_at = clock()
        self._on_end: list[Callable[[Generation], None]] = []
        self._body = document.Body()
        self._cache: CacheInfo | None = None
        self._decoder: Decoder | None = None
        self._fault: str | None = None
        self._generation_id: str | None = None
        self._is_media = False
        self._prompt: Content | None = None
        self._retry_after: float | None = None
        self._secrets: tuple[str, str] = ("", "")  # the API key and the URL's query, to keep both out of messages
        self._status: int | None = None
        self._stream: EventReader | None = None
        self.feed: Callable[[bytes], None] = self._body.feed

    @property
    def started_at(self) -> int:
        """When the call began, nanoseconds since the epoch."""
        return self._started_at

    @property
    def ended(self) -> bool:
        """Whether the record was made."""
        return not self._on_end

    def on_end(self, callback: Callable[[Generation], None]) -> None:
        """Set who gets the record; must be called before the call goes out."""
        self._on_end = [callback]

    def request(self, headers: Mapping[str, str], body: bytes | Mapping[str, Any], query: str = "") -> None:
        """Take the request.

        Args:
            headers: header names in lower case.
            body: the whole body, empty if it is a stream of the caller's; or the fields of a form.
            query: the URL's query.
        """
        if isinstance(body, bytes):
            given = self._parse_request(headers.get("content-type", ""), body)
        else:
            given = dict(body)
        fields: Fields = self._dialect.read_request(given)
        read_headers(fields, headers)
        ambient = self.ambient
        if ambient.user and not fields.get("user"):
            fields["user"] = ambient.user
        if ambient.session_id and not fields.get("session_id"):
            fields["session_id"] = ambient.session_id
        key = api_key_of(headers)
        self._secrets = (key or "", query)
        if key:
            fields["api_key_hash"] = hash_api_key(key)
        self.asked = build(fields)
        if self.wants_content and self._dialect.read_prompt:
            self._prompt = self._dialect.read_prompt(given)

    def _parse_request(self, content_type: str, body: bytes) -> dict[str, Any]:
        if content_type.startswith("multipart/"):
            return transcriptions.read_form(body, content_type)
        try:
            given = document.parse(body) if body else {}
        except ValueError:
            return {}
        return given if isinstance(given, dict) else {}

    def response(self, status: int, headers: Mapping[str, str], *, decoded: bool = False) -> None:
        """Take the response's head: header names in lower case.

        Args:
            status: the HTTP status.
            headers: the headers.
            decoded: `feed` will bring content bytes rather than wire bytes.
        """
        self._status = status
        self._generation_id = text(headers.get("x-generation-id"))
        self._retry_after = errors.retry_after(headers, self._clock()) if "retry-after" in headers else None
        if cache_status := headers.get("x-openrouter-cache-status"):
            self._cache = CacheInfo(
                status=cache_status.lower(),
                age=leading_integer(headers.get("x-openrouter-cache-age")),
                ttl=leading_integer(headers.get("x-openrouter-cache-ttl")),
                source_id=text(headers.get("x-openrouter-cache-source-id")),
            )
        self._choose_feed(headers, status, decoded=decoded)

    def _choose_feed(self, headers: Mapping[str, str], status: int, *, decoded: bool) -> None:
        dialect = self._dialect
        content_type = headers.get("content-type", "")
        is_json = content_type.startswith(("application/json", "text/json"))
        if content_type.startswith("text/event-stream") and dialect.read_event:
            self._stream = EventReader(self._answer, dialect, self._clock, self._on_terminal)
            if self._keeps_chunk_times:
                self._stream.times = []
            self.feed = self._stream.feed
        elif dialect.bytes_only and status < _ERROR_STATUS and not is_json:
            self._is_media = True
            self.feed = self._count
        if not decoded and "content-encoding" in headers:
            try:
                self._decoder = decoder_for(headers["content-encoding"])
            except DecodeError:
                self._fault = "undecodable"
                self.feed = self._count
                return
            if self._decoder:
                inner = self.feed
                self.feed = lambda data: self._decode(data, inner)

    def _decode(self, data: bytes, inner: Callable[[bytes], None]) -> None:
        try:
            content = self._decoder.decode(data) if self._decoder else data
        except DecodeError:
            self._fault = "undecodable"
            self.feed = self._count
            return
        if content:
            inner(content)

    def _count(self, data: bytes) -> None:
        self._body.received += len(data)

    def _on_terminal(self) -> None:
        self._finish(None, complete=True)

    def end(self, reason: BaseException | Outcome | None = None) -> None:
        """End the call.

        Args:
            reason: None after the last byte; the exception that ended it; or how it ended without one.
        """
        if self._on_end:
            self._finish(reason, complete=reason is None)

    def _finish(self, reason: BaseException | Outcome | None, *, complete: bool) -> None:
        try:
            callback = self._on_end.pop()  # atomic, so that two threads cannot both end the call
        except IndexError:
            return
        self.feed = _ignore
        ended_at = self._clock()
        answer = self._answer
        if self._stream is not None:
            self._stream.close(flush=complete and not answer.ended)
        elif self._status is not None:
            self._read_body(complete=complete)
        callback(self._generation(reason, ended_at))

    def _read_body(self, *, complete: bool) -> None:
        body = self._body
        if self._fault or self._is_media:
            return
        if body.oversized:
            self._fault = "oversized"
            return
        content = body.content()
        if not content:
            self._fault = "empty" if complete and self._status != 204 else None  # noqa: PLR2004 - No Content
            return
        try:
            given = document.parse(content)
        except document.OversizedError:
            self._fault = "oversized"
        except ValueError:
            self._fault = "malformed" if complete else None
        else:
            if isinstance(given, dict):
                self._dialect.read_body(self._answer, given)
            else:
                self._fault = "malformed"

    def _outcome(self, reason: BaseException | Outcome | None, error: Error | None) -> Outcome:
        if error is _TRUNCATED:
            return Outcome.TRUNCATED
        if isinstance(reason, Exception) or error is not None:
            return Outcome.FAILED
        if isinstance(reason, Outcome):
            return reason
        if reason is not None:
            return Outcome.CANCELLED
        return Outcome.COMPLETE

    def _error(self, reason: BaseException | Outcome | None) -> Error | None:
        error = self._answer.error
        if reason is Outcome.FAILED and error is None:
            error = Error(type=errors.UNKNOWN, message="no response", transport=True)
        if error is None and isinstance(reason, Exception):
            kind = type(reason)
            error = Error(type=f"{kind.__module__}.{kind.__qualname__}", message=str(reason) or None, transport=True)
        status = self._status
        if error is None and status is not None and status >= _ERROR_STATUS:
            error = errors.status_error(status)
        if error is not None and error.type == errors.UNKNOWN and status is not None and status >= _ERROR_STATUS:
            error = replace(error, type=str(status), code=error.code or str(status))
        if error is None and reason is None and self._is_truncated():
            error = _TRUNCATED
        if error is not None and self._retry_after is not None:
            error = replace(error, retry_after=self._retry_after)
        if error is not None and error.message and error is not _TRUNCATED:
            key, query = self._secrets
            error = replace(error, message=redact(error.message, [key, *secrets_of_query(query)]))
        return error

    def _is_truncated(self) -> bool:
        """Tell whether a stream ended without its terminal event; its last figures are as good as that event."""
        answer = self._answer
        return self._stream is not None and not answer.ended and not (answer.finish_reasons and answer.usage)

    def _generation(self, reason: BaseException | Outcome | None, ended_at: int) -> Generation:
        answer, asked, route = self._answer, self.asked, self.route
        error = self._error(reason)
        outcome = self._outcome(reason, error)
        metadata = answer.metadata
        status = self._status
        return Generation(
            api_type=route.endpoint.api_type,
            operation=route.endpoint.operation,
            outcome=outcome,
            timing=self._timing(ended_at),
            request=asked,
            server_address=route.host,
            server_port=route.port,
            id=self._generation_id or answer.id,
            response_id=answer.response_id or self._generation_id,
            status_code=status,
            model=answer.model,
            provider=answer.provider or (selected_provider(metadata) if metadata else None),
            finish_reasons=self._finish_reasons(outcome),
            native_finish_reasons=tuple(answer.native_finish_reasons.values()) or None,
            service_tier=answer.service_tier,
            system_fingerprint=answer.system_fingerprint,
            usage=read_usage(answer.usage, cache_apart=self._dialect.cache_apart) if answer.usage else None,
            cost=read_cost(answer.usage, flag(metadata.get("is_byok"))) if answer.usage else None,
            routing=read_routing(metadata, asked, answer.model, status),
            cache=self._cache,
            error=error,
            stream=self._stream_facts(),
            job=answer.job,
            citation_count=answer.citations or None,
            image_count=answer.images or None,
            tool_call_count=len(answer.tool_calls) or None,
            body_fault=self._fault,
            content=self._content() if self.wants_content else None,
            tags=self.ambient.tags,
        )

    def _timing(self, ended_at: int) -> Timing:
        stream = self._stream
        return Timing(
            started_at=self._started_at,
            ended_at=ended_at,
            first_chunk_at=stream.first_chunk_at if stream else None,
            chunks_at=tuple(stream.times or ()) if stream else (),
        )

    def _finish_reasons(self, outcome: Outcome) -> tuple[str, ...] | None:
        reasons = tuple(self._answer.finish_reasons.values())
        if self._stream is not None and not reasons and outcome is not Outcome.COMPLETE:
            return ("error",)
        return reasons or None

    def _stream_facts(self) -> Stream | None:
        stream = self._stream
        if stream is None:
            return None
        missing = True if self._dialect.counts_usage and not self._answer.usage else None
        return Stream(chunk_count=stream.chunks, keepalive_count=stream.keepalives, usage_missing=missing)

    def _content(self) -> Content | None:
        prompt = self._prompt or Content()
        output = self._answer.output
        if not output and self._stream is not None and self._dialect.output:
            output = self._dialect.output(self._answer)
        return Content(input=prompt.input, output=output or (), system=prompt.system, tools=prompt.tools)


def _ignore(_data: bytes) -> None:
    """Take what comes after the terminal event."""
