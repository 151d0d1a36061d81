"""Each send is its own span: what an SDK tries again, and what it gives up on."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from orobserve.telemetry import names
from orobserve.testing import Failure, Scenario, Simulator
from tests.sdks import anthropic_calls, openai_calls, openrouter_calls
from tests.sdks.sides import BOTH

if TYPE_CHECKING:
    from tests.conftest import Telemetry
    from tests.sdks.sides import Side

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

LIMITED = Scenario(error=Failure(error_type="rate_limit_exceeded"))
DOWN = Scenario(error=Failure(error_type="provider_unavailable"))
CUT = Scenario(reset_after=0, billing="none")
CALLS = {
    "openai-chat": (openai_calls.make, openai_calls.chat),
    "openai-chat-stream": (openai_calls.make, openai_calls.chat_stream),
    "openai-chat-raw": (openai_calls.make, openai_calls.chat_raw),
    "openai-responses-stream": (openai_calls.make, openai_calls.responses_stream),
    "anthropic-create": (anthropic_calls.make, anthropic_calls.create),
    "anthropic-helper": (anthropic_calls.make, anthropic_calls.helper),
}
STREAMED = {"openai-chat-stream", "openai-responses-stream", "anthropic-helper"}
INLINE = {name for name in CALLS if not name.endswith("helper")}
every_call = pytest.mark.parametrize("name", CALLS)
both = pytest.mark.parametrize("side", BOTH, ids=str)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDKs retry at once."""
    import anthropic
    import openai

    for sdk in (openai, anthropic):
        monkeypatch.setattr(sdk._base_client.BaseClient, "_calculate_retry_timeout", lambda *_, **__: 0.0)


async def _use(side: Side, sim: Simulator, name: str, **options: Any) -> Any:
    make, call = CALLS[name]
    async with side.opened(make(sim, side, **options)) as client:
        return await call(side, client)


@both
@every_call
@pytest.mark.usefixtures("_impatient")
def test_a_retry_is_a_span_of_its_own(name: str, side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=[sim.url])
    sim.next(LIMITED, DOWN, CUT, Scenario())
    with telemetry.tracer_provider.get_tracer("app").start_as_current_span("app"):
        side.run(_use(side, sim, name, max_retries=3))
    limited, down, cut, done, app = telemetry.spans
    told = [span.attributes[names.ERROR_TYPE] for span in (limited, down)]
    # The SDKs close a streamed error unread before they retry: only its status is known.
    assert told == (["429", "502"] if name in STREAMED else ["rate_limit_exceeded", "provider_unavailable"])
    assert "." in cut.attributes[names.ERROR_TYPE]  # the class of the exception
    assert names.ERROR_TYPE not in done.attributes
    states = [span.status.status_code for span in (limited, down, cut, done)]
    assert states == [StatusCode.ERROR] * 3 + [StatusCode.UNSET]
    assert {span.parent.span_id for span in (limited, down, cut, done)} == {app.context.span_id}
    spent = [Decimal(repr(span.attributes.get(names.COST_TOTAL, 0))) for span in telemetry.spans]
    assert sum(spent) == (sim.bill if name in INLINE else 0)
    assert telemetry.in_flight == 0


@both
def test_the_openrouter_sdk_retries_too(side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    from openrouter.utils import BackoffStrategy, RetryConfig

    async def use() -> None:
        async with side.opened(openrouter_calls.make(sim, side)) as client:
            at_once = BackoffStrategy(1, 1, 1.0, 5000, 0) if _has_jitter() else BackoffStrategy(1, 1, 1.0, 5000)
            client.sdk_configuration.retry_config = RetryConfig("backoff", at_once, retry_connection_errors=True)
            await openrouter_calls.chat(side, client)

    def _has_jitter() -> bool:
        return "jitter_ms" in BackoffStrategy.__init__.__code__.co_varnames

    telemetry.instrument(hosts=[sim.url])
    sim.next(DOWN, Scenario())
    side.run(use())
    failed, done = telemetry.spans
    assert failed.attributes[names.ERROR_TYPE] == "provider_unavailable"
    assert Decimal(repr(done.attributes[names.COST_TOTAL])) == sim.bill


def _is_timeout(error: Exception) -> bool:
    return type(error).__name__ in {"APITimeoutError", "ReadTimeout"}  # the latter from within a stream


@both
@pytest.mark.parametrize("name", ["openai-chat", "openai-chat-stream", "anthropic-create", "anthropic-helper"])
def test_a_timeout_before_the_answer(name: str, side: Side, telemetry: Telemetry) -> None:
    released = threading.Event()
    with Simulator(sleep=released.wait) as sim:
        telemetry.instrument(hosts=[sim.url])
        sim.next(Scenario(first_delay=20.0))
        with pytest.raises(Exception, check=_is_timeout):  # noqa: B017 - each library has its own
            side.run(_use(side, sim, name, timeout=0.1))
        released.set()
    span = telemetry.span
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes[names.ERROR_TYPE].endswith("ReadTimeout")
    assert names.COST_TOTAL not in span.attributes


@both
@pytest.mark.parametrize("name", ["openai-chat-stream", "openai-responses-stream", "anthropic-helper"])
def test_a_timeout_within_a_stream(name: str, side: Side, sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=[sim.url])
    sim.next(Scenario(hold_after=3))
    with pytest.raises(Exception, check=_is_timeout):  # noqa: B017 - each library has its own
        side.run(_use(side, sim, name, timeout=0.5))
    span = telemetry.span
    assert span.attributes[names.ERROR_TYPE].endswith("ReadTimeout")
    assert span.attributes[names.STREAM_OUTCOME] == "error"
    assert telemetry.in_flight == 0
