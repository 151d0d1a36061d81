"""The Anthropic SDK against OpenRouter: the base URL is the only difference."""

import os

import anthropic

import orobserve

orobserve.instrument()

base = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
client = anthropic.Anthropic(base_url=base.removesuffix("/v1"), api_key=os.environ["OPENROUTER_API_KEY"])

with client.messages.stream(
    model="anthropic/claude-sonnet-4",
    max_tokens=200,
    messages=[{"role": "user", "content": "What is a span, in one sentence?"}],
) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
print()
