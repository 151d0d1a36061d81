"""One HTTP call in flight: told `request`, `response`, `feed` and `end` by an edge, it makes one `Generation`.

It never raises: what cannot be read is said in the record. It never keeps what nobody asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from orobserve.generation import CacheInfo, Content, Generation, Outcome, Request, Stream, Timing, fill
from orobserve.wire import document, errors, verdict
from orobserve.wire.answer import Answer
from orobserve.wire.dialects import DIALECTS
from orobserve.wire.encoding import DecodeError, Decoder, decoder_for
from orobserve.wire.redact import secrets_of_query
from orobserve.wire.request import api_key_of, hash_api_key, leading_integer, read_headers
from orobserve.wire.routing import read_routing, selected_provider
from orobserve.wire.stream import EventReader
from orobserve.wire.transcriptions import read_form
from orobserve.wire.usage import read_cost, read_usage
from orobserve.wire.values import flag, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.wire.route import Route
    from orobserve.wire.verdict import Reason

ENRICHMENT_MODES = ("always", "missing", "never")
_NO_CONTENT_STATUS = 204
_EMPTY = Request()


@dataclass(frozen=True, slots=True)
class Ambient:
    """What the application has said about its calls in general; the request's own fields win."""

    user: str | None = None
    session_id: str | None = None
    tags: Mapping[str, Any] | None = None
    trace_name: str | None = None
    span_name: str | None = None
    generation_name: str | None = None
    enrichment: str | None = None  # the mode for these calls

    @property
    def names_anything(self) -> bool:
        """Whether the call or its parents have names."""
        return self.generation_name is not None or self.trace_name is not None or self.span_name is not None


_NOTHING = Ambient()


class Exchange:
    """Mutable, ends exactly once, whoever says so first: terminal event, edge, or garbage collector.

    Attributes:
        asked: what was asked for, known before the call goes out.
        ambient: what the application has said in general.
        route: where the call goes.
        started_at: when it began, nanoseconds since the epoch.
        feed: takes the next bytes of the response.
        resent: how often the HTTP library has sent the call again.
    """

    __slots__ = (
        "_answer",
        "_answer_body",
        "_body",
        "_cache",
        "_clock",
        "_decoder",
        "_defers_content",
        "_dialect",
        "_fault",
        "_generation_id",
        "_is_media",
        "_keeps_chunk_times",
        "_on_end",
        "_question",
        "_retry_after",
        "_secrets",
        "_status",
        "_stream",
        "_wants_content",
        "ambient",
        "asked",
        "feed",
        "resent",
        "route",
        "started_at",
    )

    def __init__(
        self,
        route: Route,
        *,
        clock: Callable[[], int],
        ambient: Ambient = _NOTHING,
        wants_content: bool = False,
        defers_content: bool = False,
        keeps_chunk_times: bool = False,
    ) -> None:
        """Begin.

        Args:
            route: where the call goes.
            clock: nanoseconds since the epoch.
            ambient: what the application has said in general.
            wants_content: keep the messages.
            defers_content: leave them out of the record: `content` reads them later, on another thread.
            keeps_chunk_times: keep the time of every chunk.
        """
        self.route = route
        self.ambient = ambient
        self.asked = _EMPTY
        self.started_at = clock()
        self._clock = clock
        self._wants_content = wants_content
        self._defers_content = defers_content
        self._keeps_chunk_times = keeps_chunk_times
        self._dialect = DIALECTS[route.endpoint.api_type]
        self._answer = Answer(wants_content=wants_content)
        self._body = document.Body()
        self._cache: CacheInfo | None = None
        self._decoder: Decoder | None = None
        self._fault: str | None = None
        self._generation_id: str | None = None
        self._is_media = False
        self._on_end: list[Callable[[Generation], None]] = []
        self._question: dict[str, Any] | None = None  # what is read only when content is asked for
        self._answer_body: dict[str, Any] | None = None
        self._retry_after: float | None = None
        self._secrets = ("", b"")  # the API key and the URL's query, to keep both out of messages
        self._status: int | None = None
        self.resent = 0
        self._stream: EventReader | None = None
        self.feed: Callable[[bytes], None] = self._body.feed

    @property
    def api_key(self) -> str:
        """The key the call was made with, empty if there was none; to ask about the call, and never to leave memory."""
        return self._secrets[0]

    @property
    def ended(self) -> bool:
        """Whether the record was made."""
        return not self._on_end

    def on_end(self, callback: Callable[[Generation], None]) -> None:
        """Set who gets the record; must be called before the call goes out."""
        self._on_end = [callback]

    def request(self, headers: Mapping[str, str], body: bytes | Mapping[str, Any], query: bytes = b"") -> None:
        """Take the request.

        Args:
            headers: header names in lower case.
            body: the whole body, empty if it is a stream of the caller's; or the fields of a form.
            query: the URL's query.
        """
        given = _parse_request(headers.get("content-type", ""), body) if isinstance(body, bytes) else dict(body)
        fields = self._dialect.read_request(given)
        read_headers(fields, headers)
        ambient = self.ambient
        if ambient.user and not fields.get("user"):
            fields["user"] = ambient.user
        if ambient.session_id and not fields.get("session_id"):
            fields["session_id"] = ambient.session_id
        key = api_key_of(headers)
        if key:
            fields["api_key_hash"] = hash_api_key(key)
        self._secrets = (key or "", query)
        self.asked = fill(Request, fields)
        if self._wants_content:
            self._question = given

    def response(self, status: int, headers: Mapping[str, str], *, decoded: bool = False) -> None:
        """Take the response's head.

        Args:
            status: the HTTP status.
            headers: header names in lower case.
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
        self._choose_feed(headers, status)
        if not decoded and "content-encoding" in headers:
            self._decode_first(headers["content-encoding"])

    def _choose_feed(self, headers: Mapping[str, str], status: int) -> None:
        dialect, content_type = self._dialect, headers.get("content-type", "").lower()
        if content_type.startswith("text/event-stream") and dialect.read_event:
            self._stream = EventReader(
                self._answer,
                dialect,
                clock=self._clock,
                keeps_times=self._keeps_chunk_times,
                on_terminal=self._on_terminal,
            )
            self.feed = self._stream.feed
        elif dialect.bytes_only and status < verdict.ERROR_STATUS and not content_type.startswith("application/json"):
            self._is_media = True
            self.feed = _ignore

    def _decode_first(self, content_encoding: str) -> None:
        try:
            self._decoder = decoder_for(content_encoding)
        except DecodeError:
            self._give_up("undecodable")
            return
        if self._decoder:
            inner = self.feed
            self.feed = lambda data: self._decode(data, inner)

    def _decode(self, data: bytes, inner: Callable[[bytes], None]) -> None:
        if self._fault is not None:
            return
        try:
            content = self._decoder.decode(data) if self._decoder else data
        except DecodeError:
            self._give_up("undecodable")
            return
        if content:
            inner(content)

    def _give_up(self, fault: str) -> None:
        self._fault = fault
        self.feed = _ignore

    def _on_terminal(self) -> None:
        self._finish(None)

    def end(self, reason: Reason = None) -> None:
        """End the call.

        Args:
            reason: None after the last byte; the exception that ended it; or how it ended without one.
        """
        if self._on_end:
            self._finish(reason)

    def _finish(self, reason: Reason) -> None:
        try:
            callback = self._on_end.pop()  # atomic, so that two threads cannot both end the call
        except IndexError:
            return
        ended_at = self._clock()
        self.feed = _ignore
        if self._stream is not None:
            self._stream.close(flush=reason is None and not self._answer.ended)
        elif self._status is not None and not self._is_media and self._fault is None:
            self._fault = self._read_body(complete=reason is None)
        callback(self._generation(reason, ended_at))

    def _read_body(self, *, complete: bool) -> str | None:
        """Read the collected body; returns why it could not be read, if so."""
        if self._body.oversized:
            return "oversized"
        content = self._body.content()
        self._body = document.Body()  # a call may wait for its record: what is read need not
        if not content:
            return "empty" if complete and self._status != _NO_CONTENT_STATUS else None
        try:
            given = document.parse(content)
        except document.OversizedError:
            return "oversized"
        except ValueError:
            return "malformed" if complete else None
        if not isinstance(given, dict):
            return "malformed"
        if self._wants_content:
            self._answer_body = given
            self._answer.wants_content = False
        self._dialect.read_body(self._answer, given)
        return None

    def _generation(self, reason: Reason, ended_at: int) -> Generation:
        answer, asked, route, stream = self._answer, self.asked, self.route, self._stream
        # A stream's last figures are as good as its terminal event; one that cannot be read may have had it.
        closing = answer.ended or (answer.usage and (answer.finish_reasons or answer.images))
        truncated = stream is not None and not closing and self._fault is None
        outcome, error = verdict.judge(answer.error, reason, self._status, truncated=truncated)
        if error is not None:
            key, query = self._secrets
            secrets = [key, *secrets_of_query(query.decode("ascii", "replace"))]
            error = verdict.complete(error, self._status, self._retry_after, secrets)
        metadata, usage = answer.metadata, answer.usage
        fields: dict[str, Any] = {
            "api_type": route.endpoint.api_type,
            "operation": route.endpoint.operation,
            "outcome": outcome,
            "timing": self._timing(ended_at),
            "request": asked,
            "server_address": route.host,
            "server_port": route.port,
            "id": self._generation_id or answer.id,
            "response_id": answer.response_id or self._generation_id,
            "status_code": self._status,
            "model": answer.model,
            "provider": answer.provider or (selected_provider(metadata) if metadata else None),
            "finish_reasons": tuple(answer.finish_reasons.values()) or None,
            "native_finish_reasons": tuple(answer.native_finish_reasons.values()) or None,
            "service_tier": answer.service_tier,
            "system_fingerprint": answer.system_fingerprint,
            "routing": read_routing(metadata, asked, answer.model, self._status),
            "error": error,
            "cache": self._cache,
            "job": answer.job,
            "body_fault": self._fault,
            "tags": self.ambient.tags,
            "citation_count": answer.citations or None,
            "image_count": answer.images or None,
            "tool_call_count": len(answer.tool_calls) or None,
            "resend_count": self.resent or None,
        }
        if usage:
            fields["usage"] = read_usage(usage, cache_apart=self._dialect.cache_apart)
            fields["cost"] = read_cost(usage, is_byok=flag(metadata.get("is_byok")))
        if stream is not None:
            missing = True if self._dialect.counts_usage and not usage else None
            fields["stream"] = Stream(
                chunk_count=stream.chunks, keepalive_count=stream.keepalives, usage_missing=missing
            )
            if outcome is not Outcome.COMPLETE and not answer.finish_reasons and not (error and error.transport):
                fields["finish_reasons"] = ("error",)
        if not self._defers_content:
            fields["content"] = self.content()
        fields.update(self.names)
        return fill(Generation, fields)

    @property
    def names(self) -> dict[str, str]:
        """What the call and its parents are called: `name`, `trace_name`, `span_name`. The request's names win."""
        ambient, given = self.ambient, self.asked.trace
        if given is None and not ambient.names_anything:
            return {}
        found = {
            "name": (given and given.generation_name) or ambient.generation_name,
            "trace_name": (given and given.trace_name) or ambient.trace_name,
            "span_name": (given and given.span_name) or ambient.span_name,
        }
        return {key: name for key, name in found.items() if name}

    def _timing(self, ended_at: int) -> Timing:
        stream = self._stream
        if stream is None:
            return fill(Timing, {"started_at": self.started_at, "ended_at": ended_at})
        return Timing(
            started_at=self.started_at,
            ended_at=ended_at,
            first_chunk_at=stream.first_chunk_at,
            chunks_at=tuple(stream.times or ()),
        )

    def content(self) -> Content | None:
        """Return what was said, once the call has ended; None unless it is wanted."""
        if not self._wants_content:
            return None
        dialect, answer = self._dialect, self._answer
        prompt = dialect.read_prompt(self._question) if dialect.read_prompt and self._question else Content()
        if self._answer_body is not None:
            answer = Answer(wants_content=True)
            dialect.read_body(answer, self._answer_body)
        output = answer.output
        if not output and self._stream is not None and dialect.output:
            output = dialect.output(answer)
        return replace(prompt, output=output or (), citations=tuple(answer.cited))


def _parse_request(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type.startswith("multipart/"):
        return read_form(body, content_type)
    try:
        given = document.parse(body) if body else {}
    except ValueError:
        return {}
    return given if isinstance(given, dict) else {}


def _ignore(_data: bytes) -> None:
    """Take what nobody needs: media, and what comes after the terminal event."""
