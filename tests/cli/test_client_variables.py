from __future__ import annotations

import pytest

from orobserve.cli.client_variables import led, upstream_of
from orobserve.errors import ConfigurationError

KEY, SIDECAR, UPSTREAM = "sk-or-v1-canary", "http://127.0.0.1:9999", "https://openrouter.ai"
OPENROUTER = {"OPENROUTER_BASE_URL": f"{SIDECAR}/api/v1", "OPENROUTER_API_BASE": f"{SIDECAR}/api/v1"}
OPENAI = {"OPENAI_BASE_URL": f"{SIDECAR}/api/v1", "OPENAI_API_BASE": f"{SIDECAR}/api/v1"}
ANTHROPIC = {"ANTHROPIC_BASE_URL": f"{SIDECAR}/api", "ANTHROPIC_API_KEY": ""}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(
            {"OPENROUTER_API_KEY": KEY},
            {**OPENROUTER, **OPENAI, **ANTHROPIC, "OPENAI_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": KEY},
            id="OpenRouter's key alone",
        ),
        pytest.param(
            {"ANTHROPIC_BASE_URL": "https://openrouter.ai/api", "ANTHROPIC_AUTH_TOKEN": KEY, "ANTHROPIC_API_KEY": ""},
            {**OPENROUTER, **OPENAI, **ANTHROPIC, "OPENAI_API_KEY": KEY},
            id="as OpenRouter's page on Claude Code has it",
        ),
        pytest.param(
            {"OPENAI_BASE_URL": "https://openrouter.ai/api/v1", "OPENAI_API_KEY": KEY},
            {**OPENROUTER, **OPENAI, **ANTHROPIC, "ANTHROPIC_AUTH_TOKEN": KEY},
            id="the SDK of OpenAI",
        ),
        pytest.param(
            {"OPENROUTER_API_KEY": KEY, "OPENAI_API_KEY": "sk-proj-x", "ANTHROPIC_API_KEY": "sk-ant-x"},
            OPENROUTER,
            id="keys of the vendors themselves: their programs keep talking to them",
        ),
        pytest.param(
            {
                "OPENROUTER_API_KEY": KEY,
                "OPENAI_BASE_URL": "http://localhost:11434/v1",
                "ANTHROPIC_BASE_URL": "https://api.anthropic.com",
            },
            OPENROUTER,
            id="other servers",
        ),
        pytest.param({}, OPENROUTER, id="no key: it may be in a file of the program's own"),
    ],
)
def test_who_is_led_to_the_sidecar(environ: dict[str, str], expected: dict[str, str]) -> None:
    assert led(environ, SIDECAR, UPSTREAM) == expected


def test_a_gateway_of_ones_own() -> None:
    environ = {"OPENROUTER_BASE_URL": "https://gateway.corp:8443/api/v1", "OPENROUTER_API_KEY": KEY}
    assert upstream_of(environ) == "https://gateway.corp:8443"
    given = {**environ, "OPENAI_BASE_URL": "https://gateway.corp:8443/api/v1"}
    assert led(given, SIDECAR, upstream_of(environ)).items() >= {**OPENROUTER, **OPENAI}.items()
    assert upstream_of({}) == UPSTREAM
    assert upstream_of({"OPENROUTER_API_BASE": "http://gateway.corp/llm/api/v1/"}) == "http://gateway.corp/llm"


def test_an_address_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="OPENROUTER_BASE_URL='/api/v1' cannot be used"):
        upstream_of({"OPENROUTER_BASE_URL": "/api/v1"})
