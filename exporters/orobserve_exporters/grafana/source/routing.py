"""The dashboard of routing: which provider served what, and what was tried before."""

from __future__ import annotations

from orobserve_exporters.grafana.source import promql as p
from orobserve_exporters.grafana.source.panels import SHARE, USD, Kind, Panel, Subject, limits

_ASKED = "{text:gen_ai.request.model}"
_FELL = "{flag:openrouter.routing.fallback}"
_FAILED_ATTEMPT = "place < attempts"
_OWN = f'{p.CHOSEN}, {p.BYOK}="true"'

ROUTING = Subject(
    name="routing",
    title="Routing",
    shows="Which provider served the calls, what failed before one did, and which model answered in another's place.",
    panels=(
        Panel(
            title="Provider share",
            shows="Calls by the provider that served them; ? where none did.",
            kind=Kind.SHARES,
            promql={f"{{{{{p.UPSTREAM}}}}}": p.total(p.CALLS, p.UPSTREAM)},
            sql=(
                "SELECT coalesce(PROVIDER_NAME, '?') AS provider, count(*) AS calls FROM {calls}"
                " GROUP BY 1 ORDER BY 2 DESC"
            ),
            width=8,
        ),
        Panel(
            title="Providers over time",
            shows="Calls in each step by the provider that served them.",
            kind=Kind.BARS,
            promql={f"{{{{{p.UPSTREAM}}}}}": p.total(p.CALLS, p.UPSTREAM, p.STEP)},
            sql=(
                "SELECT {time}, coalesce(PROVIDER_NAME, '?') AS series, count(*) AS calls FROM {calls}"
                " GROUP BY 1, 2 ORDER BY 1"
            ),
            width=16,
        ),
        Panel(
            title="Failed attempts",
            shows="Attempts at providers that failed before another one answered. You see them as slow calls.",
            promql={"attempts": p.or_zero(p.total(p.FALLBACKS))},
            sql=f"SELECT count(*) AS failed FROM {{attempts}} WHERE {_FAILED_ATTEMPT}",
            steps=limits(1, 100),
            width=6,
            height=4,
        ),
        Panel(
            title="Attempts per call",
            shows="How many providers OpenRouter tried for a call that was served.",
            promql={"attempts": f"1 + {p.or_zero(p.total(p.FALLBACKS))} / {p.total(p.CALLS)}"},
            sql="SELECT avg(attempts) AS attempts FROM {attempts} WHERE place = 1",
            width=6,
            height=4,
            decimals=3,
            steps=limits(1.05, 1.5),
        ),
        Panel(
            title="Answered by another model",
            shows="Calls that another model answered than was asked for: a fallback, a router, a date in the name.",
            unit=SHARE,
            promql={
                "calls": f"1 - sum({p.grown(p.CALLS)} and on ({p.ANSWERED}, {p.ASKED}) {p.same_model()})"
                f" / {p.total(p.CALLS, wanted=p.ANSWERED_CALLS)}"
            },
            sql=(
                f"SELECT count(*) FILTER (WHERE {_ASKED} <> {{text:gen_ai.response.model}}) * 1.0"
                " / nullif(count({text:gen_ai.response.model}), 0) AS calls FROM {calls}"
            ),
            width=6,
            height=4,
        ),
        Panel(
            title="Spend with own keys",
            shows="Billed by providers to your accounts there, with OpenRouter's fee (bring your own key).",
            unit=USD,
            promql={"spent": p.or_zero(p.total(p.COST, wanted=_OWN))},
            sql="SELECT sum(TOTAL_COST) AS spent FROM {calls} AND {flag:openrouter.byok}",
            width=6,
            height=4,
        ),
        Panel(
            title="Failed attempts by provider",
            shows="By the provider that failed and the status it gave; 0 is not known.",
            kind=Kind.BARS,
            promql={
                f"{{{{{p.UPSTREAM}}}}} {{{{{p.STATUS}}}}}": (p.total(p.FALLBACKS, f"{p.UPSTREAM}, {p.STATUS}", p.STEP))
            },
            sql=(
                "SELECT {time}, concat(provider, ' ', CAST(status AS {words})) AS series, count(*) AS failed"
                f" FROM {{attempts}} WHERE {_FAILED_ATTEMPT} GROUP BY 1, 2 ORDER BY 1"
            ),
        ),
        Panel(
            title="Asked for and answered",
            shows="Which model answered for which, and who served it.",
            kind=Kind.TABLE,
            promql={
                "calls": p.total(p.CALLS, f"{p.ASKED}, {p.ANSWERED}, {p.UPSTREAM}"),
                "spent": p.total(p.COST, f"{p.ASKED}, {p.ANSWERED}, {p.UPSTREAM}"),
            },
            sql=(
                f"SELECT {_ASKED} AS asked, MODEL AS model, PROVIDER_NAME AS provider, count(*) AS calls,"
                f" count(*) FILTER (WHERE {_FELL}) AS fallbacks, sum(TOTAL_COST) AS spent"
                " FROM {calls} GROUP BY 1, 2, 3 ORDER BY 4 DESC LIMIT 100"
            ),
            units={"spent": USD},
        ),
    ),
)
