"""The example manifests parse, and name only settings, paths and arguments that there are."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
import yaml

from orobserve.cli.main import parser
from orobserve.proxy import settings

FOLDER = Path(__file__).parent.parent.parent / "examples" / "proxy"
VARIABLE = re.compile(r"OROBSERVE_PROXY_\w+")


def test_docker_compose() -> None:
    services = yaml.safe_load((FOLDER / "docker-compose.yaml").read_text("utf-8"))["services"]
    environment = services["openrouter"]["environment"]
    given = {name: str(value) for name, value in environment.items() if name.startswith(settings.PREFIX)}
    given |= {"OROBSERVE_PROXY_KEY": "sk-or-v1-x", "OROBSERVE_PROXY_TOKENS": "a" * 16}
    assert settings.load({}, given).listen.port == 4141
    assert services["app"]["environment"]["OPENAI_BASE_URL"] == "http://openrouter:4141/api/v1"
    _starts(services["openrouter"]["command"].partition("exec ")[2].strip('"').split())


def test_kubernetes() -> None:
    (found,) = yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text("utf-8"))
    pod = found["spec"]["template"]["spec"]
    (sidecar,) = pod["initContainers"]
    assert sidecar["restartPolicy"] == "Always"
    assert pod["terminationGracePeriodSeconds"] > settings.load({}, {}).drain
    _starts(sidecar["args"])


def test_systemd() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[method-assign,assignment]
    unit.read(FOLDER / "orobserve-proxy.service", "utf-8")
    command = unit["Service"]["ExecStart"].split()
    _starts([command[0].rpartition("/")[2], *command[1:]])


def _starts(command: list[str]) -> None:
    assert command[0] == "orobserve"
    parser().parse_args(command[1:])


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_every_variable_exists(path: Path) -> None:
    known = {settings.PREFIX + name.upper() for name in settings.setting_fields()}
    assert set(VARIABLE.findall(path.read_text("utf-8"))) <= known
