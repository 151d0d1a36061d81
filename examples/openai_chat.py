"""The OpenAI SDK: nothing about the client changes."""

import os

import openai

import orobserve

orobserve.instrument()

client = openai.OpenAI(
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
)
question = {"role": "user", "content": "What is a span, in one sentence?"}

answer = client.chat.completions.create(model="openai/gpt-4o-mini", messages=[question])
print(answer.choices[0].message.content)

for chunk in client.chat.completions.create(model="openai/gpt-4o-mini", messages=[question], stream=True):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
