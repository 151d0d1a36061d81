"""Asynchronous work: videos and batches, each ending after a number of polls."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from orobserve.testing import batches, errors, videos
from orobserve.testing.answers import compose
from orobserve.testing.batches import Batch, Line
from orobserve.testing.dialects import DIALECTS
from orobserve.testing.inference import Inference, refuse
from orobserve.testing.ledger import Entry, Ledger
from orobserve.testing.media import FILM
from orobserve.testing.pricing import BATCH_RATE
from orobserve.testing.reply import Incoming, Reply, json_reply
from orobserve.testing.request import InferenceRequest, Payload, parse_body
from orobserve.testing.sse import Part

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.testing.scenarios import Failure, Scenario

_DIALECT_OF_ENDPOINT = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/embeddings": "embeddings",
}


class Jobs:
    """The jobs that were submitted."""

    def __init__(
        self, ledger: Ledger, inference: Inference, new_id: Callable[[str], str], clock: Callable[[], float]
    ) -> None:
        """Share the books and the scenarios with the inference endpoints."""
        self._ledger = ledger
        self._inference = inference
        self._new_id = new_id
        self._clock = clock
        self._lock = threading.Lock()
        self._videos: dict[str, Entry] = {}
        self._polls: dict[str, int] = {}
        self._batches: dict[str, Batch] = {}

    def follow(self, entry: Entry) -> None:
        """Register the job of an accepted video request."""
        name = videos.job_id(entry.answer)
        with self._lock:
            self._videos[name] = entry
            self._polls[name] = entry.answer.scenario.polls

    def video(self, name: str, base_url: str) -> Reply:
        """Poll a video."""
        with self._lock:
            entry = self._videos.get(name)
            if entry is None:
                return json_reply(errors.plain(404, "Job not found"), 404)
            self._polls[name] -= 1
            finished = self._polls[name] < 0
        return json_reply(videos.state(entry, finished=finished, base_url=base_url))

    def film(self, name: str) -> Reply:
        """Download a video."""
        if name not in self._videos:
            return json_reply(errors.plain(404, "Job not found"), 404)
        return Reply(content_type="video/mp4", parts=[Part(FILM)], streamed=True)

    def submit(self, incoming: Incoming, key: str) -> Reply:
        """Accept a batch; every line is generated and billed at once, at the batch rate."""
        body = parse_body(incoming.body) or {}
        dialect = _DIALECT_OF_ENDPOINT.get(str(body.get("endpoint")), "")
        lines = body.get("requests")
        if not dialect or not isinstance(lines, list) or not lines:
            return json_reply(errors.plain(400, "endpoint, model and requests are required"), 400)
        scenario = self._inference.choose(incoming.headers)
        shared = InferenceRequest(
            dialect=dialect, path=str(body["endpoint"]), body=body, raw=incoming.body, headers=incoming.headers, key=key
        )
        failure = scenario.error
        if failure and failure.place == "http":
            return refuse(shared, scenario, failure)
        job = Batch(
            id=self._new_id("batch"),
            endpoint=str(body["endpoint"]),
            model=str(body.get("model", "")),
            created=int(self._clock()),
            lines=[self._line(shared, scenario, line, index) for index, line in enumerate(lines)],
            failure=failure if failure and failure.place == "job" else None,
            polls=scenario.polls,
        )
        with self._lock:
            self._batches[job.id] = job
        reply = json_reply(batches.batch(job, submitted=True), 202)
        reply.scenario = scenario
        return reply

    def _line(self, shared: InferenceRequest, scenario: Scenario, line: Payload, index: int) -> Line:
        """Generate one line; an error that is not the job's own strikes the first line only."""
        asked: Payload = {"model": shared.body.get("model"), **(line.get("body") or {}), "stream": False}
        request = InferenceRequest(
            dialect=shared.dialect, path=shared.path, body=asked, raw=b"", headers=shared.headers, key=shared.key
        )
        dialect = DIALECTS[shared.dialect]
        answer = compose(
            request,
            scenario,
            generation_id=self._new_id("gen-batch"),
            rate=BATCH_RATE,
            measure=dialect.measure(request) if dialect.measure else None,
        )
        failure: Failure | None = scenario.error
        if failure and failure.place != "job" and index:
            failure = None
        entry = self._ledger.add(Entry(answer=answer, failure=failure, finished_at=self._clock()))
        body = {**dialect.result(answer), "id": answer.generation_id}
        return Line(custom_id=str(line.get("custom_id", index)), entry=entry, body=body)

    def batch(self, name: str) -> Reply:
        """Poll a batch."""
        with self._lock:
            job = self._batches.get(name)
            if job is None:
                return json_reply(errors.plain(404, "Batch not found"), 404)
            job.polls -= 1
            return json_reply(batches.batch(job))

    def batches(self) -> Reply:
        """List the batches, newest first."""
        with self._lock:
            rows = [batches.batch(job) for job in reversed(self._batches.values())]
        return json_reply({"object": "list", "data": rows, "has_more": False})
