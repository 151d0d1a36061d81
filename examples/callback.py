"""Every finished call as an object: what has each user cost so far? Unknown costs are counted, not taken for zero."""

import os
from collections import Counter, defaultdict
from decimal import Decimal

import httpx

import orobserve

spent: dict[str, Decimal] = defaultdict(Decimal)
unpriced: Counter[str] = Counter()


def count(generation: orobserve.Generation) -> None:
    """Add one call to its user's bill; runs on a background thread."""
    user = generation.request.user or "nobody"
    if generation.cost is not None and generation.cost.total is not None:
        spent[user] += Decimal(repr(generation.cost.total))
    else:
        unpriced[user] += 1


orobserve.on_generation(count)
orobserve.instrument()

base = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
headers = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}"}
for name in ("ada", "grace", "ada"):
    body = {
        "model": "openai/gpt-4o-mini",
        "user": name,
        "messages": [{"role": "user", "content": "Say hello."}],
    }
    httpx.post(f"{base}/chat/completions", json=body, headers=headers, timeout=60)

orobserve.flush(records=True)  # wait for OpenRouter's own records: some calls have no cost without
for name in sorted({*spent, *unpriced}):
    print(f"{name}: ${spent[name]:f}" + (f" and {unpriced[name]} calls of unknown cost" if unpriced[name] else ""))
