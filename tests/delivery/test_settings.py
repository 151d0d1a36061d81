"""Destinations as users write them: names, Broadcast's objects, exporters; and what happens to wrong ones."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from orobserve import ConfigurationError, config
from orobserve.delivery import DirectExporter, Exporter, Field, settings
from orobserve.delivery.settings import DestinationSettings, Shared, resolve

SECRET = "very-secret-value"


class Plain(DirectExporter):
    TYPE = "plain"
    TITLE = "Plain"


class Rich(DirectExporter):
    TYPE = "rich-one"
    TITLE = "Rich"
    FIELDS = (
        Field(name="api_key", help="its key", required=True, secret=True, env=("RICH_API_KEY", "RICH_KEY")),
        Field(name="base_url", help="where it is", default="https://rich.test"),
        Field(name="region", help="us or eu", default="us", choices=("us", "eu")),
        Field(name="account", help="a name or number"),
        Field(name="size", help="how many", kind=int),
        Field(name="ratio", help="how much", kind=float),
        Field(name="loud", help="whether", kind=bool),
        Field(name="labels", help="words", kind=dict, env=("RICH_LABELS",)),
        Field(name="pin", help="a number that is a secret", kind=int, secret=True),
        Field(name="token_kind", help="a choice that is a secret", secret=True, choices=("a", "b")),
    )

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config["size"] == 13:
            raise ValueError(f"size 13 does not go with {config['api_key']}")


class Needy(DirectExporter):
    TYPE = "needy"
    TITLE = "Needy"
    PRIVATE = True
    FIELDS = (Field(name="dsn", help="its address", required=True, secret=True),)


def missing() -> type[Exporter]:
    raise ModuleNotFoundError("No module named 'heavy'")


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {kind.TYPE: SimpleNamespace(load=lambda kind=kind: kind) for kind in (Plain, Rich, Needy)}
    points["absent"] = SimpleNamespace(load=missing)
    monkeypatch.setattr(settings, "installed", lambda: points)


def resolved(value: object, **environ: str) -> tuple[DestinationSettings, ...]:
    return resolve("destinations", value, Shared(environ=environ))


def rich(config: dict[str, Any], /, **environ: str) -> Any:
    (found,) = resolved({"type": "rich-one", "config": {"api_key": SECRET, **config}}, **environ)
    return found.config


def refused(value: object, **environ: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        resolved(value, **environ)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__) + repr(caught.value.args)
    return caught.value


@pytest.mark.parametrize("value", [["plain", "rich-one"], "plain, Rich_One", ("plain", {"type": "rich-one"})])
def test_names_find_their_variables(value: object) -> None:
    first, second = resolved(value, RICH_KEY=SECRET)
    assert (first.type, first.name, first.exporter, dict(first.config)) == ("plain", "plain", Plain, {})
    assert second.config["api_key"] == SECRET
    assert second.config["base_url"] == "https://rich.test"
    assert second.config["account"] is None
    assert set(second.config) == {entry.name for entry in Rich.FIELDS}
    assert isinstance(second.make(), Rich)
    assert SECRET not in repr(second)


def test_a_destination_object_of_broadcast_works() -> None:
    (found,) = resolved(
        {
            "id": "99999999-aaaa-bbbb-cccc-dddddddddddd",
            "workspace_id": "550e8400-e29b-41d4-a716-446655440000",
            "created_at": "2025-08-24T10:30:00Z",
            "updated_at": "2025-08-24T15:45:00Z",
            "type": "rich-one",
            "name": "Production Rich",
            "enabled": True,
            "privacy_mode": False,
            "sampling_rate": 0.25,
            "api_key_hashes": None,
            "filter_rules": None,
            "broadcast_generation_cost": True,
            "broadcast_generation_identity": False,
            "broadcastGenerationRequestContext": True,
            "config": {"apiKey": "$RICH_SECRET", "baseUrl": "https://${HOST}/x", "headers": {"X-A": "Bearer ${HOST}"}},
        },
        RICH_SECRET=SECRET,
        HOST="h.test",
    )
    assert (found.name, found.sampling_rate, found.api_key_hashes) == ("Production Rich", 0.25, None)
    assert found.broadcast_generation_cost
    assert found.broadcast_generation_request_context
    assert not found.broadcast_generation_identity
    assert found.config["base_url"] == "https://h.test/x"
    assert found.config["headers"] == {"X-A": "Bearer h.test"}


def test_exporters_are_taken_as_they_are() -> None:
    ready = Plain({})
    first, second = resolved([ready, {"exporter": ready, "privacy_mode": True, "name": "quiet"}])
    assert first.make() is second.make() is ready
    assert (first.name, second.name, second.privacy_mode) == ("plain", "quiet", True)
    assert resolved(ready)[0].ready is ready


def test_names_are_distinct() -> None:
    given = ["plain", "plain", {"type": "plain", "name": "plain-2"}, "plain"]
    assert [found.name for found in resolved(given)] == ["plain", "plain-3", "plain-2", "plain-4"]
    error = refused([{"type": "plain", "name": "a"}, {"type": "plain", "name": "a"}])
    assert error.setting == "destinations[1].name"


def test_what_is_switched_off_needs_nothing() -> None:
    (found,) = resolved({"type": "rich-one", "enabled": False, "config": {"apiKey": "sk-...AbCd"}})
    assert (found.enabled, dict(found.config), found.wants_content) == (False, {}, False)


def test_a_private_exporter_gets_no_content_unless_told() -> None:
    given = {"type": "needy", "config": {"dsn": "x"}}
    first, second = resolved([given, {**given, "privacy_mode": False}])
    assert (first.privacy_mode, second.privacy_mode) == (True, False)
    assert (first.wants_content, second.wants_content) == (False, True)
    rules = {"groups": [{"rules": [{"field": "output", "operator": "exists"}]}]}
    assert resolved({**given, "filter_rules": rules})[0].wants_content


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("account", 123456, "123456"),
        ("size", "12", 12),
        ("ratio", "1.5", 1.5),
        ("loud", "yes", True),
        ("loud", False, False),
        ("region", "eu", "eu"),
        ("base_url", "", "https://rich.test"),
        ("base_url", "https://x/a...b", "https://x/a...b"),  # no secret has a slash
        ("labels", {"a": 1, "b": "$B"}, {"a": "1", "b": "two"}),
        ("labels", '{"a": "1"}', {"a": "1"}),
        ("labels", "a=1, b=x%20y", {"a": "1", "b": "x y"}),
        ("account", "pa$word", "pa$word"),
        ("pin", 7, 7),
    ],
)
def test_values_have_the_kind_of_their_field(key: str, given: Any, expected: Any) -> None:
    assert rich({key: given}, B="two")[key] == expected


def test_a_mapping_may_come_from_the_environment() -> None:
    assert rich({}, RICH_LABELS="a=1,b=2")["labels"] == {"a": "1", "b": "2"}


BAD_CONFIG: list[tuple[dict[str, Any], str, str]] = [
    ({"api_key": ""}, "api_key", "RICH_API_KEY or RICH_KEY"),
    ({"api_key": "$NOT_THERE"}, "api_key", "export NOT_THERE="),
    ({"api_key": "x${NOT_THERE}"}, "api_key", "export NOT_THERE="),
    ({"api_key": "sk-l...AbCd"}, "api_key", "RICH_API_KEY"),
    ({"apiKey": "************...AbCd"}, "apiKey", "api_key is given twice"),
    ({"account": "proj_..."}, "account", "RICH_ONE_ACCOUNT"),
    ({"account": "********"}, "account", "masked"),
    ({"account": True}, "account", "a text"),
    ({"account": [1]}, "account", "a text"),
    ({"size": "many"}, "size", "a whole number"),
    ({"ratio": "much"}, "ratio", "a number"),
    ({"loud": "perhaps"}, "loud", "true or false"),
    ({"labels": [1]}, "labels", "an object of texts"),
    ({"labels": "{"}, "labels", "an object of texts"),
    ({"labels": "a"}, "labels", "an object of texts"),
    ({"region": "uk"}, "region", "use 'us'"),
    ({"pin": SECRET}, "pin", "another kind of value than int"),
    ({"token_kind": SECRET}, "token_kind", "(not shown)"),
    ({"api_kei": SECRET}, "api_kei", "did you mean api_key?"),
    ({"headers": {"Authorization": ["x"]}}, "headers", "an object of texts"),
    ({"headers": {"X-Key": "****...AbCd"}}, "headers.X-Key", "X_KEY"),
]


@pytest.mark.parametrize(("given", "key", "said"), BAD_CONFIG, ids=lambda value: str(value)[:30])
def test_wrong_config(given: dict[str, Any], key: str, said: str) -> None:
    config = given if "api_key" in given else {"api_key": SECRET, **given}
    error = refused([{"type": "rich-one", "config": config}])
    assert error.setting == f"destinations[0].config.{key}"
    assert said in str(error)


def test_a_required_field_without_a_variable_of_its_own() -> None:
    assert 'NEEDY_DSN and give "$NEEDY_DSN"' in str(refused("needy"))


BAD: list[tuple[Any, str, str]] = [
    (3, "destinations", "a list of names"),
    ([3], "destinations[0]", "a list of names"),
    ("plein", "destinations", "did you mean plain?"),
    ({"type": "plein"}, "destinations[0].type", "did you mean plain?"),
    ({"name": "x"}, "destinations[0].type", "say which product"),
    ("absent", "destinations", "pip install 'orobserve[absent]'"),
    ({"exporter": "plain"}, "destinations[0].exporter", "an Exporter object"),
    ({"type": "plain", "config": []}, "destinations[0].config", "an object"),
    ({"type": "plain", "smapling_rate": 1}, "destinations[0].smapling_rate", "did you mean sampling_rate?"),
    ({"type": "rich-one", "apiKey": SECRET}, "destinations[0].apiKey", "write it inside config"),
    ({"type": "plain", "name": ""}, "destinations[0].name", "a text"),
    ({"type": "plain", "sampling_rate": 2}, "destinations[0].sampling_rate", "0 to 1"),
    ({"type": "plain", "sampling_rate": "x"}, "destinations[0].sampling_rate", "0 to 1"),
    ({"type": "plain", "enabled": 7}, "destinations[0].enabled", "true or false"),
    ({"type": "plain", "api_key_hashes": []}, "destinations[0].api_key_hashes", "at least one"),
    ({"type": "plain", "api_key_hashes": ["search"]}, "destinations[0].api_key_hashes", "in hex"),
    ({"type": "plain", "always_send": ["errors"]}, "destinations[0].always_send", "use 'error'"),
    ({"type": "plain", "always_send_above": -1}, "destinations[0].always_send_above", "USD"),
    ({"type": "plain", "groups_logic": "xor"}, "destinations[0].groups_logic", "'and', 'or'"),
    ({"type": "plain", "mask": "hide"}, "destinations[0].mask", "a file has mask_patterns"),
    ({"type": "plain", "mask_patterns": ["("]}, "destinations[0].mask_patterns[0]", "mend it"),
    ({"type": "plain", "filter_rules": {"groups": 3}}, "destinations[0].filter_rules.groups", "a list"),
    ({"type": "rich-one", "config": {"api_key": SECRET, "size": 13}}, "destinations[0]", "does not go with"),
]


@pytest.mark.parametrize(("given", "setting", "said"), BAD, ids=lambda value: str(value)[:40])
def test_a_wrong_destination_says_what_is_wrong(given: Any, setting: str, said: str) -> None:
    error = refused(given)
    assert error.setting == setting
    assert said in str(error)


def test_no_exporter_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "installed", dict)
    assert "none, as no exporter is installed" in str(refused("plain"))


def test_our_own_exporters_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert settings.find_exporter("OTel_Collector").TYPE == "otel-collector"
    (found,) = resolved("honeycomb", HONEYCOMB_API_KEY=SECRET)
    assert (found.config["api_key"], found.make().TITLE) == (SECRET, "Honeycomb")


def test_content_is_captured_for_those_who_get_it() -> None:
    assert config.load({"destinations": ["plain"]}, {}).wants_content
    assert not config.load({"destinations": ["plain"]}, {}).content_on_span
    assert not config.load({"destinations": {"type": "plain", "privacy_mode": True}}, {}).wants_content
    assert not config.load({"destinations": {"type": "plain", "enabled": False}}, {}).wants_content


def test_the_mask_and_the_labels_of_the_settings_reach_every_destination() -> None:
    mask, labels = (lambda content: content), {"ab": "team"}
    (found,) = config.load({"destinations": "plain", "mask": mask, "api_key_labels": labels}, {}).destinations
    assert (found.masks, found.api_key_labels) == ((mask,), labels)


def test_without_destinations_nothing_is_imported() -> None:
    code = (
        "import sys; from orobserve import config; config.load({}, {}); "
        "assert not {'httpx', 'tomllib', 'orobserve_exporters', 'orobserve.delivery.settings'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
