"""Prometheus' side of the panels: names as its exporters spell them, and how much a counter has grown.

`increase()` is not used for sums of money: it extrapolates, and a series counts nothing for the sample it begins with,
which for calls as rare as these, with a series for each model and provider of each process, is a good part of the bill.
"""

from __future__ import annotations

from orobserve.telemetry import names


def label(attribute: str) -> str:
    """Return an attribute's name as a label."""
    return attribute.replace(".", "_")


ASKED, ANSWERED, UPSTREAM = label(names.REQUEST_MODEL), label(names.RESPONSE_MODEL), label(names.UPSTREAM)
ERROR, TOKEN_TYPE, TOKEN_KIND = label(names.ERROR_TYPE), label(names.TOKEN_TYPE), label(names.TOKEN_KIND)
CACHE_STATUS, STATUS, BYOK = label(names.RESPONSE_CACHE_STATUS), label(names.HTTP_STATUS), label(names.BYOK)

COST = "openrouter_client_cost_USD_total"
DURATION = "gen_ai_client_operation_duration_seconds"
CALLS = f"{DURATION}_count"
FIRST_CHUNK = "gen_ai_client_operation_time_to_first_chunk_seconds"
TOKENS = "gen_ai_client_token_usage_sum"
DETAILS = "openrouter_client_token_details_total"
SAVINGS = "openrouter_client_prompt_cache_savings_USD"
RESPONSE_CACHE = "openrouter_client_response_cache_total"
FALLBACKS = "openrouter_client_fallbacks_total"
ACTIVE = "openrouter_client_active_requests"
LOOKUPS = "orobserve_enrichment_lookups_total"
LOOKUP_DURATION = "orobserve_enrichment_duration_seconds"
PENDING = "orobserve_enrichment_pending"
DROPPED = "orobserve_dropped_total"
DELIVERED = "orobserve_delivery_delivered_total"
QUEUED = "orobserve_delivery_queued"
UNPRICED = "openrouter_client_unpriced_requests"
SWITCHES = "openrouter_client_provider_switches_total"
KEY_REMAINING = "openrouter_key_limit_remaining_USD"
KEY = "openrouter_api_key_label"
TAG = "$tag_label"  # which of the labels openrouter_tag_..., as the dashboard's user says

RANGE, STEP, INTERVAL = "$__range", "$__interval", "$__rate_interval"
CHOSEN = f'{ASKED}=~"$model", {UPSTREAM}=~"$provider", {KEY}=~"$key", {TAG}=~"$tag"'
ANSWERED_CALLS = f'{CHOSEN}, {ANSWERED}!=""'
_GAP = "1d"  # for which a series may be silent, and is not new when it is heard again


def token(kind: str) -> str:
    """Return the matchers of chosen calls' tokens, of `input` or `output`."""
    return f'{CHOSEN}, {TOKEN_TYPE}="{kind}"'


def detail(kind: str) -> str:
    """Return the matchers of a part of chosen calls' tokens."""
    return f'{CHOSEN}, {TOKEN_KIND}="{kind}"'


def grown(metric: str, window: str = RANGE, *, wanted: str = CHOSEN) -> str:
    """Return by how much each series of a counter has grown in a window, to the last digit.

    That is its last value less the one before the window; all of it if there was none in the day before, or if the
    window's least is less: it began anew at the edge. Only what restarted in the middle is left to `increase`.
    """
    series = f"{metric}{{{wanted}}}"
    last, before = f"last_over_time({series}[{window}])", f"last_over_time({series}[{_GAP}] offset {window})"
    since = f"({before} <= min_over_time({series}[{window}]))"
    restarted = f"(resets({series}[{window}]) > 0)"
    return f"({last} - {since} unless {restarted} or (increase({series}[{window}]) and {restarted}) or {last})"


def total(metric: str, by: str = "", window: str = RANGE, *, wanted: str = CHOSEN) -> str:
    """Return by how much a counter has grown in a window, summed by labels."""
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped}({grown(metric, window, wanted=wanted)})"


def by_tag(expression: str) -> str:
    """Return sums by the chosen tag under a name that is always the same, for a column's title."""
    return f'sum by (tag) (label_replace({expression}, "tag", "$1", "{TAG}", "(.*)"))'


def changed(metric: str, by: str = "", window: str = RANGE, *, wanted: str = CHOSEN) -> str:
    """Return by how much a figure that may also fall has changed in a window, summed by labels.

    Whether a process began anew is seen by its costs, which never fall otherwise.
    """
    series = f"{metric}{{{wanted}}}"
    last, before = f"last_over_time({series}[{window}])", f"last_over_time({series}[{_GAP}] offset {window})"
    restarted = f"(max by (job, instance) (resets({COST}[{window}])) > 0)"
    grouped = f" by ({by})" if by else ""
    return f"sum{grouped}({last} - {before} unless on (job, instance) {restarted} or {last})"


def same_model() -> str:
    """Return a series for each model that was asked for, with the label of a model that answers set to the same."""
    asked = f"group by ({ASKED}) (last_over_time({CALLS}{{{CHOSEN}}}[{RANGE}]))"
    return f'label_replace({asked}, "{ANSWERED}", "$1", "{ASKED}", "(.*)")'


def or_zero(expression: str) -> str:
    """Return an expression that is 0 where there is no series yet: nothing has happened."""
    return f"({expression} or vector(0))"


def quantile(share: float, metric: str, by: str = "", window: str = INTERVAL, *, wanted: str = CHOSEN) -> str:
    """Return a quantile of a histogram's observations in a window."""
    grouped = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, {total(f'{metric}_bucket', grouped, window, wanted=wanted)})"
