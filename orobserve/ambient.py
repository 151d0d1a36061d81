"""What the application says about its calls: who, which session, which names. Follows tasks and threads' contexts."""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve.errors import ConfigurationError
from orobserve.wire.exchange import ENRICHMENT_MODES, Ambient
from orobserve.wire.values import whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

_current: ContextVar[Ambient] = ContextVar("orobserve_ambient", default=Ambient())  # noqa: B039 - immutable


def current() -> Ambient:
    """Return what holds here."""
    return _current.get()


class context(ContextDecorator):  # noqa: N801 - used as `with orobserve.context(...)` and `@orobserve.context(...)`
    """Describe the calls in a block, or in a function it decorates (async functions too). Nested ones add up.

    Explicit fields of a request win. Nothing is added to the request itself: its bytes never change.

    Args:
        user: who caused the call (`user.id`).
        session_id: which conversation it belongs to (`session.id`, `gen_ai.conversation.id`).
        trace_name: name of a parent span above the calls, where there is no span yet.
        span_name: name of a parent span below that one.
        generation_name: name of the call's own span.
        metadata: custom values, as `trace.metadata.<key>` on spans.
        tags: words that group calls, as `trace.metadata.tags`.
        enrichment: whether to ask OpenRouter for its record of these calls: `always`, `missing` or `never`.

    Raises:
        ConfigurationError: `enrichment` is none of these.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to say, and all have names
        self,
        *,
        user: str | None = None,
        session_id: str | None = None,
        trace_name: str | None = None,
        span_name: str | None = None,
        generation_name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tags: list[str] | tuple[str, ...] | None = None,
        enrichment: str | None = None,
    ) -> None:
        if enrichment is not None and enrichment not in ENRICHMENT_MODES:
            allowed = ", ".join(map(repr, ENRICHMENT_MODES))
            raise ConfigurationError("enrichment", enrichment, allowed=allowed, fix="use one of them")
        given = {
            "user": user,
            "session_id": session_id,
            "trace_name": trace_name,
            "span_name": span_name,
            "generation_name": generation_name,
            "enrichment": enrichment,
        }
        self._changes = {name: whole(str(value)) for name, value in given.items() if value is not None}
        self._tags: dict[str, Any] = dict(metadata or {})
        if tags:
            self._tags["tags"] = list(tags)
        self._tokens: list[Token[Ambient]] = []

    def __enter__(self) -> Self:
        """Begin."""
        outer = _current.get()
        ambient = replace(outer, **self._changes, tags={**(outer.tags or {}), **self._tags})
        self._tokens.append(_current.set(ambient))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        _current.reset(self._tokens.pop())

    def _recreate_cm(self) -> context:
        fresh = context()
        fresh._changes, fresh._tags = self._changes, self._tags
        return fresh

    def __call__(self, function: Any) -> Any:  # noqa: ANN401 - any callable
        """Decorate a function; a coroutine function, or an (async) generator function, is described while it runs."""
        from orobserve._decorate import decorate  # noqa: PLC0415 - rarely used

        return decorate(function, self._recreate_cm)
