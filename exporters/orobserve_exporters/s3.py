"""Amazon S3 and stores that are compatible with it: one JSON object per generation, or a compressed file per batch.

Keys and contents are Broadcast's, with two differences: names have milliseconds and the generation id, since two
generations of one trace that end in the same second would have the same key otherwise. Objects are only created, never
written over, so that a repetition changes nothing; only what became known of a call later replaces its object.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import Self

from orobserve.delivery import DirectExporter, Field, Limits, Result, Verdict
from orobserve_exporters._aws import CREDENTIALS, Advice, Failure, check_access, judge
from orobserve_exporters._bucket import Boto3Bucket, Bucket, Object, opened
from orobserve_exporters._documents import trace_object
from orobserve_exporters._object_key import Folders, join, milliseconds, object_name
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orobserve.generation import Generation

_JSON, _GZIP = "application/json", "application/gzip"
_TEMPLATE, _PREFIX = "{prefix}/{date}", "openrouter-traces"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_MARKER = ".orobserve-test"
_FILES = Limits(items=1000, bytes=64_000_000, linger=5.0)  # before compression
_REFUSES_CONDITION = frozenset({400, 501})


class S3(DirectExporter):
    """A bucket. Its settings are those of Broadcast; `with_client` takes a boto3 client instead of keys."""

    TYPE = "s3"
    TITLE = "Amazon S3, or compatible"
    FIELDS = (
        Field(name="bucket_name", help="bucket", required=True),
        *CREDENTIALS,
        Field(
            name="endpoint",
            help="address of a compatible store, such as https://<account>.r2.cloudflarestorage.com; not of AWS",
            env=("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
        ),
        Field(name="prefix", help="value of {prefix}", default=_PREFIX),
        Field(
            name="path_template",
            help="folder, of {prefix} {date} {year} {month} {day} {apiKeyName}",
            default=_TEMPLATE,
        ),
        Field(
            name="format",
            help="object: one JSON object per generation; jsonl: one .jsonl.gz per batch",
            default="object",
            choices=("object", "jsonl"),
        ),
    )
    LIMITS = Limits(items=100, bytes=_FILES.bytes)

    def __init__(self, config: Mapping[str, Any], client: Any = None) -> None:  # noqa: ANN401 - boto3 has no types
        """Take the settings, and a boto3 client that is used instead of what they say of credentials."""
        super().__init__(config)
        self._folders = Folders(config["path_template"], config["prefix"])
        self._in_files = config["format"] == "jsonl"
        self.UPDATES = not self._in_files
        if self._in_files:
            self.LIMITS = _FILES
        self._conditional = True  # until the store is found not to know "create only"
        self._given = None if client is None else Boto3Bucket(client, config["bucket_name"])
        if self._given is None:
            check_access(config)
            if not _NAME.fullmatch(config["bucket_name"]):
                raise ValueError("bucket_name must be the name of a bucket, and no ARN or address")
        self._bucket: Bucket = self._given or opened(config)
        self._process = os.getpid()
        place = join(f"arn:aws:s3:::{config['bucket_name']}", join(self._folders.root, "*"))
        self._advice = Advice(
            denied=f"access is denied: allow s3:PutObject on {place}",
            absent="there is no such bucket: check bucket_name, then region and endpoint",
        )

    @classmethod
    def with_client(
        cls,
        client: Any,  # noqa: ANN401 - boto3 has no types
        bucket_name: str,
        *,
        prefix: str = _PREFIX,
        path_template: str = _TEMPLATE,
        format: Literal["object", "jsonl"] = "object",  # noqa: A002 - the setting's name
    ) -> Self:
        """Return an exporter for `instrument(destinations=[...])` that writes with your own boto3 client.

        Args:
            client: `boto3.client("s3")`, with whatever credentials and retries you like. Like all clients of boto3, it
                serves the process that made it, not one that is forked from it.
            bucket_name: the bucket.
            prefix: as in the settings.
            path_template: as in the settings.
            format: as in the settings.
        """
        given = {"bucket_name": bucket_name, "prefix": prefix, "path_template": path_template, "format": format}
        return cls({**{field.name: field.default for field in cls.FIELDS}, **given}, client)

    def objects(self, batch: Sequence[Generation]) -> list[Object]:
        """Return what is written for a batch; of two records of one call, the later one."""
        if self._in_files:
            return self._files(batch)
        found: dict[str, Object] = {}
        for generation in sorted(batch, key=_is_late):
            key = join(self._folders.of(generation), object_name(generation))
            count = found[key].count + 1 if key in found else 1
            body = as_json(trace_object(generation)).encode()
            found[key] = Object(key=key, body=body, media_type=_JSON, create=not _is_late(generation), count=count)
        return list(found.values())

    def payloads(self, batch: Sequence[Generation]) -> list[bytes]:
        """Return the bodies of what is written."""
        return [item.body for item in self.objects(batch)]

    def export(self, batch: Sequence[Generation]) -> Result:
        """Write; what is there already was written by an attempt before this one."""
        objects = self.objects(batch)
        if len(batch) > 1 and sum(item.size or len(item.body) for item in objects) > self.LIMITS.bytes:
            return Result(verdict=Verdict.TOO_LARGE, reason="the objects of a batch take too much memory")
        return self._written(objects)

    def check(self) -> Result:
        """Create a small marker beside the folders, which needs no right but that of writing."""
        marker = Object(key=join(self._folders.root, _MARKER), body=b"{}\n", media_type=_JSON)
        return self._written([marker])

    def close(self) -> None:
        """Give back connections, except those of a client that was given."""
        if self._given is None:
            self._bucket.close()

    def _files(self, batch: Sequence[Generation]) -> list[Object]:
        """Return a file for each folder. Its name tells its content, so that a repetition writes the same one."""
        folders: dict[str, list[Generation]] = {}
        for generation in batch:
            folders.setdefault(self._folders.of(generation), []).append(generation)
        found = []
        for folder, generations in folders.items():
            lines = "".join(f"{as_json(trace_object(generation))}\n" for generation in generations).encode()
            name = f"{milliseconds(generations[0])}-{hashlib.sha256(lines).hexdigest()[:16]}.jsonl.gz"
            body = gzip.compress(lines, mtime=0)
            found.append(
                Object(key=join(folder, name), body=body, media_type=_GZIP, count=len(generations), size=len(lines))
            )
        return found

    def _written(self, objects: Sequence[Object]) -> Result:
        """Write, and return what became of it: what may be written later is more important than what never will."""
        if self._given is None and self._process != os.getpid():  # a client's connections are the parent's
            try:
                self._bucket = opened(self.config)
            except ValueError as error:
                return Result(verdict=Verdict.REJECTED, reason=str(error))
            self._process = os.getpid()
        lost, reason = 0, ""
        for item, failure in zip(objects, self._put(objects), strict=True):
            result = judge(failure, self._advice) if failure else None
            if result and result.verdict is Verdict.RETRY:
                return result
            if result:
                lost, reason = lost + item.count, result.reason
        verdict = Verdict.REJECTED if lost == sum(item.count for item in objects) else Verdict.DELIVERED
        return Result(verdict=verdict, rejected=lost if verdict is Verdict.DELIVERED else 0, reason=reason)

    def _put(self, objects: Sequence[Object]) -> list[Failure | None]:
        """Return what each object failed with. A store that does not know the condition is asked without it."""
        if not self._conditional:
            return self._bucket.put(_unconditional(objects))
        found = self._bucket.put(objects)
        refused = [
            index
            for index, failure in enumerate(found)
            if failure and failure.status in _REFUSES_CONDITION and objects[index].create
        ]
        if refused:
            first, *rest = (objects[index] for index in refused)
            again = self._bucket.put(_unconditional([first]))
            if again == [None]:  # it was the condition
                self._conditional = False
                again += self._bucket.put(_unconditional(rest))
            for index, failure in zip(refused, again, strict=False):
                found[index] = failure
        return found


def _is_late(generation: Generation) -> bool:
    return bool(generation.enrichment and generation.enrichment.is_late)


def _unconditional(objects: Sequence[Object]) -> list[Object]:
    return [replace(item, create=False) for item in objects]
