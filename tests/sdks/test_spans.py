"""Every real client: one span and one set of metrics for each call, agreeing with the simulator's books."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from orobserve.telemetry import names
from tests.sdks.calls import rows
from tests.sdks.sides import BOTH

if TYPE_CHECKING:
    from orobserve.testing import Simulator
    from tests.conftest import Telemetry
    from tests.sdks.calls import Row
    from tests.sdks.sides import Side

# Deprecations inside other people's packages are not what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROWS = rows()


def _total(telemetry: Telemetry, metric: str, **labels: Any) -> Any:
    points = telemetry.metrics.get(metric, {})
    chosen = [point for found, point in points.items() if labels.items() <= dict(found).items()]
    return sum(Decimal(repr(getattr(point, "sum", None) or getattr(point, "value", 0))) for point in chosen)


def _count(telemetry: Telemetry, metric: str) -> int:
    return sum(point.count for point in telemetry.metrics.get(metric, {}).values())


@pytest.mark.parametrize("side", BOTH, ids=str)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_one_call_is_one_span(row: Row, side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=[sim.url], cost_histogram=True)
    sim.next(row.scenario)

    side.run(row.use(side, sim))

    (entry,) = sim.ledger.entries()
    answer, tokens = entry.answer, entry.answer.tokens
    span = telemetry.span
    told = dict(span.attributes)
    assert (span.name, span.kind, span.status.status_code) == (
        f"{row.operation} {row.model}",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    assert told[names.OPERATION_NAME] == row.operation
    assert told[names.PROVIDER_NAME] == "openrouter"
    assert told[names.API_TYPE] == row.api
    assert told[names.REQUEST_MODEL] == row.model
    assert f"http://{told[names.SERVER_ADDRESS]}:{told[names.SERVER_PORT]}" == sim.root
    assert told["openrouter.generation.id"] == answer.generation_id
    assert told.get("gen_ai.request.stream", False) is row.streamed
    if row.streamed:
        assert told[names.STREAM_OUTCOME] == "completed"
        assert told[names.TIME_TO_FIRST_CHUNK] > 0
    if row.api == "speech":  # bytes: only headers say anything
        assert names.INPUT_TOKENS not in told
    else:
        _check_answer(row, told, answer, tokens)
    _check_money(row, told, sim, telemetry)
    assert _count(telemetry, "gen_ai.client.operation.duration") == 1
    assert _count(telemetry, "gen_ai.client.operation.time_to_first_chunk") == row.streamed
    assert telemetry.in_flight == 0


def _check_answer(row: Row, told: dict[str, Any], answer: Any, tokens: Any) -> None:
    if row.api not in {"transcriptions", "images"}:  # these answers name no model
        assert told[names.RESPONSE_MODEL] == answer.model
    if row.api in {"chat_completions", "completions", "messages", "responses"}:
        assert told[names.FINISH_REASONS] == (answer.finish,)
    if row.api in {"chat_completions", "completions", "messages"}:
        assert told[names.UPSTREAM] == answer.provider
    if row.api != "rerank":
        counted = (told[names.INPUT_TOKENS], told.get(names.OUTPUT_TOKENS, 0))
        assert counted == (tokens.prompt, tokens.completion)
    assert told.get("gen_ai.usage.cache_read.input_tokens", 0) == tokens.cached
    assert told.get("openrouter.response.tool_call_count", 0) == len(answer.tool_calls)


def _check_money(row: Row, told: dict[str, Any], sim: Simulator, telemetry: Telemetry) -> None:
    assert sim.bill > 0
    if not row.priced:  # unknown is not zero
        assert not [name for name in told if "cost" in name]
        assert "openrouter.client.cost" not in telemetry.metrics
        return
    assert Decimal(repr(told[names.COST_TOTAL])) == sim.bill
    assert Decimal(repr(told[names.COST_CHARGED])) == sim.ledger.charged
    assert told[names.COMPAT_COST] == told[names.COST_TOTAL]
    assert _total(telemetry, "openrouter.client.cost") == sim.bill
    assert _count(telemetry, "openrouter.client.operation.cost") == 1
    for kind, attribute in (("input", names.INPUT_TOKENS), ("output", names.OUTPUT_TOKENS)):
        recorded = _total(telemetry, "gen_ai.client.token.usage", **{names.TOKEN_TYPE: kind})
        assert recorded == told.get(attribute, 0)


@pytest.mark.parametrize("side", BOTH, ids=str)
def test_counting_tokens_is_no_generation(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    import anthropic

    from tests.sdks import anthropic_calls

    async def count() -> None:
        async with side.opened(anthropic_calls.make(sim, side)) as client:
            with pytest.raises(anthropic.NotFoundError):  # OpenRouter has no such endpoint
                await anthropic_calls.count_tokens(side, client)

    telemetry.instrument(hosts=[sim.url])
    side.run(count())
    assert sim.calls[0].path.startswith("/api/v1/messages/count_tokens")
    assert not telemetry.spans
    assert not telemetry.metrics


def test_many_calls_add_up_to_the_bill(sim: Simulator, telemetry: Telemetry) -> None:
    priced = [row for row in ROWS if row.priced]
    telemetry.instrument(hosts=[sim.url])
    for row in priced:
        sim.next(row.scenario)
        BOTH[0].run(row.use(BOTH[0], sim))
    spent = [Decimal(repr(span.attributes[names.COST_TOTAL])) for span in telemetry.spans]
    assert len(spent) == len(priced)
    assert sum(spent) == sim.bill
