"""List prices and exact bills, in Decimal. Knows nothing of payloads or of HTTP."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

ZERO = Decimal(0)
BYOK_FEE = Decimal("0.05")
BATCH_RATE = Decimal("0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model of the simulated catalogue; prices in USD per token, ``unit`` per image, second or search."""

    slug: str
    name: str
    provider: str
    prompt: Decimal = ZERO
    completion: Decimal = ZERO
    cache_read: Decimal = ZERO
    cache_write: Decimal = ZERO
    unit: Decimal = ZERO
    inputs: tuple[str, ...] = ("text",)
    outputs: tuple[str, ...] = ("text",)
    context: int = 128_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Native token counts; ``prompt`` and ``completion`` are inclusive totals."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    audio: int = 0
    image: int = 0
    units: Decimal = ZERO

    @property
    def total(self) -> int:
        """Prompt and completion together."""
        return self.prompt + self.completion


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """The bill of one call: list prices, and whether the caller's own provider key paid them."""

    prompt: Decimal = ZERO
    completion: Decimal = ZERO
    byok: bool = False
    fee: Decimal = ZERO

    @property
    def listed(self) -> Decimal:
        """The list price of the call."""
        return self.prompt + self.completion

    @property
    def charged(self) -> Decimal:
        """What OpenRouter takes from the credits."""
        return self.listed * self.fee if self.byok else self.listed

    @property
    def upstream(self) -> Decimal:
        """What the provider bills to the caller's own account."""
        return self.listed if self.byok else ZERO

    @property
    def total(self) -> Decimal:
        """What the call cost its owner in all."""
        return self.charged + self.upstream


def _model(slug: str, name: str, provider: str, prices: str, **more: object) -> tuple[str, Model]:
    """Read ``prices`` as prompt, completion, cache read, cache write, unit; the first four in USD per million."""
    numbers = [Decimal(price) for price in prices.split()]
    prompt, completion, cache_read, cache_write = (number / 1_000_000 for number in numbers[:4])
    model = Model(
        slug=slug,
        name=name,
        provider=provider,
        prompt=prompt,
        completion=completion,
        cache_read=cache_read,
        cache_write=cache_write,
        unit=numbers[4],
    )
    return slug, replace(model, **more)  # type: ignore[arg-type]


_VISION = ("text", "image")

MODELS: Mapping[str, Model] = MappingProxyType(
    dict(
        (
            _model("openai/gpt-4o", "OpenAI: GPT-4o", "OpenAI", "2.5 10 1.25 2.5 0", inputs=_VISION),
            _model("openai/gpt-4o-mini", "OpenAI: GPT-4o-mini", "OpenAI", "0.15 0.6 0.075 0.15 0", inputs=_VISION),
            _model("openai/o4-mini", "OpenAI: o4 Mini", "OpenAI", "1.1 4.4 0.275 1.1 0", inputs=_VISION),
            _model("anthropic/claude-sonnet-4", "Anthropic: Claude Sonnet 4", "Anthropic", "3 15 0.3 3.75 0"),
            _model("google/gemini-2.5-flash", "Google: Gemini 2.5 Flash", "Google", "0.3 2.5 0.075 0.3 0"),
            _model("meta-llama/llama-3.3-70b-instruct", "Meta: Llama 3.3 70B", "DeepInfra", "0.12 0.3 0.12 0.12 0"),
            _model("deepseek/deepseek-r1", "DeepSeek: R1", "DeepSeek", "0.4 2 0.4 0.4 0"),
            _model(
                "google/gemini-2.5-flash-image",
                "Google: Gemini 2.5 Flash Image",
                "Google AI Studio",
                "0.3 2.5 0.075 0.3 0.03",
                outputs=("text", "image"),
            ),
            _model(
                "openai/text-embedding-3-small",
                "OpenAI: Text Embedding 3 Small",
                "OpenAI",
                "0.02 0 0.02 0.02 0",
                outputs=("embeddings",),
            ),
            _model("cohere/rerank-v3.5", "Cohere: Rerank v3.5", "Cohere", "0 0 0 0 0.002", outputs=("rerank",)),
            _model(
                "openai/gpt-4o-mini-tts", "OpenAI: GPT-4o-mini TTS", "OpenAI", "0.6 12 0.6 0.6 0", outputs=("speech",)
            ),
            _model(
                "openai/whisper-large-v3",
                "OpenAI: Whisper Large V3",
                "Groq",
                "0 0 0 0 0.00005",
                inputs=("audio",),
                outputs=("transcription",),
            ),
            _model("google/veo-3.1", "Google: Veo 3.1", "Google", "0 0 0 0 0.05", inputs=_VISION, outputs=("video",)),
        )
    )
)

DEFAULT_MODEL = "openai/gpt-4o-mini"
UNKNOWN = Model(
    slug="",
    name="Unlisted model",
    provider="OpenAI",
    prompt=Decimal("0.000001"),
    completion=Decimal("0.000002"),
    cache_read=Decimal("0.0000005"),
    cache_write=Decimal("0.00000125"),
    unit=Decimal("0.01"),
)


def model_of(slug: str) -> Model:
    """Find a model by slug; a ``:free`` variant costs nothing and an unlisted slug has a default price."""
    base, _, variant = slug.partition(":")
    found = MODELS.get(base.lower()) or replace(UNKNOWN, slug=base, name=base)
    if variant == "free":
        nothing = {"prompt": ZERO, "completion": ZERO, "cache_read": ZERO, "cache_write": ZERO, "unit": ZERO}
        return replace(found, **nothing)  # type: ignore[arg-type]
    return found


def charge(
    slug: str, tokens: Tokens, byok: Literal["", "fee", "free", "unflagged"] = "", rate: Decimal = Decimal(1)
) -> Charge:
    """Price the tokens and units of one call exactly."""
    model = model_of(slug)
    fresh = tokens.prompt - tokens.cached - tokens.cache_write
    prompt = fresh * model.prompt + tokens.cached * model.cache_read + tokens.cache_write * model.cache_write
    completion = tokens.completion * model.completion + tokens.units * model.unit
    fee = BYOK_FEE if byok == "fee" else ZERO
    return Charge(prompt=prompt * rate, completion=completion * rate, byok=bool(byok), fee=fee)


def cache_discount(slug: str, tokens: Tokens) -> Decimal | None:
    """Tell what the provider's prompt cache saved, less the surcharge for writing to it; None where it had no part."""
    model = model_of(slug)
    if not tokens.cached and not tokens.cache_write:
        return None
    return tokens.cached * (model.prompt - model.cache_read) - tokens.cache_write * (model.cache_write - model.prompt)


def number(amount: Decimal) -> int | float:
    """Spell an amount as the JSON number that reads back as the same decimal; whole amounts stay integers."""
    whole = int(amount)
    return whole if whole == amount else float(amount)


def numeral(amount: Decimal) -> str:
    """Spell an amount as price tables do: a plain decimal string."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
