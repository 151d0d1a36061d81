"""Composes the answer of the simulated model: what is said, how much of it, and what it costs. No dialect, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from orobserve.testing.pricing import ZERO, Charge, Tokens, charge
from orobserve.testing.prose import count_tokens, echo, fill, pieces
from orobserve.testing.routing import Route, metadata, route
from orobserve.testing.scenarios import Scenario, ToolCall

if TYPE_CHECKING:
    from orobserve.testing.request import InferenceRequest

TOKENS_PER_IMAGE = 1290
_TEXTLESS = frozenset({"embeddings", "rerank", "speech", "transcriptions", "videos", "images"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a dialect without text answers counts: pieces priced by the unit, tokens written, tokens of pictures."""

    units: Decimal = ZERO
    written: int = 0
    image: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One generation. ``source_id`` is set on a response-cache hit: the generation that filled the cache."""

    request: InferenceRequest
    scenario: Scenario
    generation_id: str
    created: int
    way: Route
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    tokens: Tokens
    charge: Charge
    source_id: str = ""

    @property
    def model(self) -> str:
        """The served model."""
        return self.way.model

    @property
    def provider(self) -> str:
        """The provider that answered."""
        return self.way.provider

    @property
    def serial(self) -> str:
        """The random part of the generation id, from which ids inside the body are made; a cache hit replays it."""
        return (self.source_id or self.generation_id).rpartition("-")[2]

    @property
    def pieces(self) -> tuple[str, ...]:
        """The text as it is streamed."""
        return pieces(self.text, self.scenario.chunks)

    @property
    def service_tier(self) -> str:
        """The tier that served the call."""
        asked = self.request.body.get("service_tier")
        return self.scenario.service_tier or (asked if isinstance(asked, str) and asked != "auto" else "default")

    @property
    def metadata(self) -> dict[str, Any] | None:
        """Router metadata if the caller opted in; never on a cache hit."""
        if self.source_id or not self.request.wants_metadata:
            return None
        return metadata(self.way, self.scenario, is_byok=self.charge.byok)

    def replayed(self, generation_id: str, request: InferenceRequest, scenario: Scenario) -> Answer:
        """Make the response-cache hit: same content, new id, nothing counted and nothing charged."""
        return replace(
            self,
            generation_id=generation_id,
            source_id=self.generation_id,
            request=request,
            scenario=scenario,
            tokens=Tokens(),
            charge=Charge(),
        )


def compose(
    request: InferenceRequest,
    scenario: Scenario,
    *,
    generation_id: str,
    rate: Decimal = Decimal(1),
    measure: Measure | None = None,
) -> Answer:
    """Let the simulated model answer, at the time its id tells; ``measure`` is for answers that are not text."""
    way = route(request, scenario)
    calls = _tool_calls(request, scenario, generation_id)
    text = "" if request.dialect in _TEXTLESS else _text(request, scenario, calls=bool(calls))
    measure = measure or Measure(units=Decimal(scenario.images), image=scenario.images * TOKENS_PER_IMAGE)
    tokens = _tokens(request, scenario, measure, _written(text, calls))
    return Answer(
        request=request,
        scenario=scenario,
        generation_id=generation_id,
        created=int(generation_id.split("-")[-2]),
        way=way,
        text=text,
        reasoning=scenario.reasoning,
        tool_calls=calls,
        finish="tool_calls" if calls and scenario.finish == "stop" else scenario.finish,
        tokens=tokens,
        charge=charge(way.model, tokens, scenario.byok, rate),
    )


def _text(request: InferenceRequest, scenario: Scenario, *, calls: bool) -> str:
    """Choose the words: the scenario's, none beside tool calls, JSON when a schema is given, an echo otherwise."""
    if scenario.text is not None:
        return scenario.text
    if calls:
        return ""
    schema = request.output_schema
    return echo(request.question) if schema is None else fill(schema)


def _tool_calls(request: InferenceRequest, scenario: Scenario, generation_id: str) -> tuple[ToolCall, ...]:
    """Ask for the scenario's tools, or for the one the caller insists on; not again after a tool's result."""
    if request.answers_a_tool or request.dialect in _TEXTLESS:
        return ()
    calls = scenario.tool_calls
    forced = request.forced_tool
    if not calls and forced:
        calls = (ToolCall(name=forced[0], arguments=fill(forced[1])),)
    serial = generation_id.rpartition("-")[2]
    return tuple(replace(call, id=call.id or f"call_{serial}{index}") for index, call in enumerate(calls))


def _written(text: str, calls: tuple[ToolCall, ...]) -> int:
    """Count the tokens of what is said."""
    return count_tokens(text) + sum(count_tokens(call.name + call.arguments) for call in calls)


def _tokens(request: InferenceRequest, scenario: Scenario, measure: Measure, written: int) -> Tokens:
    """Count what was read and written; counts given by the scenario win."""
    reasoning = count_tokens(scenario.reasoning) if scenario.reasoning_tokens is None else scenario.reasoning_tokens
    image = scenario.image_tokens or measure.image
    offered = sum(
        count_tokens(name + " ".join(map(str, schema.get("properties", ())))) for name, schema in request.tools
    )
    read = count_tokens(request.prompt) + offered + scenario.cached_tokens + scenario.cache_write_tokens
    completion = written + reasoning + image + measure.written
    return Tokens(
        prompt=max(1, read) if scenario.prompt_tokens is None else scenario.prompt_tokens,
        completion=completion if scenario.completion_tokens is None else scenario.completion_tokens,
        cached=scenario.cached_tokens,
        cache_write=scenario.cache_write_tokens,
        reasoning=reasoning,
        audio=scenario.audio_tokens,
        image=image,
        units=measure.units,
    )
