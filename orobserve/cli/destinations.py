"""`orobserve destinations`: which there are, what each needs, and those of OpenRouter's Broadcast as a file of ours."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

from orobserve import config_file
from orobserve.cli import broadcast, outbox, table, toml
from orobserve.config import setting_fields
from orobserve.delivery.destination_config import squash, variable_for
from orobserve.delivery.schema import camel, schema
from orobserve.delivery.settings import find_exporter, installed
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from orobserve.delivery.exporter import Exporter, Field


def add(commands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the command."""
    command = commands.add_parser(
        "destinations",
        help="which destinations there are, what each needs, and how they are doing",
        description=__doc__,
    )
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="every type, and whether the environment has what it needs")
    listing.set_defaults(run=_list)
    shown = actions.add_parser("show", help="one destination: its fields, their defaults, an example")
    shown.add_argument("name", metavar="NAME", help="a type, or the name of a destination in orobserve.toml")
    shown.set_defaults(run=_show)
    imported = actions.add_parser("import", help="take over the destinations of OpenRouter's Broadcast")
    broadcast.add_options(imported)
    imported.set_defaults(run=broadcast.run)
    tables = actions.add_parser("ddl", help="the statement that makes the table of a warehouse")
    tables.add_argument("name", metavar="NAME", help="a type, or the name of a destination in orobserve.toml")
    tables.set_defaults(run=_ddl)
    editors = actions.add_parser("schema", help="the JSON Schema of orobserve.toml, for editors")
    editors.set_defaults(run=_schema)
    for parser in (listing, shown, imported, tables, editors, *outbox.add(actions)):
        parser.add_argument("--json", action="store_true", help="machine-readable output")


def _schema(_options: argparse.Namespace) -> int:
    print(json.dumps(schema(setting_fields()), indent=2))
    return 0


def _list(options: argparse.Namespace) -> int:
    found = [_described(name) for name in sorted(installed())]
    if options.json:
        print(json.dumps(found))
        return 0
    head = ("type", "product", "state", "environment variables")
    rows = [(item["type"], item["title"] or "", _state(item), _variables(item)) for item in found]
    styles = ["good" if item["ready"] else "" for item in found]
    table.write(sys.stdout, head, rows, styles, ())
    print("\norobserve destinations show TYPE explains one of them.")
    return 0


def _state(item: Mapping[str, Any]) -> str:
    if item["error"]:
        return "not installed"
    return "ready" if item["ready"] else "needs " + ", ".join(item["missing"])


def _variables(item: Mapping[str, Any]) -> str:
    return " ".join(
        f"{field['found']}=set" if field["found"] else field["env"][0] for field in item["fields"] if field["env"]
    )


def _described(name: str) -> dict[str, Any]:
    try:
        exporter = find_exporter(name)
    except ConfigurationError as error:
        return {"type": name, "title": None, "ready": False, "missing": [], "fields": [], "error": str(error)}
    fields = [_field(exporter, entry) for entry in exporter.FIELDS]
    missing = [item["name"] for item in fields if item["required"] and not item["found"] and item["default"] is None]
    return {
        "type": exporter.TYPE,
        "title": exporter.TITLE,
        "ready": not missing,
        "missing": missing,
        "private": exporter.PRIVATE,
        "updates": exporter.UPDATES,
        "fields": fields,
        "error": None,
    }


def _field(exporter: type[Exporter], entry: Field) -> dict[str, Any]:
    """Describe a field; `found` names the variable that gives it, never its value."""
    return {
        "name": entry.name,
        "broadcast_name": camel(entry.name),
        "help": entry.help,
        "kind": entry.kind.__name__,
        "required": entry.required,
        "secret": entry.secret,
        "default": entry.default,
        "choices": list(entry.choices),
        "env": list(entry.env),
        "found": next((name for name in entry.env if os.environ.get(name)), None),
        "example": f"${variable_for(exporter.TYPE, entry)}" if entry.secret else None,
    }


def _show(options: argparse.Namespace) -> int:
    item = _described(find_exporter(_type_of(options.name), "NAME").TYPE)
    if options.json:
        print(json.dumps(item))
        return 0
    print(f"{item['title']} (type {item['type']!r})\n")
    head = ("field", "default", "environment variables", "")
    rows = [
        (
            field["name"],
            "required" if field["required"] else _text(field["default"]),
            " or ".join(field["env"]) + (f" ({field['found']} is set)" if field["found"] else ""),
            field["help"] + (f": {', '.join(field['choices'])}" if field["choices"] else ""),
        )
        for field in item["fields"]
    ]
    table.write(sys.stdout, head, rows, [""] * len(rows), ())
    if item["private"]:
        print("\nIt gets no content unless privacy_mode = false.")
    print(f"\nIn {config_file.NAME}:\n\n{_example(item)}", end="")
    return 0


def _ddl(options: argparse.Namespace) -> int:
    item = _in_file(options.name)
    exporter = find_exporter(str(item.get("type")), "NAME")
    statement = exporter.ddl(_as_known(exporter, item.get("config")))
    if statement is None:
        tables = ", ".join(name for name in sorted(installed()) if _has_table(name))
        raise ConfigurationError("NAME", options.name, allowed=tables, fix="only these write to a table")
    print(json.dumps({"type": exporter.TYPE, "ddl": statement}) if options.json else f"{statement};")
    return 0


def _has_table(name: str) -> bool:
    try:
        exporter = find_exporter(name)
    except ConfigurationError:
        return False
    return exporter.ddl(_as_known(exporter, None)) is not None


def _as_known(exporter: type[Exporter], given: object) -> dict[str, Any]:
    """Return the fields of a destination as far as the file, the environment and the defaults give them."""
    said = {squash(key): value for key, value in given.items()} if isinstance(given, dict) else {}

    def value(entry: Field) -> Any:  # noqa: ANN401 - of any kind
        found = said.get(squash(entry.name))
        if isinstance(found, str) and found.startswith("$"):
            found = os.environ.get(found[1:].strip("{}"))
        return found or next((os.environ[name] for name in entry.env if os.environ.get(name)), entry.default)

    return {entry.name: value(entry) for entry in exporter.FIELDS}


def _type_of(name: str) -> str:
    """Return the type of a destination in the file by its name, else the name itself: it may be a type."""
    return str(_in_file(name).get("type"))


def _in_file(name: str) -> Mapping[str, Any]:
    """Return the destination of the file that has the name, or is the only one of the type; else just the type."""
    file = config_file.read(os.environ)
    given = file.values.get("destinations") if file is not None else None
    objects = [item for item in given or () if isinstance(item, dict)] if isinstance(given, list) else []
    of_type = [item for item in objects if squash(str(item.get("type"))) == squash(name)]
    named = [item for item in objects if item.get("name") == name]
    return next(iter(named or (of_type if len(of_type) == 1 else [])), {"type": name})


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _example(item: Mapping[str, Any]) -> str:
    config = {
        field["name"]: field["example"] or field["default"] or f"<{field['name']}>"
        for field in item["fields"]
        if field["required"] or field["secret"] or field["default"] is not None
    }
    return toml.destinations([{"type": item["type"], "config": config}])
