"""Rerank: documents scored by the words they share with the query."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orobserve.testing import usage
from orobserve.testing.pricing import number

if TYPE_CHECKING:
    from orobserve.testing.answers import Answer
    from orobserve.testing.request import Payload


def result(answer: Answer) -> Payload:
    """Build the body, best document first."""
    asked = answer.request.body
    documents = [_document(item) for item in asked.get("documents") or ()]
    wanted = set(str(asked.get("query", "")).lower().split())
    results = [
        {"index": index, "relevance_score": _score(wanted, document), "document": document}
        for index, document in enumerate(documents)
    ]
    results.sort(key=lambda found: -float(str(found["relevance_score"])))
    top = asked.get("top_n")
    payload: Payload = {
        "id": answer.generation_id,
        "model": answer.model,
        "provider": answer.provider,
        "results": results[:top] if isinstance(top, int) else results,
    }
    counts: Payload = {"search_units": number(answer.tokens.units), "total_tokens": answer.tokens.prompt}
    if answer.scenario.cost != "absent":
        counts["cost"] = usage.spell(answer.charge.charged, answer.scenario.cost)
    return usage.attach(payload, counts, answer)


def _document(item: object) -> Payload:
    return item if isinstance(item, dict) else {"text": str(item)}


def _score(wanted: set[str], document: Payload) -> float:
    found = wanted & set(str(document.get("text", "")).lower().split())
    return round((1 + len(found)) / (2 + len(wanted)), 4)
