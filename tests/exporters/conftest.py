"""What the tests of S3 and of Firehose share: a server of their module's own, and both clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.exporters import stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orobserve_exporters.s3 import S3
    from tests.exporters.stores import Moto


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Moto]:
    with stores.running(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def bucket(moto: Moto) -> str:
    return moto.bucket()


@pytest.fixture(params=stores.CLIENTS)
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., S3]]:
    with stores.made_by(request.param) as made:
        yield made
