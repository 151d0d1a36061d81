"""`orobserve destinations import`: OpenRouter's Broadcast destinations as `orobserve.toml`.

OpenRouter shows secrets only in part, so each becomes `$NAME`, and the command says which variables to set.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orobserve import config_file
from orobserve.account import BASE, MANAGEMENT_KEY, management_key
from orobserve.cli import toml
from orobserve.delivery.destination_config import is_masked, squash, variable_for
from orobserve.delivery.settings import find_exporter, installed
from orobserve.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

_PAGE = 100  # as many as the API gives at once
_DEFAULTS = {
    "enabled": True,
    "privacy_mode": False,
    "sampling_rate": 1,
    "broadcast_generation_cost": False,
    "broadcast_generation_identity": False,
    "broadcast_generation_request_context": False,
}
_KEPT = ("type", "name", "enabled", "privacy_mode", "sampling_rate", "api_key_hashes", "filter_rules", *_DEFAULTS)
_REASONS = {
    400: "OpenRouter does not accept the request: check --workspace",
    401: "OpenRouter refuses the key",
    403: "this is no management key",
    404: "there is no such address: check --base-url",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--key-env", default=MANAGEMENT_KEY, metavar="NAME", help="variable with a management key (%(default)s)"
    )
    parser.add_argument(
        "--base-url", default=os.environ.get("OPENROUTER_BASE_URL", BASE), help=f"of OpenRouter's API ({BASE})"
    )
    parser.add_argument("--workspace", metavar="ID", help="another workspace than the default one")
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"write it, to {config_file.NAME} for example")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there")


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    key = management_key(options.key_env)
    try:
        given = list(_pages(options.base_url.rstrip("/"), key, options.workspace))
    except ConnectionError as error:
        sys.stderr.write(f"orobserve: {error}\n")
        return 1
    found, variables = _translated(given)
    if options.json:
        text = json.dumps({"destinations": found, "variables": variables}) + "\n"
    else:
        text = _as_file(found, variables)
    if options.output is None:
        sys.stdout.write(text)
        return 0
    return _write(options, text, variables, len(found))


def _pages(base: str, key: str, workspace: str | None) -> Iterator[dict[str, Any]]:
    """Yield every destination.

    Raises:
        ConnectionError: OpenRouter did not answer as documented; the text says what to do.
    """
    import httpx  # noqa: PLC0415 - only this action needs it

    offset = 0
    parameters = {} if workspace is None else {"workspace_id": workspace}
    try:
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
            while True:
                page = client.get(
                    f"{base}/observability/destinations", params={**parameters, "offset": offset, "limit": _PAGE}
                )
                if page.status_code != httpx.codes.OK:
                    reason = _REASONS.get(page.status_code, "OpenRouter did not answer as expected")
                    raise ConnectionError(f"{reason} (HTTP {page.status_code})")
                body = page.json()
                yield from body["data"]
                offset += len(body["data"])
                if not body["data"] or offset >= body["total_count"]:
                    return
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ConnectionError(f"{base} cannot be reached: {type(error).__name__}") from None
    except (ValueError, KeyError, TypeError):
        raise ConnectionError(f"{base} does not answer as OpenRouter does: check --base-url") from None


def _translated(given: Iterable[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the destinations as our file has them, and the variables that are to be set."""
    variables: list[str] = []
    names: set[str] = set()
    found = []
    for item in given:
        kept = {key: item[key] for key in _KEPT if item.get(key) is not None and item[key] != _DEFAULTS.get(key)}
        kept["config"] = _unmasked(item["type"], item.get("config") or {}, variables)
        if "name" in kept:
            kept["name"] = _distinct(kept["name"], names)
            names.add(kept["name"])
        found.append(kept)
    return found, variables


def _unmasked(kind: str, config: dict[str, Any], variables: list[str]) -> dict[str, Any]:
    known: dict[str, str] = {}
    if kind in installed():
        try:
            exporter = find_exporter(kind)
        except ConfigurationError:  # a package it needs is missing here: its own variables are not known
            exporter = None
        known = {} if exporter is None else {squash(entry.name): variable_for(kind, entry) for entry in exporter.FIELDS}

    def reference(name: str, value: object) -> object:
        if isinstance(value, dict):
            return {key: reference(key, item) for key, item in value.items()}
        if not is_masked(value):
            return value
        wanted = known.get(squash(name)) or _as_variable(kind, name)
        variables.append(_distinct(wanted, variables, "_"))
        return f"${variables[-1]}"

    return {name: reference(name, value) for name, value in config.items()}


def _as_variable(kind: str, name: str) -> str:
    """Return `s3` and `secretKey` as `S3_SECRET_KEY`."""
    words = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name)
    return re.sub(r"\W", "_", f"{kind}_{words}").upper()


def _distinct(name: str, taken: Iterable[str], joint: str = "-") -> str:
    """Return a name, numbered if it is taken."""
    used = set(taken)
    return next(
        candidate
        for candidate in (name, *(f"{name}{joint}{number}" for number in range(2, len(used) + 3)))
        if candidate not in used
    )


def _as_file(found: list[dict[str, Any]], variables: list[str]) -> str:
    """Return the file's text; a type that is not installed here is there as a comment."""
    lines = ["# OpenRouter's Broadcast destinations, for orobserve."]
    if variables:
        lines += ["# OpenRouter does not show secrets: set these environment variables.", "#"]
        lines += [f"#   {name}" for name in variables]
    parts = ["\n".join(lines) + "\n"]
    types = installed()
    for item in found:
        text = toml.destinations([item])
        if item["type"] not in types:
            text = "# This type is not installed here.\n" + "".join(f"# {line}\n" for line in text.splitlines())
        parts.append(text)
    return "\n".join(parts)


def _write(options: argparse.Namespace, text: str, variables: list[str], count: int) -> int:
    mode = os.O_CREAT | os.O_WRONLY | (os.O_TRUNC if options.force else os.O_EXCL)
    try:
        with os.fdopen(os.open(options.output, mode, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        sys.stderr.write(f"orobserve: {options.output} is there already: choose another --output, or give --force\n")
        return 1
    print(f"{options.output}: {count} destinations.")
    if variables:
        print("Set these environment variables: OpenRouter does not show secrets.")
        for name in variables:
            print(f"  {name}" + (" (is set)" if os.environ.get(name) else ""))
    return 0
