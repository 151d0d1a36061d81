"""The alert rules, checked and tried by Prometheus' own tool."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.dashboards.grafana import FOLDER
from tests.support.programs import program

CASES = Path(__file__).parent / "alerts.test.yaml"
RULES = yaml.safe_load((FOLDER / "alerts" / "prometheus.yaml").read_text())["groups"][0]["rules"]


def _promtool(folder: Path, *arguments: str) -> str:
    tool = program("promtool")
    if tool is None and "CI" not in os.environ:
        pytest.skip("no promtool: apt-get install prometheus")
    assert tool
    (folder / "prometheus.yaml").write_text((FOLDER / "alerts" / "prometheus.yaml").read_text())
    shutil.copy(CASES, folder)
    found = subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_the_rules_are_rules(tmp_path: Path) -> None:
    assert f"SUCCESS: {len(RULES)} rules found" in _promtool(tmp_path, "check", "rules", "prometheus.yaml")


def test_they_fire_where_they_should_and_nowhere_else(tmp_path: Path) -> None:
    assert "SUCCESS" in _promtool(tmp_path, "test", "rules", CASES.name)


def test_each_is_tried_both_ways() -> None:
    tried: dict[str, set[bool]] = {}
    for group in yaml.safe_load(CASES.read_text())["tests"]:
        for case in group["alert_rule_test"]:
            tried.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert tried == {rule["alert"]: {True, False} for rule in RULES}


def test_grafana_gets_the_same_rules() -> None:
    provisioned = yaml.safe_load((FOLDER / "alerts" / "grafana.yaml").read_text())["groups"][0]["rules"]
    told = json.loads((FOLDER / "alerts" / "api.json").read_text())["rules"]
    assert {data["datasourceUid"] for rule in told for data in rule["data"]} == {"${datasource}", "__expr__"}
    assert json.loads(json.dumps(told).replace("${datasource}", "prometheus")) == provisioned
    for rule, asked in zip(RULES, provisioned, strict=True):
        query, threshold = (data["model"] for data in asked["data"])
        (limit,) = threshold["conditions"][0]["evaluator"]["params"]
        assert (rule["alert"], rule["expr"]) == (asked["title"], f"({query['expr']}) > {limit:g}")
        assert (rule["for"], rule["labels"]) == (asked["for"], asked["labels"])
