"""Which environment has which frameworks, and what each test needs: nothing of theirs goes to the internet."""

from __future__ import annotations

import gc
import os
import warnings
from dataclasses import dataclass
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve.testing import Simulator
    from tests.conftest import Telemetry

# crewai and llama-index want the last generation of openai's client, the others take the newest.
FILES = {
    "frameworks": {
        "test_dspy.py",
        "test_haystack.py",
        "test_instructor.py",
        "test_litellm.py",
        "test_llm.py",
        "test_openai_agents.py",
        "test_openai_aiohttp.py",
        "test_smolagents.py",
    },
    "frameworks-openai2": {"test_crewai.py", "test_llama_index.py"},
}
# Under tox only the environment made for them runs these, and there a missing package is a failure.
_GUESS = "frameworks" if find_spec("dspy") else "frameworks-openai2" if find_spec("crewai") else "main"
MINE = FILES.get(os.environ.get("TOX_ENV_NAME") or _GUESS, set())
collect_ignore = sorted({path.name for path in Path(__file__).parent.glob("test_*.py")} - MINE)

MODEL = "openai/gpt-4o"
TURN = [{"role": "user", "content": "hello there"}]


def pytest_sessionfinish() -> None:
    """Let go of the clients that frameworks never close, before pytest would take their complaints for failures."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(5):
            gc.collect()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # of other people's packages


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_STORAGE_DIR": str(tmp_path),
        "CREWAI_TRACING_ENABLED": "false",
        "DSPY_CACHEDIR": str(tmp_path),
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LLM_USER_PATH": str(tmp_path),
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "OPENROUTER_API_KEY": "k",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@dataclass
class Books:
    """The simulator's books, and what was told of the calls."""

    sim: Simulator
    telemetry: Telemetry
    records: Callable[[], list[Any]]

    @property
    def url(self) -> str:
        """The base URL."""
        return self.sim.url

    def agree(self, *streamed: bool, api: str = "chat_completions") -> None:
        """See that these calls were made, and that each has one record and one span that agree with the bill."""
        entries, found = self.sim.ledger.entries(), {record.id: record for record in self.records()}
        assert len(entries) == len(self.records()) == len(self.telemetry.spans) == len(streamed)
        assert len(self.sim.inference_calls) == len(streamed), "a call was made that no record tells of"
        for entry, is_streamed in zip(entries, streamed, strict=True):
            answer, tokens = entry.answer, entry.answer.tokens
            record = found[answer.generation_id]
            assert record.outcome.value == "complete"
            assert (record.api_type, record.model) == (api, answer.model)
            assert (record.usage.input_tokens, record.usage.output_tokens) == (tokens.prompt, tokens.completion)
            assert (record.stream is not None) is is_streamed
        assert sum(Decimal(repr(record.cost.total)) for record in found.values()) == self.sim.bill > 0
        assert {span.attributes[names.PROVIDER_NAME] for span in self.telemetry.spans} == {"openrouter"}
        assert self.telemetry.in_flight == 0


@pytest.fixture
def books(sim: Simulator, telemetry: Telemetry, records: Callable[[], list[Any]]) -> Iterator[Books]:
    telemetry.instrument(hosts=["127.0.0.1"])
    return Books(sim, telemetry, records)
