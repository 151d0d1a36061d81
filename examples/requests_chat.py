"""Plain requests, and the same call through urllib: whatever library makes a call, it is seen once."""

import json
import os
import urllib.request

import requests

import orobserve

orobserve.instrument()

url = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1") + "/chat/completions"
headers = {"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}", "Content-Type": "application/json"}
body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello in one word."}]}

answer = requests.post(url, json=body, headers=headers, timeout=60).json()
print(answer["choices"][0]["message"]["content"])

request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - https, or the simulator
with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
    print(json.load(response)["choices"][0]["message"]["content"])
