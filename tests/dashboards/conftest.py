"""The load, once for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboards import load as loads

if TYPE_CHECKING:
    from tests.dashboards.load import Load


@pytest.fixture(scope="session")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return loads.load(tmp_path_factory.mktemp("load"))
