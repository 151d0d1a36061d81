"""A destination in your own OpenTelemetry pipeline: your sampler and your processors decide what it gets."""

import os
import tempfile
from pathlib import Path

import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import orobserve
from orobserve.span_exporter import DestinationSpanExporter

path = Path(tempfile.mkdtemp()) / "calls.jsonl"
destination = {"type": "file", "config": {"path": str(path)}}  # or "langfuse", "datadog", ...

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(DestinationSpanExporter(destination)))
trace.set_tracer_provider(provider)
orobserve.instrument(content="span_only")  # what spans do not carry, the destination cannot get

base = os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1")
with trace.get_tracer("example").start_as_current_span("answer"):  # not a call: the destination does not get it
    httpx.post(
        f"{base}/chat/completions",
        headers={"Authorization": f"Bearer {os.environ['OPENROUTER_API_KEY']}"},
        json={"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "Say hello."}]},
        timeout=60,
    )

orobserve.flush()
provider.shutdown()
print(f"the file has {path.read_text().count('traceId')} call")
