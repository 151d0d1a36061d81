"""Settings: arguments, environment, defaults; and what happens to wrong ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import orobserve
from orobserve import ConfigurationError, config
from orobserve.capture import _patches

if TYPE_CHECKING:
    from pathlib import Path


def test_arguments_win_over_the_environment_and_that_over_defaults() -> None:
    environ = {"OROBSERVE_WHEN_NESTED": "off", "OROBSERVE_METRIC_LIMIT": "7", "OROBSERVE_HOSTS": "a.example, b:81"}
    loaded = config.load({"when_nested": "span"}, environ)
    assert (loaded.when_nested, loaded.metric_limit, loaded.hosts) == ("span", 7, ("a.example", "b:81"))
    assert config.load({}, {}).when_nested == "enrich"


def test_the_typed_settings_are_the_settings() -> None:
    assert set(config.Settings.__annotations__) == set(config.setting_fields())
    assert all(setting.metadata["help"] for setting in config.setting_fields().values())


@pytest.mark.parametrize(
    ("raw", "bytes_"), [(0, 0), (5, 5), ("500MB", 5 * 10**8), ("2 gb", 2 * 10**9), ("1KiB", 1024), ("77", 77)]
)
def test_sizes(raw: object, bytes_: int) -> None:
    assert config.load({"ledger_size": raw}, {}).ledger_size == bytes_


@pytest.mark.parametrize(
    ("raw", "mode"),
    [
        ("NO_CONTENT", "no_content"),
        ("span_only", "span_only"),
        ("EVENT_ONLY", "event_only"),
        ("Span_And_Event", "span_and_event"),
        ("true", "span_only"),
        ("False", "no_content"),
    ],
)
def test_the_conventions_own_content_variable_counts(raw: str, mode: str) -> None:
    assert config.load({}, {"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": raw}).content == mode
    assert config.load({"content": "event_only"}, {config.CONTENT_VARIABLE: raw}).content == "event_only"


def test_the_next_conventions_never_meet_the_compatible_cost() -> None:
    assert config.load({"semconv": "next"}, {}).compat == ()
    assert config.load({"semconv": "stable+next"}, {}).compat == ()
    assert config.load({}, {}).compat == ("cost",)


WRONG: list[tuple[dict[str, Any], list[str]]] = [
    ({"hosts": 42}, ["hosts=42", "host:port", "OROBSERVE_HOSTS="]),
    ({"hosts": ["http://"]}, ["hosts=['http://']", "names no host"]),
    ({"hosts": ["a:99999"]}, ["a:99999"]),
    ({"hosts": ["two words"]}, ["two words"]),
    ({"content": "everything"}, ["content='everything'", "'span_only'"]),
    ({"when_nested": "enrch"}, ["when_nested='enrch'", "use 'enrich'"]),
    ({"console": "maybe"}, ["console='maybe'", "true or false"]),
    ({"content_limit": -1}, ["content_limit=-1", "0 or more"]),
    ({"metric_limit": "many"}, ["metric_limit='many'"]),
    ({"metric_tags": ["team lead"]}, ["metric_tags=['team lead']", "letters, digits and _"]),
    ({"metric_tags": list("abcdefghi")}, ["metric_tags=", "up to 8 names"]),
    ({"prometheus_port": 0}, ["prometheus_port=0", "1 to 65535", "prometheus_port=9464"]),
    ({"prometheus_port": "x"}, ["prometheus_port='x'"]),
    ({"prometheus_port": 65536}, ["prometheus_port=65536"]),
    ({"prometheus_host": "http://a"}, ["prometheus_host='http://a'", "a host's name"]),
    ({"metadata_limit": True}, ["metadata_limit=True"]),
    ({"mask": "hide"}, ["mask='hide'", "a function"]),
    ({"api_key_labels": ["x"]}, ["api_key_labels=['x']", "dict"]),
    ({"compat": "costs"}, ["compat='costs'", "use 'cost'"]),
    ({"semconv": 7}, ["semconv=7", "'stable'"]),
    ({"destinations": ["langfuze"]}, ["destinations='langfuze'", "did you mean langfuse?"]),
    ({"destinations": 3}, ["destinations=3", "a list of names"]),
    ({"ledger": 3}, ["ledger=3", "the path of a file"]),
    ({"ledger": ""}, ["ledger=''", "the path of a file"]),
    ({"ledger_size": "much"}, ["ledger_size='much'", "500MB"]),
    ({"ledger_size": -1}, ["ledger_size=-1", "bytes"]),
    ({"ledger_days": 1.5}, ["ledger_days=1.5", "a whole number"]),
    ({"hostz": []}, ["hostz=[]", "did you mean hosts?"]),
    ({"zzz": 1}, ["zzz=1", "check its spelling"]),
]


@pytest.mark.parametrize(("given", "said"), WRONG, ids=lambda value: str(value)[:40])
def test_a_wrong_setting_says_what_is_wrong(given: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        orobserve.instrument(**given)
    message = str(caught.value)
    for part in [*said, "Allowed: ", "Fix: "]:
        assert part in message
    assert caught.value.setting in given


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OROBSERVE_HOST", "x", "did you mean OROBSERVE_HOSTS?"),
        ("OROBSERVE_CONSOLE", "perhaps", "OROBSERVE_CONSOLE='perhaps'"),
        ("OROBSERVE_ENRICHMENT_DEADLINE", "long", "a number above 0"),
        ("OROBSERVE_ENRICHMENT_RATE", "0", "a number above 0"),
        ("OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT", "x", "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT='x'"),
        ("OROBSERVE_KEY", "sk-or-v1-0123456789abcdef", "[REDACTED]"),
    ],
)
def test_a_wrong_variable_says_what_is_wrong(name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        orobserve.instrument()
    assert said in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


def test_a_wrong_setting_leaves_everything_as_it_was() -> None:
    import httpx

    before = httpx.Client.send
    with pytest.raises(ConfigurationError):
        orobserve.instrument(hosts=42)
    assert httpx.Client.send is before


def test_the_older_conventions_opt_in_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
    orobserve.instrument()


def test_an_empty_variable_is_no_setting() -> None:
    assert config.load({}, {"OROBSERVE_CONSOLE": "", "OROBSERVE_METRIC_LIMIT": ""}) == config.Config()


def test_a_second_call_replaces_the_settings_and_a_wrong_one_does_not() -> None:
    orobserve.instrument(hosts=["a.test"])
    first = _patches._current[-1]
    with pytest.raises(ConfigurationError):
        orobserve.instrument(hosts=42)
    assert _patches._current[-1] is first
    orobserve.instrument(hosts=["b.test"])
    second = _patches._current[-1]
    assert second is not None
    assert (second.knows("b.test"), second.knows("a.test")) == (True, False)


def in_file(folder: Path, text: str, **environ: str) -> config.Config:
    path = folder / "settings.toml"
    path.write_text(text, "utf-8")
    return config.load({}, {"OROBSERVE_CONFIG": str(path), **environ})


def test_arguments_win_over_the_environment_that_over_the_file_and_that_over_defaults(tmp_path: Path) -> None:
    text = (
        'hosts = ["of.file"]\nmetric_limit = 3\nwhen_nested = "off"\nidentity = false\n[api_key_labels]\nab = "team"\n'
    )
    (tmp_path / "f.toml").write_text(text)
    environ = {
        "OROBSERVE_CONFIG": str(tmp_path / "f.toml"),
        "OROBSERVE_METRIC_LIMIT": "4",
        "OROBSERVE_WHEN_NESTED": "enrich",
    }
    loaded = config.load({"when_nested": "span"}, environ)
    assert (loaded.when_nested, loaded.metric_limit, loaded.hosts) == ("span", 4, ("of.file",))
    assert (loaded.identity, loaded.api_key_labels, loaded.compat) == (False, {"ab": "team"}, ("cost",))


def test_the_file_of_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert config.load({}, {}) == config.Config()
    (tmp_path / "orobserve.toml").write_text('semconv = "next"\ndestinations = ["console"]\n')
    loaded = config.load({}, {})
    assert (loaded.semconv, loaded.compat, [found.type for found in loaded.destinations]) == ("next", (), ["console"])
    assert config.load({}, {"OROBSERVE_CONFIG": ""}) == loaded  # an empty variable is no setting


DESTINATIONS = """
metric_limit = 3

[[destinations]]
type = "console"

[[destinations]]
type = "honeycomb"
sampling_rate = 0.5

[destinations.config]
apiKey = "$HONEY"

[[destinations.filter_rules.groups]]
rules = [{ field = "model", operator = "exists" }]
"""


def test_the_files_destinations_yield_to_those_of_the_environment_and_of_the_call(tmp_path: Path) -> None:
    first, second = in_file(tmp_path, DESTINATIONS, HONEY="secret-of-honeycomb").destinations
    assert (first.name, second.config["api_key"], second.sampling_rate) == ("console", "secret-of-honeycomb", 0.5)
    assert second.filter_rules is not None
    environ = {"OROBSERVE_CONFIG": str(tmp_path / "settings.toml"), "OROBSERVE_DESTINATIONS": "console, console"}
    assert [found.name for found in config.load({}, environ).destinations] == ["console", "console-2"]
    assert config.load({"destinations": []}, environ).destinations == ()
    assert "secret-of" not in repr(in_file(tmp_path, DESTINATIONS, HONEY="secret-of-honeycomb"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("metric_limit = 3\nhosts = 42", 2, "hosts=42"),
        ("hostz = []", 1, "did you mean hosts?"),
        ('mask = "hide"', 1, "only code can"),
        ('\ntracer_provider = "x"', 2, "only code can"),
        ("metric_limit = ]", None, "line 1"),
        (DESTINATIONS, 12, "export HONEY="),
        (DESTINATIONS.replace("0.5", "5"), 9, "sampling_rate=5"),
        (DESTINATIONS.replace("exists", "is"), 15, "filter_rules.groups[0].rules[0].operator"),
        (DESTINATIONS.replace('"honeycomb"', '"honeycom"'), 8, "did you mean honeycomb?"),
        ('[[destinations]]\nname = "x"', 1, "say which product"),
        ('[[destinations]]\ntype = "console"\nmask = "hide"', 3, "mask_patterns"),
        ('destinations = ["consol"]', 1, "did you mean console?"),
    ],
)
def test_a_wrong_setting_of_the_file_says_where(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        in_file(tmp_path, text)
    message = str(caught.value)
    assert said in message
    assert message.startswith(f"{tmp_path / 'settings.toml'}{f', line {line}: ' if line else '='}")


@pytest.mark.parametrize("make", ["missing", "directory", "latin"])
def test_a_file_that_cannot_be_read(tmp_path: Path, make: str) -> None:
    path = tmp_path / make
    if make == "directory":
        path.mkdir()
    if make == "latin":
        path.write_bytes(b"hosts = ['\xe9']")
    with pytest.raises(ConfigurationError, match=r"OROBSERVE_CONFIG=|Allowed: TOML in UTF-8"):
        config.load({}, {"OROBSERVE_CONFIG": str(path)})
