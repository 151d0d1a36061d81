"""A context manager as a decorator of every kind of function, entered whenever the function's own code runs."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager


def decorate(function: Any, manager: Callable[[], AbstractContextManager[Any]]) -> Any:  # noqa: ANN401 - any callable
    """Return the function with its body inside `manager()`.

    A generator's block is left at each yield, so the description never leaks into the code that consumes it.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            with manager():
                return await function(*args, **kwargs)

        return coroutine
    if inspect.isasyncgenfunction(function):

        @functools.wraps(function)
        async def asyncgen(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:  # noqa: ANN401
            inner = function(*args, **kwargs)
            try:
                while True:
                    with manager():
                        try:
                            item = await anext(inner)
                        except StopAsyncIteration:
                            return
                    yield item
            finally:
                await inner.aclose()

        return asyncgen
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generator(*args: Any, **kwargs: Any) -> Iterator[Any]:  # noqa: ANN401
            inner = function(*args, **kwargs)
            try:
                while True:
                    with manager():
                        try:
                            item = next(inner)
                        except StopIteration as stop:
                            return stop.value
                    yield item
            finally:
                inner.close()

        return generator

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with manager():
            return function(*args, **kwargs)

    return plain
