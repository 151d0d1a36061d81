"""Destinations that ask before they deliver, or in between: who takes their steps, and what becomes of the batch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import HTTPExporter, HTTPRequest, HTTPResponse, Limits, Result, Step, Verdict
from orobserve.delivery.probe import probe
from tests.delivery.exporters import generation
from tests.delivery.servers import Answer, Server
from tests.support.deliver import deliver as delivered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve import Generation
    from orobserve.delivery import Conversation
    from orobserve.delivery.state import State


class Asking(HTTPExporter):
    """Asks for a ticket, delivers with it, and says at the end what it thinks of it all."""

    TYPE = "asking"
    TITLE = "Asking"
    LIMITS = Limits(items=10, bytes=200)

    def __init__(self, url: str, last: Result | None = None) -> None:
        super().__init__({})
        self._url, self._last = url, last
        self.closed = 0

    def deliver(self, batch: Sequence[Generation]) -> Conversation:
        try:
            if any(each.name == "bad" for each in batch):
                raise ValueError("secret prompt")
            answer = yield Step(HTTPRequest(url=f"{self._url}/ticket", method="GET"), self.judge)
            ticket = json.loads(answer.body)["ticket"]
            body = json.dumps([each.name for each in batch]).encode()
            yield Step(HTTPRequest(url=f"{self._url}/rows?{ticket}", body=body, compress=False), self.judge)
            return self._last
        finally:
            self.closed += 1

    def examine(self) -> Conversation:
        answer = yield Step(HTTPRequest(url=f"{self._url}/ticket", method="GET"), self.judge_probe)
        yield Step(HTTPRequest(url=f"{self._url}/may", method="GET"), self.judge_probe)
        return Result(verdict=Verdict.DELIVERED, reason=f"a remark on {json.loads(answer.body)['ticket']}")

    def judge(self, response: HTTPResponse) -> Result:
        result = super().judge(response)
        taken = result.verdict is Verdict.DELIVERED and response.body == b"one"
        return Result(verdict=Verdict.DELIVERED, rejected=1, reason="one was bad") if taken else result


TICKET = Answer(200, {}, b'{"ticket": 7}')


def deliver(exporter: Asking, *names: str) -> State:
    return delivered(exporter, [generation(name) for name in names])


def paths(server: Server) -> list[str]:
    return [request.path for request in server.requests]


def test_answers_are_sent_back() -> None:
    with Server(TICKET, 200) as server:
        state = deliver(Asking(server.url), "a", "b")
    assert paths(server) == ["/ticket", "/rows?7"]
    assert server.requests[1].body == b'["a", "b"]'
    assert state.delivered == 2


def test_only_the_step_that_failed_is_taken_again() -> None:
    with Server(503, TICKET, 503, 429, 200) as server:
        exporter = Asking(server.url)
        state = deliver(exporter, "a")
    assert paths(server) == ["/ticket", "/ticket", "/rows?7", "/rows?7", "/rows?7"]
    assert (state.delivered, state.retried, exporter.closed) == (1, 3, 1)


@pytest.mark.parametrize("answers", [[401], [TICKET, 401]], ids=["first", "second"])
def test_a_refusal_ends_it(answers: list[Any]) -> None:
    with Server(*answers) as server:
        exporter = Asking(server.url)
        state = deliver(exporter, "a", "b")
    assert state.dropped == {"rejected": 2}
    assert exporter.closed == 1
    assert len(server.requests) == len(answers)


def test_what_is_too_large_is_halved() -> None:
    with Server(TICKET, 413, TICKET, 200, TICKET, 200) as server:
        assert deliver(Asking(server.url), "a", "b").delivered == 2
    assert [request.body for request in server.requests if request.method == "POST"][1:] == [b'["a"]', b'["b"]']


def test_a_payload_over_the_limit_is_never_sent() -> None:
    with Server(TICKET, TICKET, 200, TICKET, 200) as server:
        state = deliver(Asking(server.url), "a" * 120, "b" * 120)
    assert state.delivered == 2
    assert max(len(request.body) for request in server.requests) < 200


@pytest.mark.swallows
def test_one_that_cannot_be_encoded_does_not_take_the_others_with_it() -> None:
    with Server(TICKET, 200) as server:
        state = deliver(Asking(server.url), "bad", "b")
    assert state.delivered == 1
    assert state.dropped == {"encode": 1}
    assert [request.body for request in server.requests if request.method == "POST"] == [b'["b"]']


@pytest.mark.swallows
def test_an_answer_that_cannot_be_read() -> None:
    with Server(Answer(200, {}, b"no JSON")) as server:
        state = deliver(Asking(server.url), "a")
    assert state.dropped == {"encode": 1}


def test_what_steps_and_the_end_say_is_added_up() -> None:
    last = Result(verdict=Verdict.DELIVERED, rejected=1, reason="and another")
    with Server(TICKET, Answer(200, {}, b"one")) as server:
        state = deliver(Asking(server.url, last), "a", "b", "c")
    assert (state.delivered, state.rejected) == (1, 2)
    assert state.last_error == "and another"


def test_a_remark_is_logged_once_and_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    remark = Result(verdict=Verdict.DELIVERED, reason="the table lacks a column")
    with Server(TICKET, 200, TICKET, 200) as server:
        state = delivered(Asking(server.url, remark), [generation("a")], [generation("b")])
    assert len([record for record in caplog.records if "lacks a column" in record.getMessage()]) == 1
    assert (state.delivered, state.last_error) == (2, None)


def test_a_probe_takes_every_step_once() -> None:
    with Server(TICKET, 200) as server:
        found = probe(Asking(server.url))
    assert paths(server) == ["/ticket", "/may"]
    assert (found.result.verdict, found.result.reason) == (Verdict.DELIVERED, "a remark on 7")
    assert found.server_time is not None


def test_a_probe_ends_at_the_first_refusal() -> None:
    with Server(TICKET, 403) as server:
        found = probe(Asking(server.url))
    assert found.result.verdict is Verdict.REJECTED
    assert "permission" in found.result.reason


def test_a_probe_that_loses_its_server() -> None:
    with Server(TICKET, Answer(503)) as server:
        assert probe(Asking(server.url)).result.verdict is Verdict.REJECTED
