"""The key of a service account, as the settings of BigQuery take it."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING, Any

import pytest

from orobserve_exporters.bigquery import BigQuery
from tests.exporters.google_key import google_key
from tests.support.otlp import make

if TYPE_CHECKING:
    from pathlib import Path

needs_google_auth = pytest.mark.skipif(
    importlib.util.find_spec("google.auth") is None if importlib.util.find_spec("google") else True,
    reason="no google-auth: it is in the extra `bigquery`",
)


def exporter(**config: Any) -> Any:
    return make(BigQuery, **{"service_account_key": google_key(), **config})


@needs_google_auth
def test_the_key_may_be_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(google_key(project_id="of-the-file"))
    assert "/projects/of-the-file/" in exporter(service_account_key=str(path)).probe().url
    assert "/projects/given/" in exporter(service_account_key=str(path), project_id="given").probe().url


@needs_google_auth
@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"service_account_key": None}, "set service_account_key"),
        ({"service_account_key": "/no/such/file"}, "the JSON of a service-account key"),
        ({"service_account_key": __file__}, "the JSON of a service-account key"),
        ({"service_account_key": "{canary"}, "the JSON of a service-account key"),
        ({"service_account_key": google_key(type="authorized_user")}, "of the type 'authorized_user'"),
        ({"service_account_key": google_key(client_email=None)}, "lacks client_email"),
        ({"service_account_key": google_key(private_key="canary")}, "private_key cannot be read"),
        ({"service_account_key": google_key(project_id=None)}, "set project_id"),
        ({"dataset": "project.dataset"}, "dataset must be"),
        ({"table": "a`b"}, "table must be"),
    ],
)
def test_what_cannot_work_is_said(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        exporter(**config)
    assert "canary" not in str(caught.value)


def test_without_google_auth_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth.crypt", None)
    with pytest.raises(ValueError, match=r"pip install 'orobserve\[bigquery\]'"):
        exporter()
