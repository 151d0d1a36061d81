"""LangChain: `ChatOpenRouter` speaks through OpenRouter's own SDK, and that through httpx."""

import os

from langchain_openrouter import ChatOpenRouter

import orobserve

orobserve.instrument()

model = ChatOpenRouter(
    model="openai/gpt-4o-mini",
    api_key=os.environ["OPENROUTER_API_KEY"],
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
)
print(model.invoke("What is a span, in one sentence?").content)
for chunk in model.stream("And a trace?"):
    print(chunk.content, end="", flush=True)
print()
