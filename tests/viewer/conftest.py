"""A page over a ledger, served from this process on a thread of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from orobserve.viewer.serve import Page
from tests.ledger.records import stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from orobserve.generation import Generation

LABELS = {"b" * 64: "staging"}


@dataclass
class Served:
    """A running page; `client` has been let in."""

    page: Page
    path: Path
    client: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = httpx.Client(base_url=self.page.address, trust_env=False, timeout=60)
        assert self.client.get(self.page.url).status_code == 200

    def ask(self, what: str, status: int = 200, **query: Any) -> Any:
        answer = self.client.get(f"/api/{what}", params=query)
        assert answer.status_code == status, answer.text
        return answer.json()

    def add(self, *records: Generation) -> None:
        stored(self.path, records)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Return what serves a ledger with these records, or without them none at all."""
    running: list[tuple[Served, threading.Thread]] = []

    def start(records: Iterable[Generation] | None = None, path: Path | None = None) -> Served:
        path = path or tmp_path / f"ledger-{len(running)}.db"
        if records is not None:
            stored(path, records)
        page = Page(path, LABELS, port=0)
        thread = threading.Thread(target=page.run)
        thread.start()
        served = Served(page, path)
        running.append((served, thread))
        return served

    yield start
    for served, thread in running:
        served.client.close()
        served.page.server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
