"""What our destinations send, received again: the same records, but for what a span does not say."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.proxy import otlp
from orobserve.proxy.intake import Intake
from orobserve.receivers import Receivers
from orobserve_exporters.arize import Arize
from orobserve_exporters.otel_collector import OTelCollector
from orobserve_exporters.phoenix import Phoenix
from orobserve_exporters.webhook import Webhook
from tests.exporters.generations import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.generation import Generation

# What a span does not say of a record, in any encoding.
NOT_CARRIED = {
    ".status_code",
    ".tags",  # they come back as the request's metadata, as `decode` says
    ".request.trace",
    ".routing.attempts",  # without latencies, service tiers and BYOK flags: only names, models and statuses
}
# What is changed on purpose: halves of surrogate pairs, which UTF-8 has not; what is over the size limits.
CHANGED = {"odd_text": {".content.input", ".content.output"}, "huge": {".content.input", ".content.output"}}


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Yield the fields in which two records differ."""
    if one == other:
        return
    if is_dataclass(one) and type(one) is type(other) and path.count(".") < 2:
        for field in fields(one):
            yield from differences(getattr(one, field.name), getattr(other, field.name), f"{path}.{field.name}")
    else:
        yield path


def received(body: bytes, encoding: otlp.Encoding) -> Generation:
    records, unreadable = Intake(Receivers()).read(otlp.read(body, encoding).spans)
    assert unreadable == 0
    (record,) = records
    return record


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("kind", ["webhook", "collector"])
def test_what_we_send_comes_back(kind: str, name: str) -> None:
    sent = SAMPLES[name]
    if kind == "webhook":
        body = Webhook({"url": "http://x/", "method": "POST"}).encode([sent]).body
        found = received(body, otlp.Encoding.JSON)
    else:
        body = OTelCollector({"endpoint": "http://x/"}).encode([sent]).body
        found = received(body, otlp.Encoding.PROTOBUF)
    assert set(differences(sent, found)) <= NOT_CARRIED | CHANGED.get(name, set())
    trace = sent.request.trace
    metadata = {**(sent.tags or {}), **((trace and trace.metadata) or {})}
    told = found.request.trace
    assert ((told and told.metadata) or {}) == {key: value for key, value in metadata.items() if value is not None}
    if trace is not None and told is not None:
        assert replace(told, metadata=None) == replace(trace, metadata=None)


def test_what_came_back_is_sent_alike() -> None:
    """The names above a call, and their ids, are the same wherever the record goes next."""
    exporter = Webhook({"url": "http://x/", "method": "POST"})
    sent = SAMPLES["named"]
    again = Webhook({"url": "http://x/", "method": "POST"}).encode(
        [received(exporter.encode([sent]).body, otlp.Encoding.JSON)]
    )
    ids = [
        [(span.span_id, span.parent_span_id, span.name) for span in otlp.read(body, otlp.Encoding.JSON).spans]
        for body in (Webhook({"url": "http://x/", "method": "POST"}).encode([sent]).body, again.body)
    ]
    assert ids[0] == ids[1]
    later = received(exporter.encode([replace(sent, span_id="1" * 16)]).body, otlp.Encoding.JSON)
    assert later.trace_name == "Nightly report"  # its parents went with the first one


@pytest.mark.parametrize("name", ["chat", "unpriced", "free", "byok", "inside"])
@pytest.mark.parametrize("kind", [Phoenix, Arize])
def test_openinference_of_ours(kind: Any, name: str) -> None:
    sent = SAMPLES[name]
    config = {"baseUrl": "http://x", "base_url": "http://x", "apiKey": "k", "spaceKey": "s", "modelId": "m"}
    made = {field.name: config.get(field.name, field.default) for field in kind.FIELDS}
    found = received(kind(made).encode([sent]).body, otlp.Encoding.PROTOBUF)
    for field in ("input_tokens", "output_tokens", "cache_read_input_tokens", "reasoning_output_tokens"):
        assert getattr(found.usage, field) == getattr(sent.usage, field)
    assert (found.cost and found.cost.total) == (sent.cost and sent.cost.total)
    assert (found.trace_id, found.span_id) == (sent.trace_id, sent.span_id)
    assert found.request.user == sent.request.user


def test_reading_a_span_looks_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK finds out about this process, with threads, for a span that is made without a resource."""
    monkeypatch.setattr("opentelemetry.sdk.resources.Resource.create", lambda *_: pytest.fail("looked up"))
    body = Webhook({"url": "http://x/", "method": "POST"}).encode([SAMPLES["chat"]]).body
    assert received(body, otlp.Encoding.JSON).id == "gen-abc"
