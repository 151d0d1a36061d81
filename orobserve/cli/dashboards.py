"""`orobserve dashboards`: dashboards and alert rules for Grafana, listed, written to files, or put into a Grafana."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orobserve.cli import table
from orobserve.delivery.settings import find_exporter
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from importlib.abc import Traversable

PLUGINS = {  # by the data source that a dashboard is for: Grafana's id of its plugin
    "prometheus": "prometheus",
    "clickhouse": "grafana-clickhouse-datasource",
    "postgres": "grafana-postgresql-datasource",
    "tempo": "tempo",
}
_EPILOG = """\
examples:
  orobserve dashboards list
  orobserve dashboards export ./grafana --for prometheus
  export GRAFANA_URL=https://grafana.example.com GRAFANA_TOKEN=glsa_...
  orobserve dashboards push                                   for every data source that Grafana has
  orobserve dashboards push --datasource "Mimir prod" --datasource ClickHouse --folder LLM
  orobserve dashboards push --for prometheus --alerts --limit OpenRouterDailyCap=50

push can be repeated: what is there is brought up to date, and nothing is made twice. The token is that of a service
account which may read data sources and write folders, dashboards and, with --alerts, alert rules (role Editor, and
Admin, or datasources:read, for the data sources). "prometheus" is for Mimir, Thanos and VictoriaMetrics too. Files for
Prometheus' own alert rules and for Grafana's provisioning are in the folder alerts of an export; the latter name a data
source with the uid "prometheus": put in your own there.
"""


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "dashboards",
        help="dashboards and alert rules for Grafana",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="which there are")
    listing.set_defaults(run=_list)
    export = actions.add_parser("export", help="write them to a folder, for Grafana's provisioning or its import")
    export.add_argument("folder", metavar="DIR", type=Path)
    export.set_defaults(run=_export)
    push = actions.add_parser("push", help="put them into a Grafana by its HTTP API")
    push.add_argument("--url", default=os.environ.get("GRAFANA_URL"), help="of Grafana (or GRAFANA_URL)")
    push.add_argument("--token", help="of a service account (better: GRAFANA_TOKEN)")
    push.add_argument("--folder", default="OpenRouter", help="Grafana's folder for them (default: OpenRouter)")
    push.add_argument("--datasource", action="append", metavar="NAME", help="a data source by its name; repeatable")
    push.add_argument("--alerts", action="store_true", help="the alert rules too, over the Prometheus data source")
    push.add_argument(
        "--limit", action="append", default=[], metavar="RULE=NUMBER", help="of an alert rule; repeatable"
    )
    push.set_defaults(run=_push)
    for parser in (listing, export, push):
        parser.add_argument(
            "--for", dest="kinds", action="append", choices=PLUGINS, help="only these; repeatable (default: all)"
        )
        parser.add_argument("--json", action="store_true", help="machine-readable output")


def _shipped() -> Traversable:
    """Return the folder that the destination for Grafana has beside it."""
    return files(find_exporter("grafana").__module__)


def boards(kinds: Sequence[str] | None) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, name and JSON of each dashboard."""
    for kind in kinds or PLUGINS:
        for item in sorted((_shipped() / "dashboards" / kind).iterdir(), key=lambda found: found.name):
            yield kind, item.name.removesuffix(".json"), json.loads(item.read_text(encoding="utf-8"))


def _list(options: argparse.Namespace) -> int:
    found = [
        {
            "for": kind,
            "name": name,
            "uid": board["uid"],
            "title": board["title"],
            "panels": len(board["panels"]),
            "description": board["description"],
        }
        for kind, name, board in boards(options.kinds)
    ]
    if options.json:
        print(json.dumps(found))
        return 0
    rows = [(item["for"], item["name"], str(item["panels"]), item["description"]) for item in found]
    table.write(sys.stdout, ("for", "name", "panels", "shows"), rows, [""] * len(rows), (2,))
    return 0


def _export(options: argparse.Namespace) -> int:
    wanted = {f"{kind}/{name}.json": board for kind, name, board in boards(options.kinds)}
    made = {name: json.dumps(board, indent=1, ensure_ascii=False) + "\n" for name, board in wanted.items()}
    alerts = (_shipped() / "alerts" / name for name in ("prometheus.yaml", "grafana.yaml"))
    made |= {f"alerts/{item.name}": item.read_text(encoding="utf-8") for item in alerts}
    try:
        for name, text in made.items():
            path = options.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        fix = "name another folder"
        raise ConfigurationError("DIR", str(options.folder), allowed=f"a folder ({error.strerror})", fix=fix) from None
    paths = [str(options.folder / name) for name in made]
    print(json.dumps(paths) if options.json else f"{table.counted(len(paths), 'file')} in {options.folder}")
    return 0


def _push(options: argparse.Namespace) -> int:
    from orobserve.cli.grafana import Grafana, GrafanaError  # noqa: PLC0415 - only this action needs httpx

    token = (options.token or os.environ.get("GRAFANA_TOKEN") or "").strip()
    if not options.url or not token:
        name = "GRAFANA_TOKEN" if options.url else "GRAFANA_URL"
        fix = f"export {name}=..., or --{name.removeprefix('GRAFANA_').lower()}"
        raise ConfigurationError(name, None, allowed="Grafana's address, and a service account's token", fix=fix)
    rules = _rules(options.limit) if options.alerts else []
    try:
        with Grafana(options.url, token) as grafana:
            done = list(_pushed(grafana, options, rules))
    except GrafanaError as error:
        sys.stderr.write(f"orobserve: {error}\n")
        return 1
    if options.json:
        print(json.dumps(done))
        return 0
    rows = [(item["what"], item["result"], item["url"]) for item in done]
    table.write(sys.stdout, ("what", "result", "where"), rows, [""] * len(rows), ())
    return 0


def _pushed(grafana: Any, options: argparse.Namespace, rules: list[dict[str, Any]]) -> Iterator[dict[str, str]]:  # noqa: ANN401
    sources = _chosen(grafana.sources(), options.datasource, options.kinds)
    if rules and "prometheus" not in sources:
        fix = "add one to Grafana, or leave out --alerts"
        raise ConfigurationError("--alerts", "given", allowed="with a Prometheus data source", fix=fix)
    folder = grafana.folder(options.folder)
    for kind, _, board in boards(list(sources)):
        for variable in board["templating"]["list"]:
            if variable["name"] == "datasource":
                variable["current"] = {"text": sources[kind]["name"], "value": sources[kind]["uid"]}
        yield grafana.board(board, folder)
    for rule in rules:
        yield grafana.rule(_placed(rule, sources["prometheus"]["uid"], folder))


def _chosen(
    there: list[dict[str, Any]], names: Sequence[str] | None, kinds: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """Return the data source for each kind: the one that was named, else Grafana's default or first of its type."""
    known = {item["name"]: item for item in there}
    for name in names or ():
        if name not in known:
            allowed = ", ".join(known) or "none: Grafana has no data source"
            raise ConfigurationError("--datasource", name, allowed=allowed, fix="name one as Grafana does")
    found = {}
    for kind in kinds or PLUGINS:
        usable = [item for item in there if item["type"] == PLUGINS[kind] and (not names or item["name"] in names)]
        usable.sort(key=lambda item: not item.get("isDefault"))
        if usable:
            found[kind] = usable[0]
    if not found:
        types = ", ".join(PLUGINS[kind] for kind in kinds or PLUGINS)
        seen = ", ".join(f"{item['name']} ({item['type']})" for item in there) or "none"
        raise ConfigurationError("data sources", seen, allowed=f"one of type {types}", fix="add one to Grafana first")
    return found


def _rules(limits: Sequence[str]) -> list[dict[str, Any]]:
    """Return the alert rules, with the limits that were given."""
    rules: list[dict[str, Any]] = json.loads((_shipped() / "alerts" / "api.json").read_text(encoding="utf-8"))["rules"]
    evaluators = {rule["title"]: rule["data"][1]["model"]["conditions"][0]["evaluator"] for rule in rules}
    for text in limits:
        name, _, number = text.partition("=")
        try:
            evaluators[name]["params"] = [float(number)]
        except (KeyError, ValueError):
            fix = "for example: --limit OpenRouterDailyCap=50"
            raise ConfigurationError("--limit", text, allowed=", ".join(evaluators), fix=fix) from None
    return rules


def _placed(rule: dict[str, Any], source: str, folder: str) -> dict[str, Any]:
    for data in rule["data"]:
        if data["datasourceUid"] == "${datasource}":
            data["datasourceUid"] = source
    return {**rule, "orgID": 1, "folderUID": folder, "ruleGroup": "orobserve"}
