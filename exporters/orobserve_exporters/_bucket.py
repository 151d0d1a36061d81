"""A bucket that objects are written to, by obstore or by boto3. Knows neither keys nor what is in an object."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from orobserve_exporters._aws import CONNECT_TIMEOUT, TIMEOUT, Failure, boto3_client, boto3_errors, boto3_failure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INSTALL = "pip install 'orobserve[s3]'"
_AT_ONCE = 32  # requests of obstore
_THREADS = 8  # of boto3
_CONFLICT = 409  # somebody writes the same object at this moment
_THERE = frozenset({304, 412})
_STATUS = re.compile(r"(?:status code: |with status )(\d{3})")
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_REDIRECT = "redirect without LOCATION"
_LOOKUP = re.compile(
    r"performing \w+ https?://(?:169\.254\.|\[fd00:ec2:|[^/\s]+/latest/(?:api|meta-data)/)"
)  # of a role


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What is written. `create` leaves an object alone that is there already; `count` is of the generations in it.

    `size` is in bytes before compression; None if there was none.
    """

    key: str
    body: bytes
    media_type: str
    create: bool = True
    count: int = 1
    size: int | None = None


class Bucket(Protocol):
    """Writes objects, several at a time."""

    def put(self, objects: Sequence[Object]) -> list[Failure | None]:
        """Return what each failed with; None is written, or there already."""

    def close(self) -> None:
        """Give back connections."""


def opened(config: Mapping[str, Any]) -> Bucket:
    """Return the bucket of the settings: by obstore, or by boto3 where only that is there and works.

    Raises:
        ValueError: neither is.
    """
    forked = ObstoreBucket.process not in {None, os.getpid()}
    with suppress(ImportError):
        if not forked:
            return ObstoreBucket(config)
    needs = f"obstore ({INSTALL}) or boto3"
    if forked:
        needs = "boto3 in a process that was forked after objects had been sent: obstore does not work there"
    return Boto3Bucket(boto3_client("s3", config, needs), config["bucket_name"])


class ObstoreBucket:
    """By obstore, which makes one attempt and does not wait: patience is delivery's.

    Its threads do not survive a fork, and a child would wait for them for ever: `process` is where they are.
    """

    process: ClassVar[int | None] = None

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._obstore, self._errors = import_module("obstore"), import_module("obstore.exceptions")
        endpoint, bucket = config["endpoint"], config["bucket_name"]
        given = {
            name: config[name]
            for name in ("access_key_id", "secret_access_key", "session_token", "region", "endpoint")
            if config[name]
        }
        options: dict[str, Any] = {
            "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT),
            "timeout": timedelta(seconds=TIMEOUT),
            "allow_http": str(endpoint or "").startswith("http:"),
        }
        if config.get("headers"):
            options["default_headers"] = dict(config["headers"])
        try:
            self._store = import_module("obstore.store").S3Store(
                bucket,
                virtual_hosted_style_request=not endpoint and "." not in bucket,  # a dot is not in the certificate
                client_options=options,
                retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=TIMEOUT)},
                **given,
            )
        except self._errors.BaseError as error:  # it reads all AWS_* variables
            raise ValueError(f"obstore does not take the settings, or an AWS_* variable ({_kind(error)})") from None

    def put(self, objects: Sequence[Object]) -> list[Failure | None]:
        """Write, without threads of Python's, which cannot be started while the interpreter ends."""
        ObstoreBucket.process = os.getpid()
        return asyncio.run(self._put(objects))

    def close(self) -> None:
        """Do nothing: connections belong to the store, which is let go."""

    async def _put(self, objects: Sequence[Object]) -> list[Failure | None]:
        room = asyncio.Semaphore(_AT_ONCE)
        return await asyncio.gather(*(self._put_one(item, room) for item in objects))

    async def _put_one(self, item: Object, room: asyncio.Semaphore) -> Failure | None:
        mode = "create" if item.create else "overwrite"
        async with room:
            try:
                await self._obstore.put_async(
                    self._store, item.key, item.body, attributes={"Content-Type": item.media_type}, mode=mode
                )
            except (self._errors.BaseError, OSError) as error:
                failure = _obstore_failure(error)
                there = isinstance(error, self._errors.AlreadyExistsError) and failure.status != _CONFLICT
                return None if there else failure
        return None


class Boto3Bucket:
    """By a client of boto3, which may be used by several threads."""

    def __init__(self, client: Any, bucket: str) -> None:  # noqa: ANN401 - boto3 has no types
        self._client, self._bucket, self._errors = client, bucket, boto3_errors()

    def put(self, objects: Sequence[Object]) -> list[Failure | None]:
        """Write with some threads; or with this one alone, if the interpreter is ending."""
        found: list[Failure | None] = [Failure(code="Unfinished")] * len(objects)
        left = deque(enumerate(objects))

        def work() -> None:
            while True:
                try:
                    index, item = left.popleft()
                except IndexError:
                    return
                found[index] = self._put_one(item)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(min(_THREADS, len(objects)) - 1)]
        with suppress(RuntimeError):
            for thread in threads:
                thread.start()
        work()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        return found

    def close(self) -> None:
        """Close the connections; they are opened anew if they are needed."""
        self._client.close()

    def _put_one(self, item: Object) -> Failure | None:
        condition = {"IfNoneMatch": "*"} if item.create else {}
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=item.key, Body=item.body, ContentType=item.media_type, **condition
            )
        except self._errors as error:
            failure = boto3_failure(error)
            return None if item.create and failure.status in _THERE else failure
        return None


def _obstore_failure(error: BaseException) -> Failure:
    """Return status and code, which obstore has only in its text."""
    text = str(error)
    status, code = _STATUS.search(text), _CODE.search(text)
    if _LOOKUP.search(text):
        return Failure(code="NoCredentials")
    if _REDIRECT in text:
        return Failure(status=301)
    kind = None if status else _kind(error)
    return Failure(code=code[1] if code else kind, status=int(status[1]) if status else None)


def _kind(error: BaseException) -> str:
    return type(error).__name__
