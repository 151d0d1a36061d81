"""`orobserve test DEST`: is a destination set up right, and where does a test generation show up in it?"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from orobserve import config
from orobserve.cli import examination, table
from orobserve.delivery.clock import Clock
from orobserve.delivery.destination import Destination
from orobserve.delivery.policy import policy_for
from orobserve.delivery.settings import Shared, resolve
from orobserve.errors import ConfigurationError
from orobserve.generation import Content, Generation, Message, Outcome, Request, Text, Timing

if TYPE_CHECKING:
    import argparse

    from orobserve.delivery.settings import DestinationSettings

MARK = "orobserve-test"
_TIMEOUT = 30.0  # seconds for the test generation, repeated attempts included


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "test",
        help="test the connection to a destination",
        description="Asks a destination, as cheaply as it allows, whether its settings are right, and says what is "
        "wrong if they are not. Exit status 0: all is well; 1: it is not; 2: the settings cannot be used.",
    )
    command.add_argument(
        "destination",
        metavar="DEST",
        help="the name of a destination in orobserve.toml or OROBSERVE_DESTINATIONS, or a type whose settings are in "
        "its usual variables, such as langfuse",
    )
    command.add_argument("--send-trace", action="store_true", help="also send one generation that is marked as a test")
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    settings = chosen(options.destination)
    report = examination.probed(settings)
    if report["ok"] and options.send_trace:
        report["trace"] = _send(settings)
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        _show(report)
    return int(not report["ok"] or not report.get("trace", {}).get("ok", True))


def chosen(wanted: str, option: str = "DEST") -> DestinationSettings:
    """Return the configured destination of a name or, failing that, type; else one that the environment describes."""
    known = config.load({}).destinations
    found = [each for each in known if each.name == wanted] or [each for each in known if each.type == wanted]
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise ConfigurationError(option, wanted, allowed=names, fix="several are of this type: give one by its name")
    if not found:
        found = list(resolve(option, wanted, Shared(environ=os.environ)))
    if not found[0].enabled:
        raise ConfigurationError(option, wanted, allowed="a destination that is enabled", fix="set enabled = true")
    return found[0]


def _send(settings: DestinationSettings) -> dict[str, Any]:
    """Send the test generation as any other is sent, whatever the filters and the sampling."""
    chosen = replace(settings, sampling_rate=1.0, filter_rules=None, api_key_hashes=None)
    generation, clock = _generation(time.time_ns()), Clock()
    exporter = settings.make()
    destination = Destination(settings.name, exporter, policy_for(chosen), linger=0.0)
    destination.offer(generation)
    deadline = clock.now() + _TIMEOUT
    destination.wait(destination.hurry(), deadline)
    destination.close(deadline)
    destination.join(deadline)
    state = destination.state
    return {
        "ok": state.delivered == 1 and not state.rejected,
        "reason": state.last_error,
        "trace_id": generation.trace_id,
        "span_id": generation.span_id,
        "generation_id": generation.id,
        "where": f"in {settings.exporter.TITLE}: the trace {generation.trace_id}, user and tag {MARK!r}",
    }


def _generation(now: int) -> Generation:
    """Return a generation that nobody takes for a real one. It cost nothing known: tokens and cost are left open."""
    return Generation(
        id=f"gen-test-{secrets.token_hex(8)}",
        api_type="chat_completions",
        operation="chat",
        outcome=Outcome.COMPLETE,
        timing=Timing(started_at=now - 250_000_000, ended_at=now),
        request=Request(model=MARK, user=MARK, session_id=MARK),
        server_address="openrouter.ai",
        server_port=443,
        status_code=200,
        model=MARK,
        finish_reasons=("stop",),
        content=Content(
            input=(Message(role="user", parts=(Text(content="Does this arrive?"),)),),
            output=(Message(role="assistant", parts=(Text(content="This is a test of orobserve."),)),),
        ),
        name=MARK,
        tags={"tags": [MARK], "test": True},
        trace_id=secrets.token_hex(16),
        span_id=secrets.token_hex(8),
    )


def _show(report: dict[str, Any]) -> None:
    out = sys.stdout
    name = report["name"] if report["name"] == report["type"] else f"{report['name']} ({report['type']})"
    word = table.style("ok", "good", out) if report["ok"] else table.style("failed", "bad", out)
    out.write(f"{name}: connection {word} after {report['seconds']:.2f} s\n")
    said = report["remark"] if report["ok"] else report["reason"]
    if said:
        out.write(f"  {said}\n")
    skew = report["clock_skew"]
    if skew is not None and abs(skew) > examination.MOST_SKEW:
        out.write(f"  {examination.skew_text(report['name'], skew)}\n")
    sent = report.get("trace")
    if sent is not None and sent["ok"]:
        out.write(f"{name}: test generation {table.style('delivered', 'good', out)}; look {sent['where']}\n")
    elif sent is not None:
        out.write(f"{name}: test generation {table.style('not delivered', 'bad', out)}\n  {sent['reason']}\n")
