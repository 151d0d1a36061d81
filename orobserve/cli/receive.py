"""`orobserve receive`: OTLP, and the webhook of OpenRouter's Broadcast, into all destinations."""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from orobserve import config
from orobserve.budgets.watch import Watch
from orobserve.cli import table
from orobserve.errors import ConfigurationError
from orobserve.receivers import Receivers
from orobserve.telemetry.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orobserve.delivery.settings import DestinationSettings
    from orobserve.ledger.writer import Ledger
    from orobserve.proxy.intake import Intake
    from orobserve.proxy.receive import Report

_FLUSH = 10.0  # seconds
_WRITTEN = 3.0  # seconds in which a record that is complete is in the ledger
_MEGABYTE = 1_000_000
_DESCRIPTION = """\
Takes spans of OpenRouter calls, makes records of them, and delivers each call once to all your destinations: those of
orobserve.toml or OROBSERVE_DESTINATIONS. So OpenRouter's Broadcast, an OpenTelemetry Collector, or any program that
exports OTLP over HTTP, reaches Langfuse, Phoenix, ClickHouse, or whatever stands in your private network.
Each is also kept in the ledger, a local file for you alone (OROBSERVE_LEDGER: its path, or false for none).
"""
_EPILOG = """\
OpenRouter's Broadcast:
  OpenRouter calls from the internet, so put an address of yours that has TLS (an ingress, a tunnel) before this one,
  and set OROBSERVE_RECEIVE_TOKEN here. Then, at https://openrouter.ai/settings/observability, add a Webhook:
    URL      https://traces.example.com/webhook
    Method   POST
    Headers  {"Authorization": "Bearer <the token>"}
  and press "Test Connection".

anything that exports OTLP over HTTP (protobuf or JSON, gzip):
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4319 python app.py

by hand:
  curl -i http://127.0.0.1:4319/v1/traces -H 'Content-Type: application/json' -d '{"resourceSpans":[]}'

which spans become records: those of orobserve, those of Broadcast, and GenAI spans of other instrumentations that name
openrouter.ai, or one of your `hosts`, as their server, or openrouter as their provider. With --all, every GenAI span
that stands for a call. Others are ignored, and counted. A call that comes twice (from Broadcast and from orobserve,
say) is delivered once, by its generation id; a later span that knows more, such as the cost, is an update.

answers: 200, also where some spans could not be read (the body says how many); 400, 401, 413, 415 where sending the
same again is of no use; 503 where the destinations' queues are full: come again. Health: GET /healthz.
SIGTERM: what has been answered with 200 is delivered first, as far as --flush allows.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "receive",
        help="take OTLP and OpenRouter's Broadcast, and deliver to all destinations",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--host", default="127.0.0.1", help="address to listen on; beyond loopback only with a token")
    command.add_argument("--port", type=int, default=4319, help="port (4319); 0: any that is free")
    command.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the bearer token that senders must have; or set OROBSERVE_RECEIVE_TOKEN",
    )
    command.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM), to serve https")
    command.add_argument("--tls-key", type=Path, metavar="FILE", help="its key")
    command.add_argument("--all", action="store_true", help="records of all GenAI spans, not only of OpenRouter's")
    command.add_argument("--console", action="store_true", help="a line per call on stderr; needs no destination")
    command.add_argument(
        "--max-body", type=_size, default=32, metavar="MB", help="largest body, also when decompressed (32)"
    )
    command.add_argument(
        "--flush", type=float, default=_FLUSH, metavar="SECONDS", help="time to deliver what is left at the end (10)"
    )
    command.add_argument("--quiet", action="store_true", help="no line per request on stderr")
    command.add_argument("--json", action="store_true", help="the first line, and those of requests, as JSON")
    command.set_defaults(run=run)


def _size(text: str) -> int:
    found = int(text) if text.isdigit() else 0
    if not found:
        raise argparse.ArgumentTypeError("a whole number of megabytes")
    return found


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from orobserve.delivery.assembly import assemble  # noqa: PLC0415 - brings an HTTP client
    from orobserve.ledger import assembly as ledgers  # noqa: PLC0415 - brings SQLite
    from orobserve.proxy.intake import Intake  # noqa: PLC0415
    from orobserve.proxy.listen import Address, Listener, read_token  # noqa: PLC0415 - for those who receive
    from orobserve.proxy.receive import Receiver  # noqa: PLC0415

    settings = config.load({})
    chosen = [each for each in settings.destinations if each.enabled]
    if not chosen and not options.console and settings.ledger is False:
        raise ConfigurationError(
            "destinations",
            None,
            allowed="one destination at least",
            fix="set OROBSERVE_DESTINATIONS, or write orobserve.toml (`orobserve destinations list` names the types); "
            "or give --console, to see the calls here, or let the ledger have them (OROBSERVE_LEDGER=true)",
        )
    token = read_token(options.token_file)
    address = Address(
        host=options.host, port=options.port, token=token, certificate=options.tls_cert, key=options.tls_key
    )
    listener = Listener(address)
    hub = assemble(chosen, provider=lambda: None, on_drop=lambda *_: None)  # no pipeline here serves anybody already
    show = Console() if options.console else None
    ledger = None if settings.ledger is False else ledgers.assemble(settings)
    watch = Watch(settings.budgets, settings.api_key_labels, ledger=ledger) if settings.budgets else None
    receivers = Receivers(ledger, hub, watch=watch)
    intake = Intake(receivers, every=options.all, hosts=settings.hosts, hold=_hold(settings), listen=show)
    receiver = Receiver(
        intake,
        token=token,
        body_limit=options.max_body * _MEGABYTE,
        log=None if options.quiet else _log_json if options.json else _log,
    )
    _start(listener.url, chosen, has_token=token is not None, as_json=options.json, ledger=ledger)
    receivers.start()
    listener.run(receiver)
    return _end(receivers, intake, options)


def _start(
    url: str, chosen: Sequence[DestinationSettings], *, has_token: bool, as_json: bool, ledger: Ledger | None
) -> None:
    """Say where it listens, who gets what comes, and how to send."""
    if as_json:
        told = {
            "url": url,
            "traces": f"{url}/v1/traces",
            "webhook": f"{url}/webhook",
            "token": has_token,
            "destinations": [{"name": each.name, "type": each.type} for each in chosen],
            "ledger": None if ledger is None else str(ledger.path),
        }
        _write(sys.stdout, json.dumps(told))
        return
    names = [each.name if each.name == each.type else f"{each.name} ({each.type})" for each in chosen]
    to = ", ".join([*names, *([] if ledger is None else [f"the ledger {ledger.path}"])])
    bearer = ", with the bearer token" if has_token else ""
    line = (
        f"{table.style('orobserve receive', 'head', sys.stdout)}: {url} -> {to or 'this terminal'}{bearer}. "
        f"OTLP: OTEL_EXPORTER_OTLP_ENDPOINT={url}. "
        f"Broadcast: a Webhook to {url}/webhook, or to what stands before it (--help says how)."
    )
    _write(sys.stdout, line)


def _hold(settings: config.Config) -> float:
    """Return the seconds after a call's end in which the process that made it has written it to the ledger."""
    return _WRITTEN + (0.0 if settings.enrichment == "never" else settings.enrichment_deadline)


def _end(receivers: Receivers, intake: Intake, options: argparse.Namespace) -> int:
    """Deliver what is left, and say what became of all."""
    until = time.monotonic() + options.flush
    intake.counts["lost"] += intake.close(options.flush)
    receivers.close(max(0.0, until - time.monotonic()))
    ledger, destinations = receivers.ledger, receivers.states()
    states = [*([] if ledger is None else [ledger.state]), *destinations]
    due = _due(ledger)
    lost = [sum(each.dropped.values()) + each.rejected + (0 if due.get(each.name) else each.queued) for each in states]
    fates: list[dict[str, int]] = [
        {"delivered": each.delivered, "lost": gone, "due": due.get(each.name, 0)}
        for each, gone in zip(states, lost, strict=True)
    ]
    told = {
        "spans": dict(intake.counts),
        "ledger": None if ledger is None else fates[0],
        "destinations": {each.name: fate for each, fate in zip(destinations, fates[-len(destinations) :], strict=True)},
    }
    if options.json:
        _write(sys.stdout, json.dumps({"ended": told}))
    elif not options.quiet or any(lost) or any(due.values()):
        counts = ", ".join(f"{number} {what}" for what, number in intake.counts.items() if number) or "none"
        done = "; ".join(_fate(each.name, **fate) for each, fate in zip(states, fates, strict=True))
        line = f"orobserve receive: ended. Spans: {counts}. {done}"
        _write(sys.stderr, table.style(line, "bad" if any(lost) else "", sys.stderr))
    return 0


def _due(ledger: Ledger | None) -> dict[str, int]:
    """Return how many calls the ledger keeps for each destination."""
    from orobserve.ledger.database import LedgerError  # noqa: PLC0415 - brings SQLite
    from orobserve.ledger.outbox import delivery_states  # noqa: PLC0415

    with suppress(LedgerError):  # there is none if nothing came
        return {} if ledger is None else {each.destination: each.due for each in delivery_states(ledger.path)}
    return {}


def _fate(name: str, *, delivered: int, lost: int, due: int) -> str:
    return f"{name}: {delivered} delivered, {lost} lost" + (f", {due} still due" if due else "")


def _log(report: Report) -> None:
    said = f"{report.method} {report.path} {report.status} {report.seconds * 1e3:.0f} ms"
    if report.spans or report.rejected:
        said += f", {table.counted(report.spans, 'span')}, {table.counted(report.records, 'call')}"
    if report.rejected:
        said += f", {report.rejected} rejected"
    if report.reason:
        said += f": {report.reason}"
    is_bad = report.status >= HTTPStatus.BAD_REQUEST or report.rejected
    _write(sys.stderr, table.style(said, "bad" if is_bad else "dim", sys.stderr))


def _log_json(report: Report) -> None:
    _write(sys.stderr, json.dumps(asdict(report)))


def _write(stream: TextIO, line: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it any more; what comes is delivered all the same
        stream.write(line + "\n")
        stream.flush()
