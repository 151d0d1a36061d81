"""OpenRouter's own response cache: which requests meet, for how long, and the headers that tell so."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orobserve.testing.answers import Answer
    from orobserve.testing.request import InferenceRequest

DIALECTS = frozenset({"chat", "responses", "messages", "embeddings"})
_DEFAULT_TTL = 300
_LONGEST_TTL = 86_400

Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Stored:
    answer: Answer
    at: float
    ttl: int


class ResponseCache:
    """Answers by API key, endpoint, stream flag and exact body bytes (which hold the model)."""

    def __init__(self) -> None:
        """Start empty."""
        self._stored: dict[str, _Stored] = {}
        self._lock = threading.Lock()

    def look_up(self, request: InferenceRequest, now: float) -> tuple[Answer | None, Headers]:
        """Find a stored answer; the headers are empty when caching was not asked for."""
        if not wanted(request):
            return None, []
        place = _place(request)
        with self._lock:
            if request.headers.get("x-openrouter-cache-clear", "").lower() == "true":
                self._stored.pop(place, None)
            stored = self._stored.get(place)
        if stored is None or now - stored.at >= stored.ttl:
            ttl = _ttl(request)
            return None, [("X-OpenRouter-Cache-Status", "MISS"), ("X-OpenRouter-Cache-TTL", str(ttl))]
        age = int(now - stored.at)
        return stored.answer, [
            ("X-OpenRouter-Cache-Status", "HIT"),
            ("X-OpenRouter-Cache-Age", str(age)),
            ("X-OpenRouter-Cache-TTL", str(stored.ttl - age)),
            ("X-OpenRouter-Cache-Source-Id", stored.answer.generation_id),
        ]

    def store(self, request: InferenceRequest, answer: Answer, now: float) -> None:
        """Keep a successful answer for later."""
        if wanted(request):
            with self._lock:
                self._stored[_place(request)] = _Stored(answer, now, _ttl(request))


def wanted(request: InferenceRequest) -> bool:
    """Whether the caller turned caching on, at an endpoint that has it."""
    return request.dialect in DIALECTS and request.headers.get("x-openrouter-cache", "").lower() == "true"


def _ttl(request: InferenceRequest) -> int:
    """Read the wished time to live the forgiving way the API does: leading digits, clamped."""
    digits = re.match(r"\s*(\d+)", request.headers.get("x-openrouter-cache-ttl", ""))
    return min(max(int(digits.group(1)), 1), _LONGEST_TTL) if digits else _DEFAULT_TTL


def _place(request: InferenceRequest) -> str:
    """Name the slot of a request."""
    parts = (request.key, request.path, str(request.stream), hashlib.sha256(request.raw).hexdigest())
    return "\n".join(parts)
