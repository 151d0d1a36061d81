"""`orobserve doctor`: what is installed, what would be observed, where it would go, and what is wrong: that first."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from orobserve.cli import examination, table
from orobserve.cli.examination import Problem
from orobserve.cli.ledger_examination import ledger

if TYPE_CHECKING:
    import argparse


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "doctor",
        help="say what is wrong, and how to mend it",
        description="Looks at versions, hooks, providers and settings, asks every configured destination whether it "
        "takes our calls, and says what is wrong. Exit status 1 if anything is. Secrets are never shown.",
    )
    command.add_argument("--json", action="store_true", help="machine-readable output")
    command.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    problems: list[Problem] = []
    report = examine(problems)
    problems = sorted(dict.fromkeys(problems), key=lambda problem: problem.is_warning)  # each once, the worst first
    if options.json:
        sys.stdout.write(json.dumps({"problems": [asdict(problem) for problem in problems], **report}) + "\n")
    else:
        _show(problems, report)
    return int(any(not problem.is_warning for problem in problems))


def examine(problems: list[Problem]) -> dict[str, Any]:
    """Return all facts, and add what is wrong to `problems`."""
    environ = os.environ
    settings, effective = examination.settings(environ, problems)
    report: dict[str, Any] = {
        "versions": examination.versions(),
        "hooks": examination.hooks(problems),
        "telemetry": examination.telemetry(environ, problems, effective),
        "settings": settings,
        "destinations": examination.destinations(effective.destinations, problems),
        "ledger": ledger(effective, problems),
        "process": examination.process(problems),
    }
    told = report["telemetry"]
    if not (told["traces"] or told["metrics"] or report["destinations"] or problems):
        what = "nothing is set up to receive anything, so calls are only shown on a terminal"
        fix = "set OTEL_EXPORTER_OTLP_ENDPOINT, or OROBSERVE_DESTINATIONS (`orobserve destinations list` names them)"
        problems.append(Problem(what=what, fix=fix, is_warning=True))
    return report


def _show(problems: list[Problem], report: dict[str, Any]) -> None:
    out = sys.stdout
    for problem in problems:
        word, name = ("warning", "head") if problem.is_warning else ("error", "bad")
        out.write(f"{table.style(word.ljust(9), name, out)}{problem.what}\n{'':9}Fix: {problem.fix}\n")
    if not problems:
        out.write(table.style("no problems found", "good", out) + "\n")
    _title("Installed")
    versions = report["versions"].items()
    out.write(", ".join(f"{name} {version}" for name, version in versions if version) + "\n")
    missing = [name for name, version in versions if not version]
    out.write(table.style(f"not installed: {', '.join(missing)}", "dim", out) + "\n" if missing else "")
    _title("Hooks")
    for hook in report["hooks"]:
        state = "hooked" if hook["hooked"] else "is hooked by orobserve.instrument()"
        out.write(f"{hook['method']}: {state}\n")
    told = report["telemetry"]
    _title("OpenTelemetry")
    out.write(f"spans: {told['traces'] or 'to nobody'}\nmetrics: {told['metrics'] or 'to nobody'}\n")
    out.writelines(f"{name}={value}\n" for name, value in told["variables"].items())
    _show_destinations(report["destinations"])
    _title("Ledger")
    kept = report["ledger"]
    count = "no file yet" if kept["calls"] is None else f"{kept['calls']} calls, {kept['bytes'] / 1e6:.1f} MB"
    out.write(f"{kept['path']}: {count}; written {kept['on']}\n")
    _title("This process")
    for state in report["process"]["destinations"]:
        out.write(", ".join(f"{name} {value}" for name, value in state.items() if value not in (None, {})) + "\n")
    out.write(f"errors of orobserve: {sum(report['process']['swallowed'].values())}\n")
    _title("Settings")
    rows = [(row["name"], _words(row["value"]), row["source"]) for row in report["settings"]]
    styles = ["dim" if source == "default" else "" for *_, source in rows]
    table.write(out, ("name", "value", "from"), rows, styles, ())


def _title(text: str) -> None:
    sys.stdout.write("\n" + table.style(text, "head", sys.stdout) + "\n")


def _show_destinations(rows: list[dict[str, Any]]) -> None:
    _title("Destinations")
    if not rows:
        sys.stdout.write("none\n")
        return
    cells = [
        (
            row["name"],
            row["type"],
            "ok" if row["ok"] else row["reason"],
            f"{row['seconds']:.2f} s",
            "" if row["clock_skew"] is None else f"{row['clock_skew']:+.0f} s",
        )
        for row in rows
    ]
    styles = ["good" if row["ok"] else "bad" for row in rows]
    table.write(sys.stdout, ("name", "type", "connection", "took", "clock"), cells, styles, (3, 4))
    for row in rows:
        for name, found in row["config"].items():
            sys.stdout.write(f"{row['name']}.{name}={_words(found['value'])}, {found['source']}\n")


def _words(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
