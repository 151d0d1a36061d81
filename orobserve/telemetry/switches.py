"""Notices when the calls of a session go to another provider than before: the prompt cache is cold there."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orobserve.generation import Generation

_LIMIT = 10_000  # sessions: the one that was silent for longest is forgotten first


class Switches:
    """Remembers who served each session's calls for a model. Without a lock, since each step is whole by itself."""

    def __init__(self) -> None:
        self._providers: OrderedDict[tuple[str, str | None], str] = OrderedDict()

    def see(self, generation: Generation) -> bool:
        """Tell whether another provider served the session's call before; False where either is not known."""
        request, provider = generation.request, generation.provider
        if not request.session_id or not provider:
            return False
        place = (request.session_id, request.model)
        before = self._providers.pop(place, None)
        self._providers[place] = provider
        if len(self._providers) > _LIMIT:
            self._providers.popitem(last=False)
        return before is not None and before != provider
