"""Moto, which stands in for S3 and Firehose over a real socket, started for the tests of one module on a free port.

It comes from packages that only the tox environment `warehouses` has. It keeps all in memory and takes any credentials.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from orobserve_exporters.s3 import S3
from tests.delivery.clocks import VirtualClock
from tests.delivery.servers import free_port
from tests.exporters.generations import CHAT
from tests.support.deliver import deliver as delivered
from tests.support.programs import Program, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orobserve import Generation
    from orobserve.delivery import DirectExporter, Exporter
    from orobserve.delivery.state import State

KEYS = {"access_key_id": "AKIACANARY", "secret_access_key": "canary-secret-key", "region": "us-east-1"}
STREAM_FOLDER = "records/"
CLIENTS = ("obstore", "boto3")  # of S3


def client(service: str, url: str) -> Any:
    """Return a client of boto3 as users make it, but for one attempt at everything."""
    absent = "no boto3: it is in the tox environment `warehouses`"
    boto3, botocore = (pytest.importorskip(name, reason=absent) for name in ("boto3", "botocore.config"))
    return boto3.client(
        service,
        endpoint_url=url,
        region_name=KEYS["region"],
        aws_access_key_id=KEYS["access_key_id"],
        aws_secret_access_key=KEYS["secret_access_key"],
        config=botocore.Config(retries={"total_max_attempts": 1}),
    )


@dataclass
class Moto:
    """A server, and what is in it."""

    url: str = field(default_factory=free_port)

    def client(self, service: str) -> Any:
        """Return a client of boto3."""
        return client(service, self.url)

    @property
    def settings(self) -> dict[str, Any]:
        """Keys and address."""
        return {**KEYS, "endpoint": self.url}

    def bucket(self, name: str | None = None) -> str:
        """Make a bucket."""
        name, client = name or f"calls-{uuid4().hex[:12]}", self.client("s3")
        client.create_bucket(Bucket=name)
        client.close()
        return name

    def stream(self, bucket: str) -> str:
        """Make a delivery stream into a bucket."""
        name, client = f"calls-{uuid4().hex[:12]}", self.client("firehose")
        into = {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": "arn:aws:iam::123456789012:role/x"}
        client.create_delivery_stream(
            DeliveryStreamName=name,
            DeliveryStreamType="DirectPut",
            ExtendedS3DestinationConfiguration={**into, "Prefix": STREAM_FOLDER},
        )
        client.close()
        return name

    def objects(self, bucket: str) -> dict[str, bytes]:
        """Return all objects of a bucket by key."""
        client = self.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        found = {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
        client.close()
        return found


@contextmanager
def running(folder: Path, url: str | None = None) -> Iterator[Moto]:
    """Run a server until the block ends, on a new port or on that of another one that has ended."""
    moto = Moto(url) if url else Moto()
    with server(folder, moto.url):
        yield moto


def server(folder: Path, url: str) -> Program:
    """Return the program that serves at an address."""
    command = program("moto_server")
    if command is None:
        pytest.skip("no program 'moto_server': it is in the tox environment `warehouses`")
    return Program([command, "-H", "127.0.0.1", "-p", url.rpartition(":")[2]], folder, {}, "Running on")


@contextmanager
def s3(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the settings of an S3 destination that works."""
    with running(folder) as moto:
        yield {**moto.settings, "bucket_name": moto.bucket()}


@contextmanager
def firehose(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the settings of a Firehose destination that works."""
    with running(folder) as moto:
        yield {**moto.settings, "stream_name": moto.stream(moto.bucket())}


def config(kind: type[Exporter], url: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a destination: keys, an address, and defaults."""
    defaults = {field.name: field.default for field in kind.FIELDS}
    return {**defaults, **KEYS, "endpoint": url, **settings}


@contextmanager
def made_by(name: str) -> Iterator[Callable[..., S3]]:
    """Yield what makes an S3 destination, by a client of this name, from an address, a bucket and more settings."""
    clients: list[Any] = []

    def made(url: str, bucket: str = "calls", **settings: Any) -> S3:
        if name == "obstore":
            return S3(config(S3, url, bucket_name=bucket, **settings))
        clients.append(client("s3", url))
        return S3.with_client(clients[-1], bucket, **settings)

    yield made
    for each in clients:
        each.close()


def deliver(exporter: DirectExporter, *batch: Generation, on_wait: Callable[[], None] | None = None) -> State:
    """Deliver a batch; `on_wait` is called before each further attempt."""
    clock = VirtualClock()
    clock.on_wait = on_wait
    return delivered(exporter, batch, clock=clock)


def calls(count: int) -> list[Generation]:
    """Return calls of one trace, numbered from 1 by their span ids."""
    return [replace(CHAT, id=f"gen-{n}", span_id=f"{n + 1:016x}") for n in range(count)]
