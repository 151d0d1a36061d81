"""The public face: few names, nothing that happens on import. Its types are checked by mypy over `tests/typing`."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import orobserve


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_names_are_few_and_there() -> None:
    assert len(orobserve.__all__) <= 15
    assert sorted(orobserve.__all__) == dir(orobserve)
    for name in orobserve.__all__:
        assert getattr(orobserve, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'instrumnt'"):
        _ = orobserve.instrumnt


def test_importing_loads_no_http_library_and_no_sdk() -> None:
    loaded = set(json.loads(run("import orobserve, sys, json; print(json.dumps(sorted(sys.modules)))")))
    unwanted = {"httpx", "httpx2", "requests", "aiohttp", "openai", "anthropic", "rich", "jsonschema"}
    assert loaded & unwanted == set()
    assert not any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in loaded)


def test_importing_changes_nothing_and_starts_nothing() -> None:
    code = (
        "import httpx, threading; before = httpx.Client.send, httpx.AsyncClient.send; import orobserve;"
        "assert (httpx.Client.send, httpx.AsyncClient.send) == before; assert threading.active_count() == 1;"
        "orobserve.instrument(console=False); assert threading.active_count() == 1;"
        "orobserve.uninstrument(); assert (httpx.Client.send, httpx.AsyncClient.send) == before"
    )
    run(code)


def test_a_library_that_is_imported_later_is_seen() -> None:
    code = (
        "import sys, orobserve; orobserve.instrument(console=False); assert 'httpx' not in sys.modules;"
        "import httpx; print(httpx.Client.send.__module__, hasattr(httpx.Client.send, '__wrapped__'))"
    )
    module, wrapped = run(code).split()
    assert (module.split(".")[0], wrapped) == ("httpx", "True")
