"""What edges that are told of URLs and headers as text have in common: is the call ours, and how is it begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from orobserve._guard import guard, guarded
from orobserve.capture.observer import Flight, text_headers_of
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orobserve.capture.observer import Observer
    from orobserve.wire.exchange import Exchange


class Call:
    """A method's arguments, by position or by name as its caller gave them, for so they are handed on."""

    __slots__ = ("args", "kwargs", "owner")

    def __init__(self, owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:  # noqa: ANN401 - any library's
        self.owner = owner
        self.args = args
        self.kwargs = kwargs

    def get(self, position: int, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return an argument."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name, default)

    def put(self, position: int, name: str, value: Any) -> None:  # noqa: ANN401
        """Replace an argument, or give it by name."""
        if len(self.args) > position:
            self.args = (*self.args[:position], value, *self.args[position + 1 :])
        else:
            self.kwargs[name] = value


def host_of(url: str) -> str:
    """Return a URL's host in lower case, empty if it has none: all that other calls pay for, so it is quick."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def gate(
    current: list[Observer], host: Callable[[Any], str], begin: Callable[[Observer, Any], Flight | None]
) -> Callable[[Any], Flight | None]:
    """Return what begins a call if its host may be one of ours.

    Args:
        current: who is observing, if anybody is.
        host: returns the host of a call.
        begin: begins it, unless it is no call of ours after all.
    """

    @guarded
    def enter(call: Any) -> Flight | None:  # noqa: ANN401 - what the edge has made of it
        for observer in current:  # one at most
            if observer.knows(host(call)):
                return begin(observer, call)
        return None

    return enter


def begin(
    observer: Observer,
    method: str,
    url: str,
    question: tuple[Iterable[tuple[Any, Any]], Any],
    add: Callable[[Mapping[str, str]], None],
) -> Flight | None:
    """Begin a call if it is one of ours.

    Args:
        observer: who observes.
        method: the HTTP method.
        url: where it goes.
        question: its headers and its body, as the caller gave them.
        add: sets headers that the request lacks.
    """
    parts = urlsplit(url)
    route = observer.route(
        method.upper(), parts.hostname or "", parts.port, parts.path, tls=parts.scheme.lower() == "https"
    )
    if route is None:
        return None
    if observer.adds and not route.endpoint.poll:
        add(observer.adds)
    headers, body = question
    return Flight(*observer.begin(route, text_headers_of(headers), content_of(body), parts.query.encode()))


def content_of(body: Any) -> bytes | Mapping[str, Any]:  # noqa: ANN401 - whatever a library sends
    """Return a body that is at hand; files and iterators are for the transport alone."""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, dict):
        return {str(name): value for name, value in body.items() if isinstance(value, str)}
    return bytes(body) if isinstance(body, (bytes, bytearray, memoryview)) else b""


def settle(exchange: Exchange, observe: Callable[..., Any], *response: Any) -> Any:  # noqa: ANN401 - the edge's own
    """Tell an exchange of its response; returns what takes the response's place, or None."""
    with guard:
        return observe(exchange, *response)
    with guard:
        exchange.end(Outcome.ABANDONED)  # rather than leave its span open
    return None
