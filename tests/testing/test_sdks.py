"""Real clients find nothing odd: their models parse what the simulator serves."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from orobserve.testing import SCENARIOS, Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing import Simulator

# Deprecations inside other people's packages are not what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

TURN = [{"role": "user", "content": "hello there"}]
ECHO = "You said: hello there"


class Person(BaseModel):
    """A structured answer."""

    name: str
    age: int
    tags: list[str]


@pytest.fixture
def openai_client(sim: Simulator) -> Iterator[Any]:
    """Connect the OpenAI SDK."""
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=sim.url, api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(sim: Simulator) -> Iterator[Any]:
    """Connect the Anthropic SDK."""
    anthropic = pytest.importorskip("anthropic")
    with anthropic.Anthropic(base_url=f"{sim.root}/api", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture
def openrouter_client(sim: Simulator) -> Iterator[Any]:
    """Connect the OpenRouter SDK."""
    openrouter = pytest.importorskip("openrouter")
    with openrouter.OpenRouter(server_url=sim.url, api_key="k") as client:
        yield client


def test_openai_chat(openai_client: Any) -> None:
    """Chat, streamed and parsed."""
    answer = openai_client.chat.completions.create(model="openai/gpt-4o", messages=TURN)
    assert answer.choices[0].message.content.startswith(ECHO)
    assert answer.usage.cost > 0
    chunks = list(openai_client.chat.completions.create(model="openai/gpt-4o", messages=TURN, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).startswith(ECHO)
    assert chunks[-1].usage.cost == answer.usage.cost
    parsed = openai_client.chat.completions.parse(model="openai/gpt-4o", messages=TURN, response_format=Person)
    assert parsed.choices[0].message.parsed == Person(name="simulated", age=1, tags=["simulated"])


@pytest.mark.parametrize("name", ["default", "reasoning", "tools", "citations"])
def test_openai_responses(openai_client: Any, name: str) -> None:
    """Responses, and the streaming helper that checks the order of events."""
    headers = {"x-simulator-scenario": name}
    answer = openai_client.responses.create(model="openai/gpt-4o", input="hi", extra_headers=headers)
    with openai_client.responses.stream(model="openai/gpt-4o", input="hi", extra_headers=headers) as stream:
        final = stream.get_final_response()
    assert final.output_text == answer.output_text
    assert final.usage.total_tokens == answer.usage.total_tokens
    assert [item.type for item in final.output] == [item.type for item in answer.output]


def test_openai_others(openai_client: Any) -> None:
    """Parsed responses, legacy completions, embeddings and audio."""
    parsed = openai_client.responses.parse(model="openai/gpt-4o", input="x", text_format=Person)
    assert parsed.output_parsed.name == "simulated"
    assert openai_client.completions.create(model="openai/gpt-4o", prompt="hi").choices[0].text.startswith("You said")
    assert len(openai_client.embeddings.create(model="openai/text-embedding-3-small", input="a").data[0].embedding) == 8
    speech = openai_client.audio.speech.create(model="openai/gpt-4o-mini-tts", voice="alloy", input="hello")
    assert speech.read().startswith(b"ID3")
    heard = openai_client.audio.transcriptions.create(model="openai/whisper-large-v3", file=("a.wav", b"RIFF" * 9))
    assert heard.text == "Hello, this is a simulated transcription."


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("rate_limited", "RateLimitError"),
        ("bad_request", "BadRequestError"),
        ("moderation", "PermissionDeniedError"),
        ("model_not_found", "NotFoundError"),
        ("provider_error", "InternalServerError"),
        ("html", "InternalServerError"),
        ("reset", "APIConnectionError"),
    ],
)
def test_openai_errors(openai_client: Any, name: str, error: str) -> None:
    """Errors become the SDK's own."""
    import openai

    with pytest.raises(getattr(openai, error)):
        openai_client.chat.completions.create(
            model="openai/gpt-4o", messages=TURN, extra_headers={"x-simulator-scenario": name}
        )


def test_openai_midstream_error(openai_client: Any) -> None:
    """An error inside the stream is raised while reading it."""
    import openai

    headers = {"x-simulator-scenario": "midstream_error"}
    stream = openai_client.chat.completions.create(
        model="openai/gpt-4o", messages=TURN, stream=True, extra_headers=headers
    )
    with pytest.raises(openai.APIError, match="Provider returned error"):
        list(stream)


@pytest.mark.parametrize(("name", "kinds"), [("default", ["text"]), ("reasoning", ["thinking", "text"])])
def test_anthropic(anthropic_client: Any, sim: Simulator, name: str, kinds: list[str]) -> None:
    """Messages, plain and streamed."""
    sim.default = SCENARIOS[name]
    asked = {"model": "anthropic/claude-sonnet-4", "max_tokens": 50, "messages": TURN}
    answer = anthropic_client.messages.create(**asked)
    assert [block.type for block in answer.content] == kinds
    assert answer.usage.cost > 0
    with anthropic_client.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert [block.type for block in final.content] == kinds
    assert final.usage.output_tokens == answer.usage.output_tokens
    assert not hasattr(final.usage, "cost")


def test_anthropic_tools_and_errors(anthropic_client: Any, sim: Simulator) -> None:
    """Tool input arrives in pieces; errors become the SDK's own."""
    import anthropic

    asked = {"model": "anthropic/claude-sonnet-4", "max_tokens": 50, "messages": TURN}
    sim.next(SCENARIOS["tools"], SCENARIOS["overloaded"])
    with anthropic_client.messages.stream(**asked) as stream:
        assert stream.get_final_message().content[0].input == {"city": "Lisbon"}
    with pytest.raises(anthropic.InternalServerError, match="overloaded_error"):
        anthropic_client.messages.create(**asked)


@pytest.mark.parametrize("name", ["default", "reasoning", "tools", "image_output", "byok", "guardrail"])
def test_openrouter_text(openrouter_client: Any, name: str) -> None:
    """The official SDK validates every chunk and event."""
    headers = {"x-simulator-scenario": name, "X-OpenRouter-Metadata": "enabled"}
    chat = {"model": "openai/gpt-4o", "messages": TURN, "http_headers": headers}
    answer = openrouter_client.chat.send(**chat)
    assert answer.usage.cost > 0
    assert answer.openrouter_metadata.attempt == 1
    assert list(openrouter_client.chat.send(**chat, stream=True))[-1].usage.cost == answer.usage.cost
    ask = {"model": "openai/gpt-4o", "input": "hi", "http_headers": headers}
    assert openrouter_client.beta.responses.send(**ask).status == "completed"
    assert list(openrouter_client.beta.responses.send(**ask, stream=True))[-1].type == "response.completed"


def test_openrouter_others(openrouter_client: Any, sim: Simulator) -> None:
    """The official SDK parses the other endpoints."""
    client = openrouter_client
    assert client.embeddings.generate(model="openai/text-embedding-3-small", input="hi").usage.cost > 0
    assert client.rerank.rerank(model="cohere/rerank-v3.5", query="a", documents=["a"]).usage.cost > 0
    assert client.images.generate(model="google/gemini-2.5-flash-image", prompt="hi").usage.cost > 0
    assert len(list(client.images.generate(model="google/gemini-2.5-flash-image", prompt="x", stream=True))) == 4
    audio = {"data": "AAAA", "format": "wav"}
    assert client.stt.create_transcription(model="openai/whisper-large-v3", input_audio=audio).usage.cost > 0
    assert client.video_generation.generate(model="google/veo-3.1", prompt="x").status == "pending"
    generation_id = sim.calls[0].generation_id
    sim.ledger.look_up(generation_id)
    assert client.generations.get_generation(id=generation_id).data.total_cost > 0
    assert client.generations.list_generation_content(id=generation_id).data.input.prompt == "hi"
    assert client.api_keys.get_current_key_metadata().data.usage > 0
    assert client.models.list().result.data


def test_langchain(sim: Simulator) -> None:
    """LangChain's OpenRouter model answers, streams and returns structured output."""
    langchain = pytest.importorskip("langchain_openrouter")
    model = langchain.ChatOpenRouter(model="openai/gpt-4o", api_key="k", base_url=sim.url)
    # LangChain supplies the HTTP client itself, so leaving the SDK would not close it.
    with contextlib.closing(model.client.sdk_configuration.client):
        assert model.invoke("hello there").content.startswith(ECHO)
        assert "".join(chunk.content for chunk in model.stream("hello there")).startswith(ECHO)
        assert model.with_structured_output(Person).invoke("x") == Person(name="simulated", age=1, tags=["simulated"])


def test_pydantic_ai(sim: Simulator) -> None:
    """Pydantic AI's OpenRouter model answers, calls tools and returns structured output."""
    pytest.importorskip("pydantic_ai.models.openrouter")
    asyncio.run(_pydantic_ai(sim))


async def _pydantic_ai(sim: Simulator) -> None:
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openrouter import OpenRouterModel
    from pydantic_ai.providers.openrouter import OpenRouterProvider

    async with AsyncOpenAI(base_url=sim.url, api_key="k") as client:
        model = OpenRouterModel("openai/gpt-4o", provider=OpenRouterProvider(openai_client=client))
        assert (await Agent(model).run("hello there")).output.startswith(ECHO)
        assert (await Agent(model, output_type=Person).run("x")).output.name == "simulated"
        agent = Agent(model)
        asked = []

        @agent.tool_plain
        def get_weather(city: str) -> str:
            """Tell the weather."""
            asked.append(city)
            return "sunny"

        sim.next(SCENARIOS["tools"], Scenario())
        assert "sunny" in (await agent.run("How is the weather?")).output
        assert asked == ["Lisbon"]
        async with agent.run_stream("hello there") as stream:
            assert (await stream.get_output()).startswith(ECHO)
