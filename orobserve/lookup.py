"""Questions to OpenRouter about a call or a key, over one pooled client: quietly, and by the caller's own key.

Keys are held in memory only while they are needed. It must not know what the answers are for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orobserve._quiet import quiet, silence
from orobserve._version import __version__
from orobserve.wire.errors import retry_after
from orobserve.wire.record import is_record_of
from orobserve.wire.values import mapping

if TYPE_CHECKING:
    import httpx

_TIMEOUT = 10.0  # seconds
_LEFT_ALONE = 300.0  # seconds
_MISSES = 20  # calls in a row without a record, after which a server is taken to keep none
_NOT_YET = frozenset({404, 408, 425, 429})  # and every 5xx
_REFUSED = frozenset({401, 403})
_OK, _SERVER_ERROR = 200, 500
_CONNECTIONS = 32

_log = logging.getLogger("orobserve")


@dataclass(frozen=True, slots=True)
class Source:
    """Whom to ask: the API's base URL (`https://openrouter.ai:443/api/v1`), and the key of the call."""

    api: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of a question: the record, or why there is none (`not_found`, `unauthorized`, `error`)."""

    status: str
    record: dict[str, Any] | None = None
    is_final: bool = False  # asking again would not help
    retry_after: float | None = None  # seconds


class Servers:
    """Which servers, and which of their keys, are to be left alone for a while. Its owner does the locking."""

    def __init__(self) -> None:
        self._paused: dict[str, float] = {}  # each: until when
        self._barren: dict[str, float] = {}
        self._refused: dict[tuple[str, str | None], float] = {}
        self._misses: Counter[str] = Counter()

    def verdict(self, api: str, key_hash: str | None, now: float) -> str | None:
        """Return why a server is not to be asked (`unauthorized`, `not_found`), or None."""
        if self._refused.get((api, key_hash), 0.0) > now:
            return "unauthorized"
        return "not_found" if self._barren.get(api, 0.0) > now else None

    def paused_until(self, api: str) -> float:
        """Return until when a server has asked for a pause."""
        return self._paused.get(api, 0.0)

    def pause(self, api: str, until: float) -> None:
        """Give a server the pause it asks for."""
        self._paused[api] = until

    def refuse(self, api: str, key_hash: str | None, now: float) -> None:
        """Do not use a key again that was refused, for a while."""
        if self.verdict(api, key_hash, now) is None:
            _log.warning(
                "%s does not let the API key with the SHA-256 %s... read the records of its calls. For five minutes "
                "they are reported as their responses described them; enrichment='never' turns the look-ups off.",
                api,
                (key_hash or "unknown")[:12],
            )
        self._refused[api, key_hash] = now + _LEFT_ALONE

    def judge(self, api: str, status: str, now: float) -> None:
        """Leave a server alone that never has a record: a gateway, say, that passes on inference only."""
        if status == "complete":
            self._misses[api] = 0
        elif status == "not_found":
            self._misses[api] += 1
            if self._misses[api] == _MISSES:
                _log.warning(
                    "%s has given no record for %d calls in a row: it is asked again in five minutes. "
                    "enrichment='never' turns the look-ups off.",
                    api,
                    _MISSES,
                )
            if self._misses[api] >= _MISSES:
                self._barren[api] = now + _LEFT_ALONE


class Client:
    """The pooled client. Made at the first question; thread-safe."""

    def __init__(self) -> None:
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()

    def generation(self, source: Source, generation_id: str) -> Answer:
        """Ask for the record of a call. One of another id is no answer."""
        response = self.get(source, "/generation", id=generation_id)
        if response is None:
            return Answer(status="error")
        status = response.status_code
        if status == _OK:
            given = _parsed(response)
            if is_record_of(generation_id, given):
                return Answer(status="complete", record=given["data"])
            # What is not JSON comes from something in between, and may pass; another call's record never gets right.
            return Answer(status="error", is_final=isinstance(given.get("data"), dict))
        if status in _REFUSED:
            return Answer(status="unauthorized", is_final=True)
        wait = retry_after(response.headers, time.time_ns())
        if status in _NOT_YET or status >= _SERVER_ERROR:
            return Answer(status="not_found" if status == 404 else "error", retry_after=wait)  # noqa: PLR2004
        return Answer(status="error", is_final=True)

    def content(self, source: Source, generation_id: str) -> dict[str, Any] | None:
        """Ask for the stored content of a call; None where the account stores none."""
        return self._data(source, "/generation/content", id=generation_id)

    def key(self, source: Source) -> dict[str, Any] | None:
        """Ask for the budget of the key."""
        return self._data(source, "/key")

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _data(self, source: Source, path: str, **query: str) -> dict[str, Any] | None:
        response = self.get(source, path, **query)
        if response is None or response.status_code != _OK:
            return None
        return mapping(_parsed(response).get("data")) or None

    def get(self, source: Source, path: str, **query: str) -> httpx.Response | None:
        """Ask anything; None where nobody answers."""
        import httpx  # noqa: PLC0415 - nothing of it is loaded before the first question

        headers = {"Authorization": f"Bearer {source.key}"} if source.key else {}
        try:
            with quiet():
                return self._pool().get(source.api + path, params=query, headers=headers)
        except httpx.TransportError:
            return None

    def _pool(self) -> httpx.Client:
        import httpx  # noqa: PLC0415

        with self._lock:
            if self._client is None:
                silence("httpx")
                self._client = httpx.Client(
                    timeout=_TIMEOUT,
                    limits=httpx.Limits(max_connections=_CONNECTIONS),
                    headers={"User-Agent": f"orobserve/{__version__}", "Accept": "application/json"},
                )
            return self._client


def _parsed(response: httpx.Response) -> dict[str, Any]:
    try:
        return mapping(response.json())
    except ValueError:
        return {}
