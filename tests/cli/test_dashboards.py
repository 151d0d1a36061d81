"""`orobserve dashboards`: files, and a Grafana filled by its API.

No Grafana can run here: a stand-in keeps what is put and answers as Grafana's API is documented.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.cli.main import main
from tests.support.programs import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "glsa_canary-0123456789"
SOURCES = [
    {"name": "Old Prometheus", "type": "prometheus", "uid": "p-old"},
    {"name": "Mimir", "type": "prometheus", "uid": "p-mimir", "isDefault": True},
    {"name": "Warehouse", "type": "grafana-clickhouse-datasource", "uid": "ch"},
    {"name": "Logs", "type": "loki", "uid": "loki"},
]


class StandIn(ThreadingHTTPServer):
    """Folders, dashboards and alert rules, by their uids; `refusal` answers every request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.sources: list[dict[str, Any]] = SOURCES
        self.folders: dict[str, str] = {"general-1": "Something else"}
        self.boards: dict[str, dict[str, Any]] = {}
        self.rules: dict[str, dict[str, Any]] = {}
        self.refusal: tuple[int, str] | None = None
        self.writes = 0

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:  # noqa: C901, PLR0911 - one for each address
        what, _, uid = path.partition("?")[0].removeprefix("/api/").rpartition("/")
        if self.refusal:
            return self.refusal[0], {"message": self.refusal[1]}
        self.writes += method != "GET"
        if path == "/api/datasources":
            return 200, self.sources
        if path.startswith("/api/folders"):
            if method == "POST":
                self.folders["new-1"] = body["title"]
                return 200, {"uid": "new-1", "title": body["title"]}
            return 200, [{"uid": uid, "title": title} for uid, title in self.folders.items()]
        if what == "dashboards/uid":
            return (200, self.boards[uid]) if uid in self.boards else (404, {"message": "Dashboard not found"})
        if path == "/api/dashboards/db":
            board, url = body["dashboard"], f"/d/{body['dashboard']['uid']}/x"
            assert body["overwrite"] is True
            version = self.boards.get(board["uid"], {"dashboard": {"version": 0}})["dashboard"]["version"] + 1
            meta = {"folderUid": body["folderUid"], "url": url}
            self.boards[board["uid"]] = {"dashboard": {**board, "id": 7, "version": version}, "meta": meta}
            return 200, {"uid": board["uid"], "url": url, "status": "success", "version": version}
        if body:  # as Grafana does it
            body["orgID"] = 3
            for data in body["data"]:
                data["model"] |= {"intervalMs": 1000, "maxDataPoints": 43200}
        if method == "POST":
            assert body["uid"] not in self.rules
            self.rules[body["uid"]] = body
            return 201, body
        if method == "PUT":
            self.rules[uid] = body
            return 200, body
        return (200, self.rules[uid]) if uid in self.rules else (404, {"message": "not found"})


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _do(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.headers["authorization"] == f"Bearer {TOKEN}":
            status, found = self.server.answer(self.command, self.path, body)
        else:
            status, found = 401, {"message": "Invalid API key"}
        data = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _do  # noqa: N815 - names of the library


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn() as server:
        monkeypatch.setenv("GRAFANA_URL", f"{server.url}/")
        monkeypatch.setenv("GRAFANA_TOKEN", TOKEN)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def pushed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    assert main(["dashboards", "push", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    found: list[dict[str, str]] = json.loads(out)
    return found


def failed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 1) -> str:
    assert main(["dashboards", "push", *arguments]) == status
    out, err = capsys.readouterr()
    assert TOKEN not in out + err
    assert not out
    return str(err)


def test_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {item["for"] for item in found} == {"prometheus", "clickhouse", "postgres", "tempo"}
    assert all(item["panels"] and item["description"] for item in found)
    assert main(["dashboards", "list", "--for", "tempo"]) == 0
    assert "traces" in capsys.readouterr().out


def test_files_are_what_grafana_imports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "export", str(tmp_path), "--for", "postgres", "--json"]) == 0
    paths = json.loads(capsys.readouterr().out)
    assert json.loads((tmp_path / "postgres" / "spend.json").read_text())["uid"] == "orobserve-postgres-spend"
    assert (tmp_path / "alerts" / "prometheus.yaml").exists()
    assert sorted(paths) == sorted(str(path) for path in tmp_path.rglob("*.*"))
    (tmp_path / "file").touch()
    assert main(["dashboards", "export", str(tmp_path / "file")]) == 2


def test_what_is_put_once_is_put_once(grafana: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    first = pushed(capsys, "--alerts")
    assert {item["result"] for item in first} == {"created"}
    assert set(grafana.boards) == {item["uid"] for item in first if not item["what"].startswith("alert ")}
    assert {uid.split("-")[1] for uid in grafana.boards} == {"prometheus", "clickhouse"}  # what Grafana has
    assert list(grafana.folders.values()).count("OpenRouter") == 1
    assert all(item["url"].startswith(grafana.url) for item in first)
    writes = grafana.writes
    assert {item["result"] for item in pushed(capsys, "--alerts")} == {"unchanged"}
    assert grafana.writes == writes
    grafana.boards["orobserve-prometheus-spend"]["dashboard"]["title"] = "Mine now"
    changed = [item for item in pushed(capsys) if item["result"] != "unchanged"]
    assert [(item["uid"], item["result"]) for item in changed] == [("orobserve-prometheus-spend", "updated")]


def test_data_sources_are_chosen_by_name(grafana: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    def chosen() -> set[str]:
        lists = [board["dashboard"]["templating"]["list"] for board in grafana.boards.values()]
        return {one["current"]["value"] for found in lists for one in found if one["name"] == "datasource"}

    pushed(capsys)
    assert chosen() == {"p-mimir", "ch"}  # the default one
    grafana.boards.clear()
    pushed(capsys, "--datasource", "Old Prometheus", "--folder", "Something else")
    assert chosen() == {"p-old"}
    assert {board["meta"]["folderUid"] for board in grafana.boards.values()} == {"general-1"}
    assert "'Mimirr'" in failed(capsys, "--datasource", "Mimirr", status=2)
    assert "grafana-postgresql-datasource" in failed(capsys, "--for", "postgres", status=2)


def test_alerts_get_their_source_and_limits(grafana: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    pushed(capsys, "--alerts", "--limit", "OpenRouterDailyCap=50", "--for", "prometheus")
    rule = grafana.rules["OpenRouterDailyCap"]
    query, threshold = rule["data"]
    assert query["datasourceUid"] == "p-mimir"
    assert threshold["model"]["conditions"][0]["evaluator"] == {"type": "gt", "params": [50.0]}
    assert (rule["folderUID"], rule["ruleGroup"]) == ("new-1", "orobserve")
    assert "OpenRouterDailyCap" in failed(capsys, "--alerts", "--limit", "DailyCap=50", status=2)
    assert "OpenRouterDailyCap" in failed(capsys, "--alerts", "--limit", "OpenRouterDailyCap=lots", status=2)
    assert "--alerts" in failed(capsys, "--alerts", "--for", "clickhouse", status=2)


def test_what_goes_wrong_is_named(
    grafana: StandIn, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    grafana.refusal = (403, "You'll need additional \x1b[31mpermissions")
    said = failed(capsys)
    assert all(word in said for word in ("datasources:read", "HTTP 403", "permissions"))
    assert "\x1b" not in said
    grafana.refusal = None
    assert "service account" in failed(capsys, "--token", "wrong")
    (port,) = free_ports(1)
    assert "check --url" in failed(capsys, "--url", f"http://127.0.0.1:{port}")
    for url in ("grafana.example.com", "http://", "http://[::1", "http://host:port"):
        assert "no address" in failed(capsys, "--url", url)
    for token in ("gl\u0455a_x", "two words"):
        assert "token" in failed(capsys, "--token", token)
    for body in ([{"a": 1}], {"page": "login"}):
        grafana.sources = body  # type: ignore[assignment]
        assert "does not answer as Grafana does" in failed(capsys)
    monkeypatch.delenv("GRAFANA_TOKEN")
    assert "export GRAFANA_TOKEN=" in failed(capsys, status=2)
