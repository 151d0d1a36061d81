"""What is shipped: what the code makes, with what every panel must have, and nothing of one particular Grafana."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.dashboards import grafana

BACKENDS = {
    "prometheus": "prometheus",
    "clickhouse": "grafana-clickhouse-datasource",
    "postgres": "grafana-postgresql-datasource",
    "tempo": "tempo",
}
BOARDS = {(kind, name): board for kind in BACKENDS for name, board in grafana.dashboards(kind).items()}
NODE = Path(__file__).parent / "node"


def test_it_is_what_the_code_makes() -> None:
    pytest.importorskip("grafana_foundation_sdk", reason="no grafana-foundation-sdk")
    from orobserve_exporters.grafana.source.__main__ import files

    made = dict(files())
    assert {name: (grafana.FOLDER / name).read_text() for name in made} == made
    shipped = {f"{kind}/{name}" for kind, name in BOARDS}
    assert shipped == {Path(name).with_suffix("").as_posix().split("/", 1)[1] for name in made if "dashboards/" in name}


@pytest.mark.parametrize("board", BOARDS.values(), ids=map("-".join, BOARDS))
def test_panels_are_complete(board: dict[str, Any]) -> None:
    seen: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert panel["type"] == "table" or panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & seen, panel["title"]
        seen |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_boards_are_told_apart_and_know_no_grafana() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS)
    for (kind, _), board in BOARDS.items():
        listed = {variable["name"]: variable for variable in board["templating"]["list"]}
        assert listed["datasource"]["query"] == BACKENDS[kind]
        known = {*listed, "__from", "__to"}
        text = json.dumps(board)
        uids = set(re.findall(r'"uid": "([^"]+)"', text)) - {board["uid"]}
        assert uids == {"${datasource}"}
        assert listed.keys() >= {"model", "provider", "key", "tag"}
        used = set(re.findall(r"\$\{([a-z_]+)", text)) - {"__value", "__field"}
        assert used <= known
        for name, variable in listed.items():
            if variable["type"] == "query":
                assert all(variable[key] for key in ("multi", "includeAll", "allValue")), name


def test_metrics_are_those_that_orobserve_has(load: Any) -> None:
    """No panel waits for a metric, or for a label, that nobody emits."""
    emitted = set(re.findall(r"^(\w+)\{", load.openmetrics, re.MULTILINE))
    labels = set(re.findall(r'(\w+)="', load.openmetrics)) | {"openrouter_tag_team", "le"}
    for (kind, _), board in BOARDS.items():
        if kind != "prometheus":
            continue
        for _, target, seen in grafana.View(board, 0, 3600).targets():
            expression = seen.promql(target["expr"])
            assert set(re.findall(r"\b((?:openrouter|gen_ai_client|orobserve)_\w+)(?=[\[{])", expression)) <= emitted
            assert set(re.findall(r'(\w+)=~?"', expression)) <= labels


def test_they_fit_grafanas_own_types(tmp_path: Path) -> None:
    """Panels against the TypeScript of `@grafana/schema`, unknown keys refused; TraceQL by Grafana's own grammar."""
    for (kind, name), board in BOARDS.items():
        (tmp_path / f"{kind}-{name}.json").write_text(json.dumps(board))
    status, said = _checked(tmp_path)
    assert status == 0, said[-4000:]
    assert f"{len(BOARDS)} dashboards" in said


def test_what_does_not_fit_is_seen(tmp_path: Path) -> None:
    text = json.dumps(BOARDS["tempo", "traces"])
    for right, wrong in (
        ("showHeader", "showHeadr"),
        ('"drawStyle": "bars"', '"drawStyle": "barz"'),
        ("(duration, 0.5", "(duration, &&"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    (tmp_path / "tempo-traces.json").write_text(text)
    status, said = _checked(tmp_path)
    assert status == 1
    assert all(word in said for word in ("showHeadr", "barz", "no TraceQL"))


def _checked(folder: Path) -> tuple[int, str]:
    if not (NODE / "node_modules" / "typescript").is_dir():
        pytest.skip("no node_modules: the tox environment `dashboards` installs them")
    node = shutil.which("node")
    assert node
    command = [node, str(NODE / "check.mjs"), str(folder)]
    found = subprocess.run(command, cwd=NODE, capture_output=True, text=True, timeout=300, check=False)
    return found.returncode, found.stdout + found.stderr
