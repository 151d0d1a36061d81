"""With and without `instrument()`: the same requests, results, types and exceptions, for every client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import StatusCode

from orobserve.telemetry import names
from orobserve.testing import SCENARIOS, Failure, Scenario, Simulator
from tests.sdks.calls import rows
from tests.sdks.describe import describe
from tests.sdks.sides import BOTH

if TYPE_CHECKING:
    from orobserve.testing import Call
    from tests.conftest import Telemetry
    from tests.sdks.calls import Row
    from tests.sdks.sides import Side

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROWS = rows()
NOON = 1_787_400_000.0


def _failure(kind: str, **details: Any) -> Scenario:
    return Scenario(error=Failure(error_type=kind, **details))


FAILURES = {
    "401": _failure("authentication", message="User not found."),
    "404": SCENARIOS["model_not_found"],
    "429": SCENARIOS["rate_limited"],
    "500": SCENARIOS["server_error"],
    "html": SCENARIOS["html"],
    "reset": SCENARIOS["reset"],
    "malformed": SCENARIOS["malformed"],
    "error-in-body": SCENARIOS["error_in_body"],
    "midstream": SCENARIOS["midstream_error"],
    "truncated": SCENARIOS["truncated"],
}
STREAM_ONLY = {"midstream", "truncated"}


def see(row: Row, side: Side, scenario: Scenario) -> tuple[Any, Any]:
    """Make the call; return what its caller saw, and what it sent."""
    with Simulator(clock=lambda: NOON, sleep=lambda _seconds: None, port=0) as sim:
        sim.default = scenario
        try:
            seen = side.run(row.use(side, sim))
        except Exception as error:  # noqa: BLE001 - the caller sees exceptions, too
            seen = error
        return describe(seen), [_wire(call) for call in sim.calls]


def _wire(call: Call) -> Any:
    boundary = (call.header("content-type") or "").partition("boundary=")[2]  # made by chance

    def steady(text: str) -> str:
        return text.replace(boundary, "---") if boundary else text

    headers = [(name, steady(value)) for name, value in call.headers if name.lower() != "host"]
    return call.method, call.path, headers, steady(call.body.decode("latin-1")), call.status


def compare(row: Row, side: Side, scenario: Scenario, telemetry: Telemetry) -> None:
    """Check that both ways look the same."""
    bare = see(row, side, scenario)
    telemetry.instrument(hosts=["127.0.0.1"])
    observed = see(row, side, scenario)
    assert telemetry.spans, "the call was not observed"
    assert bare == observed


@pytest.mark.parametrize("side", BOTH, ids=str)
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_success_looks_the_same(row: Row, side: Side, telemetry: Telemetry) -> None:
    compare(row, side, row.scenario, telemetry)


_PLAIN = [row for row in ROWS if row.name.endswith(("-chat", "-create", "-responses", "-invoke", "-run"))]
_STREAMS = [
    row
    for row in ROWS
    if row.name
    in {
        "openai-chat-stream",
        "openai-chat-helper",
        "openai-responses-stream",
        "anthropic-stream",
        "anthropic-helper",
        "openrouter-chat-stream",
        "langchain-stream",
        "pydantic-ai-stream",
        "httpx-raw",
        "httpx2-raw",
    }
]
# What goes wrong before the first chunk looks the same to plain and streamed calls: one such failure is enough there.
_STATUS = ("401", "404", "429", "500", "reset")
_DIRECT = [row for row in _PLAIN if row.name in {"openai-chat", "anthropic-create", "openrouter-chat", "httpx-chat"}]
_FAILING = [(name, row) for name in _STATUS for row in _PLAIN]
_FAILING += [(name, row) for name in ("html", "malformed", "error-in-body") for row in _DIRECT]
_FAILING += [(name, row) for name in ("429", *sorted(STREAM_ONLY)) for row in _STREAMS]


@pytest.mark.parametrize("side", BOTH, ids=str)
@pytest.mark.parametrize(("name", "row"), _FAILING, ids=str)
def test_failure_looks_the_same(name: str, row: Row, side: Side, telemetry: Telemetry) -> None:
    compare(row, side, FAILURES[name], telemetry)
    for span in telemetry.spans:
        if name == "malformed":  # what is broken may still have been billed: no error, but the span says so
            assert span.attributes["openrouter.response.body_fault"]
        else:
            assert span.status.status_code is StatusCode.ERROR
            assert span.attributes[names.ERROR_TYPE]
        assert names.COST_TOTAL not in span.attributes
