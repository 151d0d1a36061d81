"""Serves one inference request: picks the scenario, lets the model answer, bills it, and applies the faults."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from orobserve.testing import audio, errors, sse
from orobserve.testing.answers import Answer, compose
from orobserve.testing.cache import ResponseCache
from orobserve.testing.dialects import DIALECTS, Dialect
from orobserve.testing.faults import damage_body, damage_events, script, served_whole
from orobserve.testing.ledger import Entry, Ledger
from orobserve.testing.reply import JSON_TYPE, Headers, Reply, json_reply
from orobserve.testing.routing import failed_metadata, route
from orobserve.testing.scenarios import Failure, Scenario
from orobserve.testing.sse import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orobserve.testing.request import InferenceRequest

EVENT_STREAM = "text/event-stream"


class Inference:
    """The inference endpoints. Its ``next_scenarios`` win over the request header, which wins over ``default``."""

    def __init__(
        self, ledger: Ledger, new_id: Callable[[str], str], clock: Callable[[], float], presets: Mapping[str, Scenario]
    ) -> None:
        """Share the books, the id source and the clock with the other endpoints."""
        self._ledger = ledger
        self._new_id = new_id
        self._clock = clock
        self._presets = presets
        self._cache = ResponseCache()
        self.next_scenarios: deque[Scenario] = deque()
        self.default = Scenario()

    def choose(self, headers: Mapping[str, str]) -> Scenario:
        """Pick the scenario of a call."""
        try:
            return self.next_scenarios.popleft()
        except IndexError:
            return self._presets.get(headers.get("x-simulator-scenario", ""), self.default)

    def serve(self, request: InferenceRequest) -> Reply:
        """Answer a request."""
        dialect = DIALECTS[request.dialect]
        complaint = _complaint(request, dialect)
        if complaint:
            return refuse(request, Scenario(name="refused"), complaint)
        scenario = _adapted(self.choose(request.headers), request, dialect)
        if scenario.body == "html":
            return _html(scenario)
        if scenario.error and scenario.error.place == "http":
            return self._fail(request, scenario, scenario.error)
        answer, headers = self._answer(request, scenario, dialect)
        entry = self._ledger.add(Entry(answer=answer, failure=scenario.error))
        reply = self._stream(answer, dialect, entry) if _streams(request, dialect) else _whole(answer, dialect, entry)
        reply.generation_id = "" if scenario.late_id else answer.generation_id
        reply.headers += headers
        reply.entry, reply.scenario, reply.encoding = entry, scenario, scenario.encoding
        if scenario.reset_after == 0:
            reply.parts, reply.ending = [], "reset"
        return reply

    def _answer(self, request: InferenceRequest, scenario: Scenario, dialect: Dialect) -> tuple[Answer, Headers]:
        """Take the answer from the response cache or make a new one."""
        generation_id, now = self._new_id("gen"), self._clock()
        stored, headers = self._cache.look_up(request, now) if scenario.error is None else (None, [])
        if stored is not None:
            return stored.replayed(generation_id, request, scenario), headers
        answer = compose(
            request,
            scenario,
            generation_id=generation_id,
            measure=dialect.measure(request) if dialect.measure else None,
        )
        if served_whole(scenario):
            self._cache.store(request, answer, now)
        return answer, headers

    def _fail(self, request: InferenceRequest, scenario: Scenario, failure: Failure) -> Reply:
        """Answer with an error status; a failure behind routing has a generation of its own, free of charge."""
        if not errors.reached_a_provider(failure):
            return refuse(request, scenario, failure)
        generation_id = self._new_id("gen")
        answer = compose(request, scenario, generation_id=generation_id)
        entry = self._ledger.add(Entry(answer=answer, failure=failure))
        reply = refuse(request, scenario, failure, generation_id)
        reply.entry, reply.generation_id = entry, generation_id
        return reply

    def _stream(self, answer: Answer, dialect: Dialect, entry: Entry) -> Reply:
        """Play the events of an answer."""
        scenario = answer.scenario
        played = script(list(dialect.events(answer)) if dialect.events else [], dialect, answer)
        events = damage_events(played.events, scenario)
        entry.share = Decimal(len(played.events)) / max(1, played.total)
        parts = sse.parts(
            events,
            scenario.framing,
            first=scenario.first_delay,
            between=scenario.chunk_delay,
            hold_after=scenario.hold_after,
        )
        return Reply(content_type=EVENT_STREAM, parts=list(parts), streamed=True, ending=played.ending)


def refuse(request: InferenceRequest, scenario: Scenario, failure: Failure, generation_id: str = "") -> Reply:
    """Answer with an error status, in the dialect's own shape."""
    story = failed_metadata(route(request, scenario)) if request.wants_metadata else None
    payload = errors.body(request.dialect, failure, generation_id=generation_id, story=story)
    reply = json_reply(payload, failure.http_status, errors.headers(failure))
    reply.scenario, reply.encoding = scenario, scenario.encoding
    reply.parts = [Part(damage_body(reply.parts[0].data, scenario), scenario.first_delay)]
    if scenario.reset_after is not None:
        reply.parts, reply.ending = [], "reset"
    return reply


def _streams(request: InferenceRequest, dialect: Dialect) -> bool:
    return request.stream and dialect.events is not None


def _complaint(request: InferenceRequest, dialect: Dialect) -> Failure | None:
    """Find what is wrong with a request before any provider sees it."""
    if not any(request.body.get(name) is not None for name in dialect.needs):
        return Failure(error_type="invalid_request", message=f"Invalid request: {dialect.needs[0]} is required")
    if request.dialect == "responses" and (request.body.get("store") or request.body.get("previous_response_id")):
        return Failure(error_type="invalid_request", message="Stateful responses are not supported")
    return None


def _adapted(scenario: Scenario, request: InferenceRequest, dialect: Dialect) -> Scenario:
    """Move an error to a place this dialect has, the way the API does."""
    failure = scenario.error
    if failure is None:
        return scenario
    if request.dialect == "responses" and failure.error_type in errors.LENGTH_ERRORS and failure.place != "http":
        return replace(scenario, error=None, finish="length")
    if failure.place in {"http", "job"}:
        kept = failure.place == "http" or request.dialect == "videos"
        return scenario if kept else replace(scenario, error=replace(failure, place="http"))
    if _streams(request, dialect):
        after = failure.after if failure.place == "midstream" else 0
        return replace(scenario, error=replace(failure, place="midstream", after=after))
    place = "http" if dialect.failed is None else failure.place
    return replace(scenario, error=replace(failure, place="body200_choice" if place == "midstream" else place))


def _html(scenario: Scenario) -> Reply:
    """Answer like a gateway that never reached the API."""
    page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"
    return Reply(status=502, content_type="text/html; charset=UTF-8", parts=[Part(page)], scenario=scenario)


def _whole(answer: Answer, dialect: Dialect, _entry: Entry) -> Reply:
    """Build a body that is not an event stream."""
    scenario = answer.scenario
    content_type, streamed = JSON_TYPE, False
    if dialect.name == "speech":
        content_type, body = audio.speech_body(answer)
        streamed = True
    else:
        failure = scenario.error if scenario.error and scenario.error.place != "job" else None
        payload = dialect.failed(answer, failure) if failure and dialect.failed else dialect.result(answer)
        body = damage_body(sse.dumps(payload).encode(), scenario)
    parts = [Part(piece) for piece in sse.cut(body, scenario.framing.write_size)]
    reply = Reply(status=dialect.status, content_type=content_type, streamed=streamed)
    if scenario.truncated_after is not None or scenario.reset_after:
        parts = [Part(body[: len(body) // 2])]
        reply.ending = "reset" if scenario.reset_after else "torn"
        reply.headers.append(("Content-Length", str(len(body))))
        reply.streamed = False
    reply.parts = [parts[0]._replace(pause=scenario.first_delay), *parts[1:]] if parts else []
    return reply
