"""Every call in a local file, and what they have cost: `orobserve report --by user` shows the same."""

import os
import tempfile
from pathlib import Path

import httpx

import orobserve
from orobserve.ledger.query import Reader

path = Path(tempfile.mkdtemp()) / "calls.db"  # ledger=True keeps it in your data folder
orobserve.instrument(ledger=str(path))

url = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1") + "/chat/completions"
headers = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}"}
for user in ("ada", "grace", "ada"):
    body = {"model": "openai/gpt-4o-mini", "user": user, "messages": [{"role": "user", "content": f"I am {user}."}]}
    httpx.post(url, json=body, headers=headers, timeout=60).raise_for_status()
orobserve.flush(records=True)

with Reader(path) as reader:
    for found in reader.sums(["user"]):
        print(f"{found.group['user']}: {found.calls} calls, {found.cost} USD, {found.unpriced} of unknown cost")
