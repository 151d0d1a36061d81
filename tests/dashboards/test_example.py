"""The example: its load runs, and its files name what there is. Its containers cannot be run here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.dashboards import grafana
from tests.dashboards.load import ROOT
from tests.support.programs import program

FOLDER = ROOT / "examples" / "grafana"


def test_the_load_is_observed() -> None:
    unset = ("OTEL_", "OROBSERVE_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    command = [sys.executable, str(FOLDER / "load.py"), "--calls", "4", "--pause", "0"]
    env |= {"OROBSERVE_CONSOLE": "true", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "exporters")))}
    found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("4 calls, bill 0.0")
    assert found.stderr.count(" · via ") == 4


def test_files_and_data_sources_are_there() -> None:
    services = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text())["services"]
    mounted = [volume for service in services.values() for volume in service.get("volumes", ())]
    assert all((FOLDER / volume.split(":")[0]).exists() for volume in mounted)
    sources = yaml.safe_load((FOLDER / "provisioning/datasources/all.yaml").read_text())["datasources"]
    boards = {variable["query"] for variable in _datasources()}
    assert {source["type"] for source in sources} == boards - {"grafana-postgresql-datasource"}
    assert "prometheus" in {source["uid"] for source in sources}  # of the alert rules
    providers = yaml.safe_load((FOLDER / "provisioning/dashboards/all.yaml").read_text())["providers"]
    for provider in providers:
        assert grafana.dashboards(Path(provider["options"]["path"]).name)


def _datasources() -> list[dict[str, str]]:
    kinds = ("prometheus", "clickhouse", "postgres", "tempo")
    boards = [board for kind in kinds for board in grafana.dashboards(kind).values()]
    return [one for board in boards for one in board["templating"]["list"] if one["name"] == "datasource"]


def test_prometheus_takes_its_settings(tmp_path: Path) -> None:
    tool = program("promtool")
    if tool is None and "CI" not in os.environ:
        pytest.skip("no promtool: apt-get install prometheus")
    assert tool
    rules = str(grafana.FOLDER / "alerts" / "prometheus.yaml")
    settings = (FOLDER / "prometheus.yml").read_text().replace("/etc/prometheus/orobserve.yaml", rules)
    (tmp_path / "prometheus.yml").write_text(settings)
    found = subprocess.run(
        [tool, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
