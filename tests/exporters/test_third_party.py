"""The destination that `exporters/README.md` teaches, as a stranger would make it: built, installed, used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.intake import Answer, Intake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orobserve.testing import Simulator

README = Path(__file__).parent.parent.parent / "exporters" / "README.md"
CANARY = "acme-canary-key"
APP = """
import os, httpx, orobserve
orobserve.instrument(destinations=[{destination!r}], enrichment="never", console=False)
body = {{"model": "openai/gpt-4o-mini", "user": "ada", "messages": [{{"role": "user", "content": "hello"}}]}}
for _ in range(3):
    httpx.post(os.environ["BASE"] + "/chat/completions", headers={{"authorization": "Bearer k"}}, json=body)
{end}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the README's package with its own build backend, and install the wheel into an empty folder."""
    root = tmp_path_factory.mktemp("acme")
    text = README.read_text()
    (root / "acme_orobserve.py").write_text(_block(text, "python"))
    (root / "pyproject.toml").write_text(_block(text, "toml"))
    code = (
        "import sys; from hatchling.builders.wheel import WheelBuilder\n"
        "print(next(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2], versions=['standard'])))\n"
    )
    built = subprocess.run(
        [sys.executable, "-c", code, str(root), str(root / "dist")], check=True, capture_output=True, text=True
    )
    zipfile.ZipFile(built.stdout.split()[-1]).extractall(root / "site")
    return root / "site"


def _block(text: str, language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block)


@pytest.fixture
def acme() -> Iterator[Intake]:
    with Intake() as server:
        yield server


def run(site: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the package is installed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OROBSERVE_"))}
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, *command],
        env={**kept, "PYTHONPATH": os.pathsep.join(paths), **environment},
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def calls_of(acme: Intake) -> list[dict[str, Any]]:
    """Return the calls that have come in."""
    posts = [json.loads(taken.body) for taken in acme.taken if taken.path == "/v1/calls"]
    return [call for post in posts for call in post["calls"]]


def test_what_is_installed_is_one_file_and_its_entry_point(site: Path) -> None:
    assert [path.name for path in site.glob("*.py")] == ["acme_orobserve.py"]
    (found,) = distributions(path=[str(site)])
    (point,) = found.entry_points
    assert (point.group, point.name, point.value) == ("orobserve.exporters", "acme", "acme_orobserve:Acme")


@pytest.mark.parametrize("way", ["argument", "variable"])
@pytest.mark.parametrize("end", ["orobserve.flush()", ""], ids=["flushed", "at exit"])
def test_calls_arrive(way: str, end: str, site: Path, acme: Intake, sim: Simulator) -> None:
    app = APP.format(destination="acme", end=end)
    environment = {"ACME_API_KEY": CANARY, "ACME_URL": acme.url + "/", "BASE": sim.url, "OROBSERVE_HOSTS": sim.url}
    if way == "variable":
        app = app.replace("destinations=['acme'], ", "")
        environment["OROBSERVE_DESTINATIONS"] = "acme"
    done = run(site, "-c", app, **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    calls = calls_of(acme)
    assert len({call["span"] for call in calls}) == len(calls) == 3
    assert sum(call["usd"] for call in calls) == pytest.approx(float(sim.bill))
    assert {call["user"] for call in calls} == {"ada"}
    assert all(call["answer"] and call["tokens_in"] > 0 for call in calls)
    assert all(taken.headers["authorization"] == f"Bearer {CANARY}" for taken in acme.taken)


def test_without_its_key_it_says_which_variable_is_missing(site: Path, acme: Intake, sim: Simulator) -> None:
    done = run(site, "-c", APP.format(destination="acme", end=""), BASE=sim.url, OROBSERVE_HOSTS=sim.url)
    assert done.returncode == 1
    assert "ACME_API_KEY" in done.stderr.splitlines()[-1]
    assert acme.taken == []


@pytest.mark.parametrize(
    ("status", "expected", "said"), [(200, 0, ""), (401, 1, "the credentials are refused"), (404, 1, "check the URL")]
)
def test_the_command_tests_its_connection(status: int, expected: int, said: str, site: Path, acme: Intake) -> None:
    acme.answer = Answer(status=status)
    command = ["-m", "orobserve", "test", "acme", "--json"]
    done = run(site, *command, ACME_API_KEY=CANARY, ACME_URL=acme.url)
    assert done.returncode == expected, done.stderr
    report = json.loads(done.stdout)
    assert said in json.dumps(report)
    assert CANARY not in done.stdout + done.stderr
    (taken,) = acme.taken
    assert (taken.method, taken.path) == ("GET", "/v1/project")
