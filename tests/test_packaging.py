"""What is shipped: exactly the package, with its types and its licence."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build through the source distribution, as a user's installer would, with what is installed here."""
    target = tmp_path_factory.mktemp("dist")
    code = (
        "import os, sys; from hatchling.builders.sdist import SdistBuilder; from hatchling.builders.wheel import "
        "WheelBuilder; import tarfile\n"
        "sdist = next(SdistBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=['standard']))\n"
        "tarfile.open(sdist).extractall(sys.argv[2], filter='data')\n"
        "next(WheelBuilder(sdist.removesuffix('.tar.gz')).build(directory=sys.argv[2], versions=['standard']))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(ROOT), str(target)], check=True, timeout=120, capture_output=True)
    return zipfile.ZipFile(next(target.glob("*.whl")))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"orobserve", "orobserve_exporters"}
    assert "orobserve/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "test_" in name or name.endswith(".pyc")]
    assert "orobserve_exporters/grafana/dashboards/prometheus/spend.json" in names
    page = (path for path in (ROOT / "orobserve" / "viewer" / "static").rglob("*") if path.is_file())
    ours = {str(path.relative_to(ROOT)) for path in (*(ROOT / "orobserve").rglob("*.py"), *page)}
    assert ours <= set(names)


def test_its_entry_points_are_there(wheel: zipfile.ZipFile) -> None:
    entry_points = next(wheel.read(name).decode() for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "orobserve = orobserve.cli.main:main" in entry_points
    assert "openrouter = orobserve.instrumentor:OpenRouterInstrumentor" in entry_points


def test_the_core_stays_light() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {requirement.split(">")[0] for requirement in project["dependencies"]}
    otel = {"opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}
    assert needed == otel | {"httpx", "tomli", "typing-extensions", "wrapt"}


def test_the_top_level_is_as_agreed() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = {line.split("/")[0] for line in listed.stdout.splitlines()} or {"orobserve"}
    allowed = {"orobserve", "exporters", "tests", "examples", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"}
    assert {name for name in names if not name.startswith(".")} <= allowed
