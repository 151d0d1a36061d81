"""Every example runs as its reader would run it, against the simulator."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from orobserve.testing import Simulator

FOLDER = Path(__file__).parent.parent / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs_and_its_calls_are_seen(example: Path) -> None:
    with Simulator() as simulator:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))},
            "OPENROUTER_API_KEY": "sk-or-v1-example",
            "OPENROUTER_BASE_URL": simulator.url,
            "OROBSERVE_HOSTS": simulator.root.removeprefix("http://"),
            "OROBSERVE_CONSOLE": "true",
        }
        run = subprocess.run(
            [sys.executable, str(example)], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        calls = simulator.inference_calls

    assert run.returncode == 0, run.stderr
    assert run.stdout.strip()
    assert calls
    assert run.stderr.count(" · ") >= len(calls), run.stderr  # a line per call
    assert "could not observe" not in run.stderr


def test_every_example_is_listed() -> None:
    listed = (FOLDER / "README.md").read_text()
    assert [path.name for path in EXAMPLES if f"`{path.name}`" not in listed] == []
