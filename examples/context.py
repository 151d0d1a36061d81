"""Who asked, in which session, for what; and the calls nested in your own spans."""

import os

import openai
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

import orobserve

provider = TracerProvider()  # your own provider is used and never replaced
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)
orobserve.instrument()

client = openai.OpenAI(
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
)


@orobserve.context(metadata={"team": "search"})
def answer(question: str) -> str:
    """Answer one question: two calls below one span of yours."""
    with trace.get_tracer("example").start_as_current_span("answer"):
        plan = ask(f"Plan an answer to: {question}", "plan")
        return ask(f"Follow this plan: {plan}", "write")


def ask(prompt: str, step: str) -> str:
    """Make one call, with a name of its own."""
    with orobserve.context(generation_name=step, metadata={"step": step}):
        reply = client.chat.completions.create(
            model="openai/gpt-4o-mini", messages=[{"role": "user", "content": prompt}]
        )
    return reply.choices[0].message.content or ""


with orobserve.context(user="user-42", session_id="session-7"):
    print(answer("Why is the sky blue?"))
provider.shutdown()
