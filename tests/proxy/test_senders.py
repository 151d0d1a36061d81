"""Whoever exports OTLP over HTTP, with the exporters of OpenTelemetry itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

import orobserve
from tests.proxy.served import Served
from tests.telemetry.calls import call, delta, sse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve import Generation
    from tests.conftest import Telemetry


@pytest.fixture
def served() -> Iterator[Served]:
    with Served().running() as running:
        yield running


def make_exporter(kind: str, url: str) -> Any:
    if kind == "json":
        module = pytest.importorskip("opentelemetry.exporter.otlp.json.http.trace_exporter")
        return module.OTLPSpanExporter(endpoint=f"{url}/v1/traces")
    compression = Compression.Gzip if kind == "protobuf, gzip" else Compression.NoCompression
    return OTLPSpanExporter(endpoint=f"{url}/v1/traces", compression=compression)


@pytest.mark.parametrize("kind", ["protobuf", "protobuf, gzip", "json"])
def test_the_official_exporters(kind: str, served: Served) -> None:
    exporter = make_exporter(kind, served.url)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    seen: list[Generation] = []
    remove = orobserve.on_generation(seen.append)
    orobserve.instrument(tracer_provider=provider, content="span_only", enrichment="never")
    call()
    call({"error": {"code": 429, "message": "Slow down"}}, status=429)
    call(sse(*({**chunk, "id": "gen-2"} for chunk in (delta("Hel"), delta("lo", finish_reason="stop")))))
    orobserve.flush()
    remove()
    assert exporter.export([]) is SpanExportResult.SUCCESS
    provider.shutdown()
    assert len(served.records) == 3
    for ours, received in zip(sorted(seen, key=start), sorted(served.records, key=start), strict=True):
        for part in ("id", "model", "usage", "cost", "outcome", "finish_reasons", "trace_id", "span_id", "provider"):
            assert getattr(received, part) == getattr(ours, part), part
        assert received.request.model == ours.request.model
        assert (received.error and received.error.type) == (ours.error and ours.error.type)


def start(record: Generation) -> int:
    return record.timing.started_at


def test_our_own_spans_through_the_otel_pipeline_are_known_to_the_receiver(
    served: Served, telemetry: Telemetry
) -> None:
    """The same spans by another way round: nothing is delivered twice."""
    telemetry.instrument(enrichment="never")
    call()
    for _ in range(2):
        assert make_exporter("protobuf", served.url).export(telemetry.spans) is SpanExportResult.SUCCESS
    assert len(served.records) == 1
