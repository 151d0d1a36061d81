"""The labels of a call's metrics: a fixed set of names, and values of bounded variety.

Names come from users and, worse, from models that make them up. Ids, users and sessions are never labels.
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from orobserve.telemetry import names
from orobserve.telemetry.attributes import simple
from orobserve.wire.values import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AttributeValue

    from orobserve.config import Config
    from orobserve.generation import Generation

OTHER = "_other"
_LONGEST = 128  # characters of a value
_NOTHING: dict[str, Any] = {}
_locks = [threading.Lock()]  # one for all: it is held only while something new is noted
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _locks.__setitem__(0, threading.Lock()))


class Bounded:
    """Keeps labels from outside bounded: at most `limit` values of each, and three times as many sets of them.

    A value beyond is `_other`. In a set beyond, first what the caller has named is `_other`, then all of it: what
    OpenRouter says of a call matters most. Every call is counted.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: dict[str, set[Any]] = {}
        self._full: set[Any] = set()
        self._coarse: set[Any] = set()

    def __call__(self, told: Mapping[str, Any], asked: Mapping[str, Any] = _NOTHING) -> dict[str, AttributeValue]:
        """Return the labels that are not None.

        Args:
            told: what OpenRouter says.
            asked: what the caller has named.
        """
        by_openrouter, by_caller = self._capped(told), self._capped(asked)
        labels = {**by_openrouter, **by_caller}
        if self._has_room(self._full, tuple(labels.items()), 2 * self._limit):
            return labels
        labels = {**by_openrouter, **dict.fromkeys(by_caller, OTHER)}
        if self._has_room(self._coarse, tuple(labels.items()), self._limit):
            return labels
        return dict.fromkeys(labels, OTHER)

    def _capped(self, labels: Mapping[str, Any]) -> dict[str, AttributeValue]:
        return {name: self._value(name, value) for name, value in labels.items() if value is not None}

    def _value(self, name: str, value: Any) -> Any:  # noqa: ANN401 - an attribute's
        known = self._values.setdefault(name, set())
        if value in known:
            return value
        if isinstance(value, str):
            value = whole(value[:_LONGEST])
        return value if self._has_room(known, value, self._limit) else OTHER

    def _has_room(self, known: set[Any], value: object, limit: int) -> bool:
        if value in known:
            return True
        with _locks[0]:
            if len(known) >= limit:
                return False
            known.add(value)
        return True


class CallLabels:
    """The labels that all metrics of a call have."""

    def __init__(self, config: Config) -> None:
        self._bounded = Bounded(config.metric_limit)
        self._tags = {name: names.TAG_PREFIX + name for name in config.metric_tags}
        self._key_labels: Mapping[str, str] = config.api_key_labels

    def __call__(self, generation: Generation) -> dict[str, AttributeValue]:
        """Return a call's labels; what is not known of it has none."""
        request, error = generation.request, generation.error
        told = {
            names.OPERATION_NAME: generation.operation,
            names.SERVER_ADDRESS: generation.server_address,
            names.SERVER_PORT: generation.server_port,
            names.RESPONSE_MODEL: generation.model or None,
            names.UPSTREAM: generation.provider or None,
            names.ERROR_TYPE: None if error is None else error.type,
        }
        asked: dict[str, Any] = {names.REQUEST_MODEL: request.model or None}
        if self._key_labels:
            asked[names.API_KEY_LABEL] = self._key_labels.get(request.api_key_hash or "")
        if self._tags:
            custom = _metadata(generation)
            asked.update({label: custom.get(name) for name, label in self._tags.items()})
        return {names.PROVIDER_NAME: names.PROVIDER, **self._bounded(told, asked)}


def _metadata(generation: Generation) -> dict[str, str]:
    """Return a call's tags of the form `key=value`, and its metadata, which wins; the request's own comes last."""
    trace = generation.request.trace
    custom = {**(generation.tags or {}), **((trace and trace.metadata) or {})}
    listed = custom.get("tags")
    pairs = (str(tag).partition("=") for tag in (listed if isinstance(listed, (list, tuple)) else ()))
    found = {key: value for key, equals, value in pairs if equals}
    return {**found, **{str(key): _text(value) for key, value in custom.items() if value is not None}}


def _text(value: Any) -> str:  # noqa: ANN401 - JSON, or what a user passed
    plain = simple(value)
    return plain if isinstance(plain, str) else json.dumps(plain)
