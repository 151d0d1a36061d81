"""The dashboard over traces in Tempo: TraceQL, of spans that orobserve made or sent to its `grafana` destination."""

from __future__ import annotations

from orobserve.telemetry import names
from orobserve_exporters.grafana.source.panels import RATE, SECONDS, USD, Kind, Panel, Subject

_ALWAYS = f"span.{names.PROVIDER_NAME}"  # what a span lacks matches nothing, not even `.*`: this one no span lacks
CHOICES = {
    "model": names.REQUEST_MODEL,
    "provider": names.UPSTREAM,
    "key": names.API_KEY_LABEL,
    "tag": f"{names.METADATA_PREFIX}tags",
}
_OURS = " && ".join(
    [f'{_ALWAYS} = "{names.PROVIDER}"']
    + [f'({_ALWAYS} =~ "${name}" || span.{attribute} =~ "${name}")' for name, attribute in CHOICES.items()]
)
_MODEL, _COST, _UPSTREAM = f"span.{names.RESPONSE_MODEL}", f"span.{names.COST_TOTAL}", f"span.{names.UPSTREAM}"
_SHOWN = f"select({_MODEL}, {_UPSTREAM}, {_COST}, span.{names.INPUT_TOKENS}, span.{names.OUTPUT_TOKENS})"


def _list(title: str, shows: str, condition: str) -> Panel:
    return Panel(
        title=title,
        shows=shows,
        kind=Kind.TABLE,
        traceql=f"{{ {_OURS}{condition} }} | {_SHOWN}",
        units={names.COST_TOTAL: USD},
        width=24,
    )


TRACES = Subject(
    name="traces",
    title="Traces",
    shows="The calls within your traces: recent, dear and failed ones, and their figures by TraceQL metrics.",
    panels=(
        Panel(
            title="Spend by model",
            shows="Sum of the spans' costs in each step: of sampled spans only what was kept.",
            kind=Kind.BARS,
            unit=USD,
            traceql=f"{{ {_OURS} }} | sum_over_time({_COST}) by ({_MODEL})",
        ),
        Panel(
            title="Calls by provider",
            shows="Per second.",
            kind=Kind.LINES,
            unit=RATE,
            traceql=f"{{ {_OURS} }} | rate() by ({_UPSTREAM})",
        ),
        Panel(
            title="Latency",
            shows="Percentiles of the calls' duration.",
            kind=Kind.LINES,
            unit=SECONDS,
            traceql=f"{{ {_OURS} }} | quantile_over_time(duration, 0.5, 0.95, 0.99)",
        ),
        Panel(
            title="Errors by type",
            shows="Failed calls in each step.",
            kind=Kind.BARS,
            traceql=f"{{ {_OURS} && status = error }} | count_over_time() by (span.{names.ERROR_TYPE})",
        ),
        _list("Recent calls", "The latest calls; a click opens the trace they stand in.", ""),
        _list("Expensive calls", "Calls that cost more than the sum which stands above.", f" && {_COST} > $dear"),
        _list("Failed calls", "The latest calls that failed.", " && status = error"),
    ),
)
