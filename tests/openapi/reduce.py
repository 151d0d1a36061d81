"""Reduce OpenRouter's OpenAPI document to what the tests need, so that a copy of it can live beside them.

Usage: ``python tests/openapi/reduce.py PATH/TO/openapi.yaml`` writes ``openrouter.json`` beside this script: the paths
of inference, generations, keys, credits, activity and models, the schemas they reach, and their examples. Prose and
vendor extensions are left out. One path or schema stands on each line, so that a refresh shows as a readable diff.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_PATHS = (
    "/chat/completions",
    "/responses",
    "/messages",
    "/embeddings",
    "/rerank",
    "/images",
    "/audio/speech",
    "/audio/transcriptions",
    "/videos",
    "/videos/{jobId}",
    "/videos/{jobId}/content",
    "/generation",
    "/generation/content",
    "/generation/feedback",
    "/key",
    "/credits",
    "/activity",
    "/models",
    "/models/count",
    "/models/user",
    "/providers",
    "/presets/{slug}/chat/completions",
    "/presets/{slug}/messages",
    "/presets/{slug}/responses",
)
_PROSE = frozenset({"description", "summary", "title", "externalDocs", "tags", "operationId"})
_VERBATIM = frozenset({"example", "examples", "enum", "const", "default", "required"})
_NAMES = frozenset({"properties", "patternProperties", "schemas", "responses", "headers", "content", "mapping"})
_PREFIX = "#/components/schemas/"


def strip(node: Any, *, names: bool = False) -> Any:
    """Drop prose and extensions. Inside ``properties`` and its like the keys are names, and are all kept."""
    if isinstance(node, list):
        return [strip(item) for item in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: strip(value) for key, value in node.items()}
    return {
        key: value if key in _VERBATIM else strip(value, names=key in _NAMES)
        for key, value in node.items()
        if key not in _PROSE and not key.startswith("x-")
    }


def references(node: Any) -> Iterator[str]:
    """Find the names of the schemas a node refers to."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            yield reference.removeprefix(_PREFIX)
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from references(child)


def reduce(document: dict[str, Any]) -> dict[str, Any]:
    """Keep the chosen paths and every schema they reach."""
    paths = {path: strip(document["paths"][path], names=True) for path in KEPT_PATHS}
    schemas: dict[str, Any] = {}
    waiting = set(references(paths))
    while waiting:
        name = waiting.pop()
        schemas[name] = strip(document["components"]["schemas"][name])
        waiting |= set(references(schemas[name])) - schemas.keys()
    return {
        "openapi": document["openapi"],
        "info": {"version": document["info"]["version"]},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def write(document: dict[str, Any], target: Path) -> None:
    """Write one path or schema per line, everything sorted."""

    def compact(value: Any) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)

    def lines(table: dict[str, Any]) -> str:
        return "{\n" + ",\n".join(f"{json.dumps(name)}:{compact(table[name])}" for name in sorted(table)) + "\n}"

    text = (
        f'{{"components":{{"schemas":{lines(document["components"]["schemas"])}}},\n'
        f'"info":{compact(document["info"])},\n"openapi":{compact(document["openapi"])},\n'
        f'"paths":{lines(document["paths"])}}}\n'
    )
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    source = yaml.load(Path(sys.argv[1]).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    write(reduce(source), Path(__file__).with_name("openrouter.json"))
