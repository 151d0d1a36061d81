"""The shell around responses that are read like files: every read is handed on as it is, and the exchange told.

A file's own methods call each other beneath the shell, so nothing is fed twice, and what a library closes or raises on
the inside is no ending. A caller who leaves a loop over the file may go on reading, so that is none either: the call
ends with the last byte, with an error, when the caller closes the file, or when nobody holds it any more.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from orobserve._guard import guard, guarded
from orobserve.capture._tap import Tap, end
from orobserve.generation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from typing_extensions import Self


class Reading:
    """A method that reads; missing where the file has none of that name, which some callers look for."""

    def __init__(self, take: Callable[..., Any]) -> None:
        self._take = take

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, tap: Any, owner: type | None = None) -> Any:
        """Return the method of one file."""
        return functools.partial(self._take, tap, getattr(tap.__wrapped__, self._name))


def _all(tap: FileTap, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return tap._self_take(read, args, kwargs, is_all=True)  # noqa: SLF001


def _some(tap: FileTap, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return tap._self_take(read, args, kwargs)  # noqa: SLF001


def _lines(tap: FileTap, read: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    lines: list[Any] = []

    def joined(*args: Any, **kwargs: Any) -> bytes:
        lines.extend(read(*args, **kwargs))
        return b"".join(lines)

    tap._self_take(joined, args, kwargs, is_all=True)  # noqa: SLF001
    return lines


def _fill(tap: FileTap, read: Callable[..., Any], buffer: Any) -> Any:
    counts: list[Any] = []

    def filled(_size: int) -> bytes:
        counts.append(read(buffer))
        return bytes(memoryview(buffer).cast("B")[: counts[0] or 0])

    tap._self_take(filled, (memoryview(buffer).nbytes,), {})  # noqa: SLF001
    return counts[0]


class FileTap(Tap):
    """A tapped file."""

    read = Reading(_all)
    read1 = Reading(_some)
    readline = Reading(_some)
    readlines = Reading(_lines)
    readinto = Reading(_fill)
    readinto1 = Reading(_fill)

    def __iter__(self) -> Any:
        """Iterate over the lines."""
        return self

    def __next__(self) -> Any:
        """Read the next line."""
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        """Close the file, then end the call."""
        self._self_leave(self.__wrapped__.close)

    def __enter__(self) -> Self:
        """Enter the file."""
        self.__wrapped__.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        """Leave the file, which closes it."""
        return self._self_leave(self.__wrapped__.__exit__, *error)

    def _self_take(
        self, read: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, is_all: bool = False
    ) -> Any:
        """Read; `is_all` if all is read where no amount is given."""
        try:
            data = read(*args, **kwargs)
        except BaseException as error:
            end(self._self_exchange, error)
            raise
        with guard:
            amount = next(iter((*args, *kwargs.values())), None)
            self._self_saw(data, amount, is_all=is_all)
        return data

    def _self_saw(self, data: Any, amount: Any, *, is_all: bool) -> None:
        exchange = self._self_exchange
        if data:
            exchange.feed(data)
        unlimited = amount is None or (isinstance(amount, int) and amount < 0)
        if (is_all and unlimited) or (not data and amount != 0) or self._self_is_drained():
            exchange.end()

    def _self_is_drained(self) -> bool:
        """Tell whether the last byte is known to have been read."""
        return False

    def _self_leave(self, leave: Callable[..., Any], *args: object) -> Any:
        try:
            return leave(*args)
        finally:
            end(self._self_exchange, Outcome.CANCELLED)

    def _self_each(self, chunks: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """Hand on what the file's own generator yields; to leave it may close the file."""
        exchange = self._self_exchange
        feed = guarded(exchange.feed)
        try:
            for chunk in chunks:
                feed(chunk)
                yield chunk
        except GeneratorExit:
            chunks.close()
            if self.__wrapped__.closed:
                end(exchange, Outcome.CANCELLED)
            raise
        except BaseException as error:
            end(exchange, error)
            raise
        end(exchange)
