"""What Phoenix has of its own. Its attributes are tested with Arize's, its server in `test_receivers.py`."""

from __future__ import annotations

import pytest

from orobserve_exporters.phoenix import Phoenix
from tests.exporters.generations import CHAT
from tests.support.otlp import make, resource_of

KEY = "phoenix-secret"


def test_address_and_project_without_settings() -> None:
    request = make(Phoenix).encode([CHAT])
    assert request.url == "http://localhost:6006/v1/traces"
    assert request.headers == {"Content-Type": "application/x-protobuf"}  # exactly, or Phoenix refuses it
    assert resource_of(request.body) == {"service.name": "orobserve", "openinference.project.name": "default"}


def test_key_and_project() -> None:
    request = make(Phoenix, api_key=KEY, project_name="p", headers={"x-extra": "1"}).encode([CHAT])
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["x-extra"] == "1"
    assert resource_of(request.body)["openinference.project.name"] == "p"
    assert KEY.encode() not in request.body


@pytest.mark.parametrize("base", ["https://app.phoenix.arize.com/s/me", "https://app.phoenix.arize.com/s/me/v1/traces"])
def test_probe_needs_the_key_and_writes_nothing(base: str) -> None:
    probe = make(Phoenix, api_key=KEY, base_url=base).probe()
    assert (probe.method, probe.url) == ("GET", "https://app.phoenix.arize.com/s/me/v1/projects?limit=1")
    assert probe.headers == {"Authorization": f"Bearer {KEY}"}
    assert probe.body == b""


def test_encoding_again_gives_the_same() -> None:
    """Phoenix ignores a span that it has, so a batch may be sent again."""
    exporter = make(Phoenix)
    assert exporter.encode([CHAT]) == exporter.encode([CHAT])
    assert not Phoenix.UPDATES
