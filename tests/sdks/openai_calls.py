"""The OpenAI SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from orobserve.testing import SCENARIOS
from tests.sdks.calls import MODEL, TURN, Row

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.sdks.sides import Side

CHAT: dict[str, Any] = {"model": MODEL, "messages": TURN}
ASK: dict[str, Any] = {"model": MODEL, "input": "hello there"}
EMBEDDER, SPEAKER, LISTENER = "openai/text-embedding-3-small", "openai/gpt-4o-mini-tts", "openai/whisper-large-v3"
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": WEATHER}}]


class Person(BaseModel):
    """A structured answer."""

    name: str
    age: int
    tags: list[str]


def make(sim: Simulator, side: Side, **options: Any) -> Any:
    """Connect."""
    import openai

    kind = openai.AsyncOpenAI if side.is_async else openai.OpenAI
    return kind(base_url=sim.url, api_key="k", **{"max_retries": 0, **options})


async def chat(side: Side, client: Any) -> Any:
    return await side.get(client.chat.completions.create(**CHAT))


async def chat_stream(side: Side, client: Any) -> Any:
    stream = await side.get(client.chat.completions.create(**CHAT, stream=True))
    return [stream.__class__, stream.response.__class__, await side.items(stream)]


async def chat_raw(side: Side, client: Any) -> Any:
    raw = await side.get(client.chat.completions.with_raw_response.create(**CHAT))
    return [raw.__class__, raw.http_response, raw.content, raw.text, raw.parse()]


async def chat_raw_stream(side: Side, client: Any) -> Any:
    raw = await side.get(client.chat.completions.with_raw_response.create(**CHAT, stream=True))
    return [raw.__class__, raw.http_response, await side.items(raw.parse())]


async def chat_streaming_response(side: Side, client: Any) -> Any:
    manager = client.chat.completions.with_streaming_response.create(**CHAT, stream=True)
    async with side.opened(manager) as response:
        return [response.__class__, response.http_response, await side.items(response.iter_lines())]


async def chat_streaming_bytes(side: Side, client: Any) -> Any:
    manager = client.chat.completions.with_streaming_response.create(**CHAT)
    async with side.opened(manager) as response:
        return [response.__class__, b"".join(await side.items(response.iter_bytes()))]


async def chat_helper(side: Side, client: Any) -> Any:
    async with side.opened(client.chat.completions.stream(**CHAT)) as stream:
        events = await side.items(stream)
        return [stream.__class__, events, await side.get(stream.get_final_completion())]


async def chat_parse(side: Side, client: Any) -> Any:
    answer = await side.get(client.chat.completions.parse(**CHAT, response_format=Person))
    assert answer.choices[0].message.parsed == Person(name="simulated", age=1, tags=["simulated"])
    return answer


async def chat_helper_parse(side: Side, client: Any) -> Any:
    async with side.opened(client.chat.completions.stream(**CHAT, response_format=Person)) as stream:
        return [await side.items(stream), await side.get(stream.get_final_completion())]


async def tools(side: Side, client: Any) -> Any:
    answer = await side.get(client.chat.completions.create(**CHAT, tools=TOOLS))
    assert answer.choices[0].message.tool_calls[0].function.name == "get_weather"
    return answer


async def tools_stream(side: Side, client: Any) -> Any:
    return await side.items(client.chat.completions.create(**CHAT, tools=TOOLS, stream=True))


async def responses(side: Side, client: Any) -> Any:
    return await side.get(client.responses.create(**ASK))


async def responses_stream(side: Side, client: Any) -> Any:
    return await side.items(client.responses.create(**ASK, stream=True))


async def responses_helper(side: Side, client: Any) -> Any:
    async with side.opened(client.responses.stream(**ASK)) as stream:
        return [stream.__class__, await side.items(stream), await side.get(stream.get_final_response())]


async def responses_parse(side: Side, client: Any) -> Any:
    answer = await side.get(client.responses.parse(**ASK, text_format=Person))
    assert answer.output_parsed.name == "simulated"
    return answer


async def responses_raw(side: Side, client: Any) -> Any:
    raw = await side.get(client.responses.with_raw_response.create(**ASK))
    return [raw.__class__, raw.http_response, raw.content, raw.parse()]


async def completions(side: Side, client: Any) -> Any:
    return await side.get(client.completions.create(model=MODEL, prompt="hello"))


async def completions_stream(side: Side, client: Any) -> Any:
    return await side.items(client.completions.create(model=MODEL, prompt="hello", stream=True))


async def embeddings(side: Side, client: Any) -> Any:
    return await side.get(client.embeddings.create(model=EMBEDDER, input=["a", "b"]))


async def speech(side: Side, client: Any) -> Any:
    spoken = await side.get(client.audio.speech.create(model=SPEAKER, voice="alloy", input="hello"))
    return [spoken.__class__, spoken.content]


async def speech_stream(side: Side, client: Any) -> Any:
    asked = client.audio.speech.with_streaming_response.create(model=SPEAKER, voice="alloy", input="hello")
    async with side.opened(asked) as response:
        return [response.__class__, b"".join(await side.items(response.iter_bytes()))]


async def transcriptions(side: Side, client: Any) -> Any:
    asked = client.audio.transcriptions.create(model=LISTENER, file=("a.wav", b"RIFF" * 9), language="en")
    return await side.get(asked)


def _row(name: str, call: Any, **expected: Any) -> Row:
    return Row(name=f"openai-{name}", module="openai", make=make, call=call, **expected)


_TOOLS = SCENARIOS["tools"]
ROWS = [
    _row("chat", chat),
    _row("chat-reasoning", chat, scenario=SCENARIOS["reasoning"]),
    _row("chat-cached", chat, scenario=SCENARIOS["prompt_cache_read"]),
    _row("chat-byok", chat, scenario=SCENARIOS["byok"]),
    _row("chat-fallback", chat, scenario=SCENARIOS["fallback_model"]),
    _row("chat-gzip", chat, scenario=SCENARIOS["gzip"]),
    _row("chat-stream", chat_stream, streamed=True),
    _row("chat-stream-gzip", chat_stream, streamed=True, scenario=SCENARIOS["gzip"]),
    _row("chat-stream-byok", chat_stream, streamed=True, scenario=SCENARIOS["byok"]),
    _row("chat-raw", chat_raw),
    _row("chat-raw-stream", chat_raw_stream, streamed=True),
    _row("chat-streaming-response", chat_streaming_response, streamed=True),
    _row("chat-streaming-bytes", chat_streaming_bytes),
    _row("chat-helper", chat_helper, streamed=True),
    _row("chat-helper-parse", chat_helper_parse, streamed=True),
    _row("chat-parse", chat_parse),
    _row("tools", tools, scenario=_TOOLS),
    _row("tools-stream", tools_stream, streamed=True, scenario=_TOOLS),
    _row("responses", responses, api="responses"),
    _row("responses-tools", responses, api="responses", scenario=_TOOLS),
    _row("responses-stream", responses_stream, api="responses", streamed=True),
    _row("responses-helper", responses_helper, api="responses", streamed=True),
    _row("responses-parse", responses_parse, api="responses"),
    _row("responses-raw", responses_raw, api="responses"),
    _row("completions", completions, api="completions"),
    _row("completions-stream", completions_stream, api="completions", streamed=True),
    _row("embeddings", embeddings, api="embeddings", model=EMBEDDER),
    _row("speech", speech, api="speech", model=SPEAKER, priced=False),
    _row("speech-stream", speech_stream, api="speech", model=SPEAKER, priced=False),
    _row("transcriptions", transcriptions, api="transcriptions", model=LISTENER),
]
