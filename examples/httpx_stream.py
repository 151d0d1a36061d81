"""Plain httpx. A stream that is left half-way still becomes one span, with what was known by then."""

import os

import httpx

import orobserve

orobserve.instrument()

base = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
headers = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}"}
body = {
    "model": "openai/gpt-4o-mini",
    "stream": True,
    "messages": [{"role": "user", "content": "Count to one hundred, in words."}],
}

with httpx.stream("POST", f"{base}/chat/completions", json=body, headers=headers, timeout=60) as response:
    for number, line in enumerate(response.iter_lines()):
        print(line)
        if number == 8:  # noqa: PLR2004 - we have seen enough
            break
