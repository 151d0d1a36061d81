"""Videos and batches: one span for the call that starts the job, one for the poll that finds it finished."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orobserve.testing import SCENARIOS, Scenario
from tests.telemetry.calls import call

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

HEADERS = {"authorization": "Bearer sk-or-v1-0123456789abcdef"}


def poll(client: httpx.Client, url: str, times: int) -> list[Any]:
    return [client.get(url).json()["status"] for _ in range(times)]


def test_a_video_is_recorded_once(sim: Simulator, telemetry: Telemetry, records: Callable[[], list[Any]]) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    sim.next(Scenario(polls=2))
    with httpx.Client(verify=False, headers=HEADERS) as client:
        job = client.post(f"{sim.url}/videos", json={"model": "google/veo-3", "prompt": "a cat"}).json()
        assert len(telemetry.spans) == 1
        states = poll(client, f"{sim.url}/videos/{job['id']}", 6)
    assert states[-1] == "completed"
    started, finished = telemetry.spans
    assert finished.name == started.name == "generate_content google/veo-3"
    assert finished.context.trace_id == started.context.trace_id
    assert finished.parent is not None
    assert finished.parent.span_id == started.context.span_id
    facts = finished.attributes
    assert facts["openrouter.video.status"] == "completed"
    assert facts["openrouter.video.poll_count"] == states.index("completed") + 1
    assert facts["openrouter.video.id"] == job["id"]
    assert facts["openrouter.cost.total"] == float(sim.bill)
    costs = [span.attributes.get("openrouter.cost.total") for span in telemetry.spans]
    assert costs == [None, float(sim.bill)]
    assert [record.job.finished for record in records()] == [False, True]
    assert telemetry.in_flight == 0


def test_a_failed_job(sim: Simulator, telemetry: Telemetry) -> None:
    telemetry.instrument(hosts=["127.0.0.1"])
    sim.next(SCENARIOS["job_failed"])
    with httpx.Client(verify=False, headers=HEADERS) as client:
        job = client.post(f"{sim.url}/videos", json={"model": "google/veo-3", "prompt": "a cat"}).json()
        poll(client, f"{sim.url}/videos/{job['id']}", 4)
    assert len(telemetry.spans) == 2
    assert telemetry.spans[1].status.description == "The job failed"


@pytest.mark.parametrize("polls", [1, 3])
def test_a_batch_is_recorded_once(polls: int, telemetry: Telemetry) -> None:
    telemetry.instrument()
    state = {"id": "batch-1", "object": "batch", "status": "validating", "model": "m"}
    usage = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11, "cost": 0.5}
    call(state, path="/batches", model="m")
    for _ in range(polls - 1):
        call({**state, "status": "in_progress"}, path="/batches/batch-1", method="GET")
    for _ in range(3):
        call({**state, "status": "completed", "usage": usage}, path="/batches/batch-1", method="GET")
    assert [span.name for span in telemetry.spans] == ["batch m", "batch m"]
    facts = telemetry.spans[1].attributes
    assert facts["openrouter.cost.total"] == 0.5
    assert facts["openrouter.batch.poll_count"] == polls
    assert telemetry.in_flight == 0


def test_a_job_of_another_process_is_recorded_too(telemetry: Telemetry) -> None:
    telemetry.instrument()
    done = {"id": "batch-9", "object": "batch", "status": "completed", "model": "m", "usage": {"cost": 0.5}}
    call(done, path="/batches/batch-9", method="GET")
    assert telemetry.span.name.startswith("batch")
    assert telemetry.span.parent is None


@pytest.mark.parametrize("status", [404, 500])
def test_a_poll_that_fails_records_nothing(status: int, telemetry: Telemetry) -> None:
    telemetry.instrument()
    call({"error": {"code": status, "message": "no"}}, path="/batches/batch-1", method="GET", status=status)
    call(httpx.ReadTimeout("slow"), path="/batches/batch-1", method="GET")
    assert telemetry.spans == []
    assert telemetry.in_flight == 0
