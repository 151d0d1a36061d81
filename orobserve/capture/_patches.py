"""Puts our functions on classes and takes them off again, once per class, whatever names it has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import wrapt

from orobserve._guard import guard
from orobserve.capture import httpx as edge

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from orobserve.capture.observer import Observer

_patched: list[tuple[type, str, Any, Any]] = []  # class, attribute, what was there, what we put
_current: list[Observer] = []
_hooked: set[str] = set()


def install(new: Observer) -> None:
    """Observe the HTTP libraries that are imported, and those that will be."""
    _current[:] = [new]
    for name in edge.MODULES:
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "AsyncClient"):
            _patch_module(module)
        elif name not in _hooked:
            _hooked.add(name)
            wrapt.register_post_import_hook(_on_import, name)


def _on_import(module: ModuleType) -> None:
    with guard:
        if _current:
            _patch_module(module)


def _patch_module(module: ModuleType) -> None:
    _patch(module.Client, "send", edge.replace_send)
    _patch(module.AsyncClient, "send", edge.replace_async_send)


def _patch(owner: type, name: str, replacement: Callable[..., Any]) -> None:
    if any(done is owner and attribute == name for done, attribute, _, _ in _patched):
        return
    original = owner.__dict__[name]
    ours = replacement(original, _current)
    setattr(owner, name, ours)
    _patched.append((owner, name, original, ours))


def uninstall() -> None:
    """Restore every class, unless someone has patched it after us: then ours stays and does nothing."""
    for observing in _current:
        observing.stop()
    _current.clear()
    for entry in list(_patched):
        owner, name, original, ours = entry
        if owner.__dict__.get(name) is ours:
            setattr(owner, name, original)
            _patched.remove(entry)
