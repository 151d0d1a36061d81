"""Many calls at once: each task's calls belong to the user it serves."""

import asyncio
import os

import openai

import orobserve

orobserve.instrument()


async def ask(client: openai.AsyncOpenAI, user: str) -> str:
    """Ask one question on behalf of a user."""
    with orobserve.context(user=user, tags=["greeting"]):
        answer = await client.chat.completions.create(
            model="openai/gpt-4o-mini", messages=[{"role": "user", "content": f"Greet {user}."}]
        )
    return answer.choices[0].message.content or ""


async def main() -> None:
    """Ask for several users at the same time."""
    async with openai.AsyncOpenAI(
        base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
        api_key=os.environ["OPENROUTER_API_KEY"],
    ) as client:
        for greeting in await asyncio.gather(*(ask(client, user) for user in ("ada", "grace", "linus"))):
            print(greeting)


asyncio.run(main())
