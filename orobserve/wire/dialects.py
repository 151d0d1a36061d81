"""The dialect of each endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.wire import (
    batches,
    chat,
    completions,
    embeddings,
    images,
    messages,
    rerank,
    responses,
    speech,
    transcriptions,
    videos,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orobserve.wire.answer import Dialect

DIALECTS: Mapping[str, Dialect] = {
    "chat_completions": chat.DIALECT,
    "completions": completions.DIALECT,
    "responses": responses.DIALECT,
    "messages": messages.DIALECT,
    "embeddings": embeddings.DIALECT,
    "rerank": rerank.DIALECT,
    "images": images.DIALECT,
    "speech": speech.DIALECT,
    "transcriptions": transcriptions.DIALECT,
    "videos": videos.DIALECT,
    "batches": batches.DIALECT,
}
