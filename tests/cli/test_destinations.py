"""`orobserve destinations`: what there is, what it needs, and Broadcast's own destinations as our file."""

from __future__ import annotations

import json
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest

from orobserve import config, config_file
from orobserve.cli import toml
from orobserve.cli.main import main
from orobserve.delivery import schema as schemas
from orobserve.delivery import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The `config` of the example of each of the 17 schemas of OpenRouter's OpenAPI document.
EXAMPLES: dict[str, dict[str, str]] = {
    "arize": {
        "apiKey": "arize_...AbCd",
        "baseUrl": "https://otlp.arize.com",
        "modelId": "openrouter-prod",
        "spaceKey": "space_...EfGh",
    },
    "braintrust": {"apiKey": "sk-...AbCd", "baseUrl": "https://api.braintrust.dev", "projectId": "proj_..."},
    "clickhouse": {
        "database": "analytics",
        "host": "https://clickhouse.example.com:8123",
        "password": "********",
        "table": "OPENROUTER_TRACES",
        "username": "default",
    },
    "datadog": {"apiKey": "************...AbCd", "mlApp": "my-llm-app", "url": "https://api.us5.datadoghq.com"},
    "grafana": {
        "apiKey": "glc_...AbCd",
        "baseUrl": "https://otlp-gateway-prod-us-west-0.grafana.net",
        "instanceId": "123456",
    },
    "langfuse": {"baseUrl": "https://us.cloud.langfuse.com", "publicKey": "pk-l...EfGh", "secretKey": "sk-l...AbCd"},
    "langsmith": {"apiKey": "lsv2_...AbCd", "endpoint": "https://api.smith.langchain.com", "project": "main"},
    "newrelic": {"licenseKey": "****...AbCd", "region": "us"},
    "opik": {"apiKey": "****...AbCd", "projectName": "openrouter-prod", "workspace": "my-workspace"},
    "otel-collector": {"endpoint": "https://otel.example.com:4318"},
    "posthog": {"apiKey": "phc_...AbCd", "endpoint": "https://us.i.posthog.com"},
    "ramp": {"apiKey": "rmp_...AbCd", "baseUrl": "https://api.ramp.com/developer/v1/ai-usage/openrouter"},
    "s3": {"accessKeyId": "AKIA...AbCd", "bucketName": "openrouter-traces", "secretAccessKey": "****...EfGh"},
    "sentry": {
        "dsn": "https://abc123@o0.ingest.sentry.io/0",
        "otlpEndpoint": "https://o0.ingest.sentry.io/api/0/otlp",
    },
    "snowflake": {"account": "xy12345.us-east-1", "token": "****...AbCd"},
    "weave": {
        "apiKey": "****...AbCd",
        "baseUrl": "https://trace.wandb.ai",
        "entity": "my-team",
        "project": "openrouter-prod",
    },
    "webhook": {"url": "https://example.com/openrouter-events"},
}


def body(kind: str, **changes: Any) -> dict[str, Any]:
    return {
        "api_key_hashes": None,
        "broadcast_generation_cost": False,
        "broadcast_generation_identity": False,
        "broadcast_generation_request_context": False,
        "config": EXAMPLES[kind],
        "created_at": "2025-08-24T10:30:00Z",
        "enabled": True,
        "filter_rules": None,
        "id": "99999999-aaaa-bbbb-cccc-dddddddddddd",
        "name": f"Production {kind}",
        "privacy_mode": False,
        "sampling_rate": 1,
        "type": kind,
        "updated_at": "2025-08-24T15:45:00Z",
        "workspace_id": "550e8400-e29b-41d4-a716-446655440000",
        **changes,
    }


def schema() -> dict[str, Any]:
    return schemas.schema(config.setting_fields())


class API:
    """OpenRouter's endpoint on the loopback interface; at most `most` per page, whatever is asked for."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = [body(kind) for kind in EXAMPLES]
        self.raw: tuple[int, bytes] | None = None
        self.asked: list[tuple[dict[str, list[str]], str | None]] = []
        self.most = 7
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, answer = api.answer(self.path, self.headers.get("authorization"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1"

    def answer(self, path: str, key: str | None) -> tuple[int, bytes]:
        url = urlsplit(path)
        query = parse_qs(url.query)
        self.asked.append((query, key))
        if self.raw is not None:
            return self.raw
        if url.path != "/api/v1/observability/destinations":
            return 404, b"{}"
        offset = int(query["offset"][0])
        page = self.items[offset : offset + min(self.most, int(query["limit"][0]))]
        return 200, json.dumps({"data": page, "total_count": len(self.items)}).encode()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[API]:
    found = API()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENROUTER_MANAGEMENT_KEY", "sk-or-v1-management-canary")
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


def run(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["destinations", *arguments]) == status
    out, error = capsys.readouterr()
    assert "canary" not in out + error
    return out if status == 0 else error


def test_import_writes_a_file_that_loads(
    api: API, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.items = [item for item in api.items if item["type"] in settings.installed() and item["type"] != "langfuse"]
    assert len(api.items) >= 10
    path = tmp_path / "orobserve.toml"
    out = run(capsys, "import", "--base-url", api.url, "--output", str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    variables = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert {"BRAINTRUST_API_KEY", "BRAINTRUST_PROJECT_ID", "NEW_RELIC_LICENSE_KEY"} <= set(variables)
    for name in variables:
        monkeypatch.setenv(name, f"value-of-{name}")
    loaded = config.load({})
    assert [found.name for found in loaded.destinations] == [item["name"] for item in api.items]
    by_type = {found.type: found for found in loaded.destinations}
    assert by_type["braintrust"].config["project_id"] == "value-of-BRAINTRUST_PROJECT_ID"
    assert by_type["sentry"].config["dsn"] == "https://abc123@o0.ingest.sentry.io/0"
    jsonschema.validate(config_file.read({}).values, schema())  # type: ignore[union-attr]
    assert "is there already" in run(capsys, "import", "--base-url", api.url, "--output", str(path), status=1)
    run(capsys, "import", "--base-url", api.url, "--output", str(path), "--force")


def test_import_reads_every_page_with_the_key(api: API, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "import", "--json", "--base-url", api.url + "/", "--workspace", "w-1"))
    assert [item["type"] for item in found["destinations"]] == list(EXAMPLES)
    assert [query["offset"] for query, _ in api.asked] == [["0"], ["7"], ["14"]]
    assert {query["workspace_id"][0] for query, _ in api.asked} == {"w-1"}
    assert {key for _, key in api.asked} == {"Bearer sk-or-v1-management-canary"}
    langfuse = next(item for item in found["destinations"] if item["type"] == "langfuse")
    assert langfuse["config"]["secretKey"] == "$LANGFUSE_SECRET_KEY"
    assert {"LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "BRAINTRUST_API_KEY"} <= set(found["variables"])
    assert "..." not in json.dumps(found)
    assert "****" not in json.dumps(found)


def test_import_keeps_the_policy_and_distinct_names(
    api: API, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"groups": [{"logic": "or", "rules": [{"field": "total_cost", "operator": "gt", "value": 0.5}]}]}
    headers = {"url": "https://x.test", "headers": {"Authorization": "Bear...AbCd", "X-Team": 'a "b"\x7f'}}
    api.items = [
        body("braintrust", name="a", sampling_rate=0.5, privacy_mode=True, enabled=False),
        body("braintrust", name="a", filter_rules=rules, api_key_hashes=["ab" * 32]),
        body("webhook", name=None, broadcast_generation_cost=True, config=headers),
        body("webhook", type="brand-new", config={"apiKey": "x...AbCd"}),
    ]
    text = run(capsys, "import", "--base-url", api.url)
    assert '# type = "brand-new"' in text
    assert "#   BRAND_NEW_API_KEY" in text
    monkeypatch.setenv("OROBSERVE_CONFIG", "mine.toml")
    with open("mine.toml", "w", encoding="utf-8") as file:  # noqa: PTH123 - in the test's own directory
        file.write(text)
    for name in ("BRAINTRUST_API_KEY_2", "BRAINTRUST_PROJECT_ID_2", "WEBHOOK_AUTHORIZATION"):
        monkeypatch.setenv(name, "set")
    first, second, third = config.load({}).destinations
    assert (first.name, first.sampling_rate, first.privacy_mode, first.enabled) == ("a", 0.5, True, False)
    assert (second.name, second.api_key_hashes) == ("a-2", frozenset({"ab" * 32}))
    assert second.filter_rules is not None
    assert second.filter_rules.groups[0].rules[0].value == 0.5
    assert (third.name, third.broadcast_generation_cost) == ("webhook", True)
    assert third.config["headers"] == {"Authorization": "set", "X-Team": 'a "b"\x7f'}


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (401, b"{}", "refuses the key"),
        (403, b"{}", "no management key"),
        (400, b"{}", "--workspace"),
        (404, b"{}", "--base-url"),
        (500, b"{}", "HTTP 500"),
        (200, b"<html>", "--base-url"),
        (200, b"{}", "--base-url"),
        (200, b"[]", "--base-url"),
    ],
)
def test_import_says_what_went_wrong(
    api: API, capsys: pytest.CaptureFixture[str], status: int, answer: bytes, said: str
) -> None:
    api.raw = (status, answer)
    assert said in run(capsys, "import", "--base-url", api.url, status=1)


def test_import_without_a_server_or_a_key(api: API, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be reached: ConnectError" in run(capsys, "import", "--base-url", "http://127.0.0.1:9", status=1)
    assert "cannot be reached" in run(capsys, "import", "--base-url", "http://[", status=1)
    assert "OTHER_KEY=None" in run(capsys, "import", "--key-env", "OTHER_KEY", status=2)


def test_an_empty_account(api: API, capsys: pytest.CaptureFixture[str]) -> None:
    api.items = []
    assert "[[destinations]]" not in run(capsys, "import", "--base-url", api.url)


def test_the_list_says_what_is_set_and_never_its_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BRAINTRUST_PROJECT_ID", raising=False)
    monkeypatch.setenv("HONEYCOMB_API_KEY", "canary")
    monkeypatch.setenv("BRAINTRUST_API_KEY", "canary")
    found = {item["type"]: item for item in json.loads(run(capsys, "list", "--json"))}
    assert set(found) == set(settings.installed())
    assert found["honeycomb"]["ready"]
    assert found["braintrust"]["missing"] == ["project_id"]
    field = next(item for item in found["honeycomb"]["fields"] if item["name"] == "api_key")
    assert (field["found"], field["secret"], field["broadcast_name"]) == ("HONEYCOMB_API_KEY", True, "apiKey")
    out = run(capsys, "list")
    assert "HONEYCOMB_API_KEY=set" in out
    assert "needs project_id" in out


def test_a_type_whose_package_is_missing_is_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, api: API
) -> None:
    class Absent:
        def load(self) -> None:
            raise ModuleNotFoundError("No module named 'heavy'")

    points = {"langfuse": Absent()}
    for module in ("orobserve.delivery.settings", "orobserve.cli.destinations", "orobserve.cli.broadcast"):
        monkeypatch.setattr(f"{module}.installed", lambda: points)
    monkeypatch.setattr("orobserve.delivery.schema.installed", lambda: points)
    assert "not installed" in run(capsys, "list")
    assert "pip install" in run(capsys, "show", "langfuse", status=2)
    assert schema()["$defs"]["destination"]["allOf"] == []
    api.items = [body("langfuse")]
    assert "$LANGFUSE_SECRET_KEY" in run(capsys, "import", "--base-url", api.url)


@pytest.mark.parametrize("kind", sorted(settings.installed()))
def test_every_type_can_be_shown_and_its_example_is_right(
    kind: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = json.loads(run(capsys, "show", kind, "--json"))
    out = run(capsys, "show", kind)
    assert all(field["name"] in out and field["help"] in out for field in shown["fields"])
    (tmp_path / "orobserve.toml").write_text("[[destinations]]" + out.partition("[[destinations]]")[2])
    file = config_file.read({})
    assert file is not None
    assert file.values["destinations"][0]["type"] == kind
    jsonschema.validate(file.values, schema())


def test_a_destination_of_the_file_is_shown_by_its_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orobserve.toml").write_text('[[destinations]]\ntype = "ramp"\nname = "money"\n')
    out = run(capsys, "show", "money")
    assert "(type 'ramp')" in out
    assert "no content unless" in out
    (tmp_path / "orobserve.toml").write_text('destinations = "ramp"\n')
    assert "did you mean" in run(capsys, "show", "webhok", status=2)


def test_the_schema_is_one_and_knows_every_setting_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "schema"))
    jsonschema.Draft202012Validator.check_schema(found)
    known = {name for name, setting in config.setting_fields().items() if setting.metadata["file"]}
    assert set(found["properties"]) == known
    shapes = [{key for key in shape if key != "description"} for shape in found["properties"].values()]
    assert all(shapes)  # each says more than its help


GOOD: list[dict[str, Any]] = [
    {},
    {"hosts": ["a.test"], "content": True, "console": "auto", "compat": "cost", "enrichment_deadline": 2.5},
    {"api_key_labels": {"ab": "team"}, "destinations": ["console"]},
    {"destinations": "console,file"},
    {"destinations": [{"type": "honeycomb", "config": {"apiKey": "$X", "headers": {"a": "b"}}, "sampling_rate": 0.1}]},
    {"destinations": [{"type": "honeycomb", "config": {"api_key": "$X"}, "always_send": ["error"]}]},
    {"destinations": [{**body("webhook"), "api_key_hashes": ["ab" * 32], "filter_rules": {"groups": []}}]},
]
BAD: list[dict[str, Any]] = [
    {"hostz": []},
    {"mask": "hide"},
    {"when_nested": "x"},
    {"metric_limit": -1},
    {"enrichment_deadline": 0},
    {"identity": "maybe"},
    {"destinations": [{"name": "x"}]},
    {"destinations": [{"type": "nothing"}]},
    {"destinations": [{"type": "honeycomb", "config": {"apiKei": "x"}}]},
    {"destinations": [{"type": "console", "sampling_rate": 2}]},
    {"destinations": [{"type": "console", "always_send": ["x"]}]},
    {"destinations": [{"type": "console", "filter_rules": {"groups": [{"rules": [{"field": "x"}]}]}}]},
    {"destinations": [{"type": "webhook", "config": {"method": "GET"}}]},
]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("given", GOOD, ids=lambda value: str(value)[:40])
def test_the_schema_takes_what_is_right(given: dict[str, Any]) -> None:
    jsonschema.validate(without_nulls(given), schema())


@pytest.mark.parametrize("given", BAD, ids=lambda value: str(value)[:60])
def test_the_schema_refuses_what_is_wrong(given: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, schema())


def test_toml_of_awkward_values(tmp_path: Path) -> None:
    given = {
        "type": "x",
        "a b": [1, True, None, {"k": 0.5, "n": None}],
        "no": None,
        "config": {"t": "é\n\ud800", "e": {}},
    }
    (tmp_path / "f.toml").write_text(toml.destinations([given, {"type": "y", "config": {}}]), "utf-8")
    file = config_file.read({"OROBSERVE_CONFIG": str(tmp_path / "f.toml")})
    assert file is not None
    assert file.values["destinations"] == [
        {"type": "x", "a b": [1, True, {"k": 0.5}], "config": {"t": "é\n?", "e": {}}},
        {"type": "y"},
    ]


@pytest.mark.parametrize("name", ["bigquery", "clickhouse", "postgres", "snowflake"])
def test_the_table_of_a_warehouse(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """It needs neither the settings of the destination nor a package of the product's."""
    statement = run(capsys, "ddl", name)
    assert statement.startswith("CREATE TABLE IF NOT EXISTS")
    assert statement.endswith(";\n")
    assert statement.upper().count("TOTAL_COST") == 1
    assert json.loads(run(capsys, "ddl", name, "--json")) == {"type": name, "ddl": statement[:-2]}


def test_the_table_that_the_file_and_the_environment_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ['type = "clickhouse"', 'name = "costs"', 'config = { database = "$CH_DATABASE", Table = "calls" }']
    (tmp_path / "orobserve.toml").write_text("\n".join(["[[destinations]]", *lines]))
    monkeypatch.setenv("CH_DATABASE", "telemetry")
    for name in ("costs", "clickhouse"):
        assert "CREATE TABLE IF NOT EXISTS `telemetry`.`calls` (" in run(capsys, "ddl", name)


def test_what_writes_to_no_table_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    error = run(capsys, "ddl", "webhook", status=2)
    assert "'webhook'" in error
    assert "clickhouse" in error
