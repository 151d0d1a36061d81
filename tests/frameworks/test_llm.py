"""The `llm` command with llm-openrouter, whose fixed address is replaced by the simulator's."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.frameworks.conftest import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.frameworks.conftest import Books


@pytest.fixture(autouse=True)
def _models(books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    definition = {"id": MODEL, "architecture": {"input_modalities": ["text"]}, "supported_parameters": []}
    (tmp_path / "openrouter_models.json").write_text(json.dumps({"data": [definition]}))
    monkeypatch.setenv("OPENROUTER_KEY", "k")
    import llm_openrouter

    for kind in (llm_openrouter.OpenRouterResponses, llm_openrouter.OpenRouterAsyncResponses):
        monkeypatch.setattr(kind, "api_base", property(lambda _: books.url, lambda *_: None), raising=False)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_command(streamed: bool, books: Books) -> None:
    from click.testing import CliRunner
    from llm.cli import cli

    arguments = ["prompt", "-m", f"openrouter/{MODEL}", "hello there", *([] if streamed else ["--no-stream"])]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert result.output.strip()
    books.agree(streamed, api="responses")


@pytest.mark.parametrize("streamed", [False, True])
def test_async(streamed: bool, books: Books) -> None:
    import llm

    async def call() -> str:
        return await llm.get_async_model(f"openrouter/{MODEL}").prompt("hello there", stream=streamed).text()

    assert asyncio.run(call())
    books.agree(streamed, api="responses")
