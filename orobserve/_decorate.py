"""A context manager as a decorator of every kind of function, entered whenever the function's own code runs."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager

    Manager: TypeAlias = Callable[[], AbstractContextManager[Any]]


def decorate(function: Any, manager: Manager) -> Any:  # noqa: ANN401 - any callable
    """Return the function with its body inside `manager()`.

    A generator's block is left at each yield, so the description never leaks into the code that consumes it.
    """
    if inspect.iscoroutinefunction(function):
        return _coroutine(function, manager)
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, manager)
    if inspect.isgeneratorfunction(function):
        return _generator(function, manager)

    @functools.wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with manager():
            return function(*args, **kwargs)

    return plain


def _coroutine(function: Any, manager: Manager) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    async def coroutine(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        with manager():
            return await function(*args, **kwargs)

    return coroutine


def _generator(function: Any, manager: Manager) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401
        inner = function(*args, **kwargs)
        step = functools.partial(inner.send, None)
        try:
            while True:
                with manager():
                    try:
                        item = step()
                    except StopIteration as stop:
                        return stop.value
                try:
                    step = functools.partial(inner.send, (yield item))
                except Exception as error:  # noqa: BLE001 - thrown in by the consumer, for the function
                    step = functools.partial(inner.throw, error)
        finally:
            inner.close()

    return generator


def _async_generator(function: Any, manager: Manager) -> Any:  # noqa: ANN401
    @functools.wraps(function)
    async def generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401
        inner = function(*args, **kwargs)
        step = functools.partial(inner.asend, None)
        try:
            while True:
                with manager():
                    try:
                        item = await step()
                    except StopAsyncIteration:
                        return
                try:
                    step = functools.partial(inner.asend, (yield item))
                except Exception as error:  # noqa: BLE001 - thrown in by the consumer, for the function
                    step = functools.partial(inner.athrow, error)
        finally:
            await inner.aclose()

    return generator
