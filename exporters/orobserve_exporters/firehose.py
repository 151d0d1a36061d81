"""Amazon Data Firehose: warehouse rows as JSON lines, which it writes to S3, Redshift, OpenSearch and others.

Nothing marks a record that comes twice, so what the stream has taken of a batch is remembered until it has the rest.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from operator import is_
from typing import TYPE_CHECKING, Any

from orobserve.delivery import DirectExporter, Field, Limits, Result, Verdict
from orobserve_exporters import _row
from orobserve_exporters._aws import (
    CREDENTIALS,
    Advice,
    boto3_client,
    boto3_errors,
    boto3_failure,
    check_access,
    judge,
)
from orobserve_exporters._documents import flat
from orobserve_exporters._spans import as_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orobserve.generation import Generation

INSTALL = "pip install 'orobserve[firehose]'"
_CALL_RECORDS = 500
_CALL_BYTES = 3_000_000  # 4 MiB in base64, which is how the stricter reading of the quota counts
_RECORD_BYTES = 1000 * 1024
_CONTENT_BYTES = 450_000  # of a prompt, or a completion: both fit into a record
_ABSENT = "there is no such stream: check stream_name, then region"


@dataclass(slots=True)
class _Batch:
    """A batch on its way: what the stream has not taken yet, and what it never will."""

    generations: Sequence[Generation]
    left: list[bytes] = field(default_factory=list)
    oversized: int = 0
    remark: str = ""


class Firehose(DirectExporter):
    """A delivery stream with direct puts."""

    TYPE = "firehose"
    TITLE = "Amazon Data Firehose"
    FIELDS = (
        Field(name="stream_name", help="delivery stream, of the source Direct PUT", required=True),
        *CREDENTIALS,
        Field(
            name="endpoint",
            help="address of another endpoint than the region's",
            env=("AWS_ENDPOINT_URL_FIREHOSE", "AWS_ENDPOINT_URL"),
        ),
        *_row.FIELDS,
    )
    LIMITS = Limits(items=_CALL_RECORDS)

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Take the settings.

        Raises:
            ValueError: boto3 is missing, or there is no region.
        """
        super().__init__(config)
        check_access(config)
        self._client = self._connect()
        self._process = os.getpid()
        self._errors = boto3_errors()
        self._batch = _Batch(())

    def payloads(self, batch: Sequence[Generation]) -> list[bytes]:
        """Return the records of a batch, without those that are too large even without content."""
        return self._encode(batch).left

    def export(self, batch: Sequence[Generation]) -> Result:
        """Put what is left of a batch. A part that was not taken is all that the next attempt sends."""
        if not _same(batch, self._batch.generations):
            self._batch = self._encode(batch)
        result = self._put(self._batch)
        if result.verdict is not Verdict.RETRY:
            self._batch = _Batch(())
        return result

    def check(self) -> Result:
        """Ask for the stream's state."""
        denied = "access is denied: allow firehose:PutRecordBatch on the stream, and for this test"
        advice = Advice(denied=f"{denied} firehose:DescribeDeliveryStream", absent=_ABSENT)
        try:
            answer = self._client.describe_delivery_stream(DeliveryStreamName=self.config["stream_name"], Limit=1)
        except self._errors as error:
            return judge(boto3_failure(error), advice)
        status = answer["DeliveryStreamDescription"]["DeliveryStreamStatus"]
        if status == "ACTIVE":
            return Result(verdict=Verdict.DELIVERED)
        return Result(verdict=Verdict.REJECTED, reason=f"the stream is not ACTIVE but {status}")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _connect(self) -> Any:  # noqa: ANN401 - boto3 has no types
        return boto3_client("firehose", self.config, f"boto3: {INSTALL}")

    def _encode(self, batch: Sequence[Generation]) -> _Batch:
        found = _Batch(batch)
        for generation in batch:
            record = self._record(generation)
            if len(record) > _RECORD_BYTES:
                record = self._record(replace(generation, content=None))
                found.remark = "records of more than 1000 KiB are sent without their content"
            if len(record) > _RECORD_BYTES:
                found.oversized += 1
                found.remark = "records of more than 1000 KiB are not taken"
            else:
                found.left.append(record)
        return found

    def _record(self, generation: Generation) -> bytes:
        return f"{as_json(flat(generation, self.config, _CONTENT_BYTES))}\n".encode()

    def _put(self, batch: _Batch) -> Result:
        """Put what is left, call by call, up to the first that fails as a whole."""
        if self._process != os.getpid():  # the connections are the parent's
            self._client, self._process = self._connect(), os.getpid()
        left: list[bytes] = []
        problem: Result | None = None
        calls = _calls(batch.left)
        for records in calls:
            refused, result = self._call(records)
            left += refused
            if result is not None and (problem is None or problem.verdict is not Verdict.RETRY):
                problem = result
            if len(refused) == len(records):
                left += [record for call in calls for record in call]
        batch.left = left
        if problem is not None and problem.verdict is Verdict.RETRY:
            return problem
        lost = len(left) + batch.oversized
        if problem is not None and lost == len(batch.generations):
            return problem
        return Result(verdict=Verdict.DELIVERED, rejected=lost, reason=problem.reason if problem else batch.remark)

    def _call(self, records: list[bytes]) -> tuple[list[bytes], Result | None]:
        """Return the records that are not taken, and why."""
        try:
            answer = self._client.put_record_batch(
                DeliveryStreamName=self.config["stream_name"], Records=[{"Data": record} for record in records]
            )
        except self._errors as error:
            advice = Advice(denied="access is denied: allow firehose:PutRecordBatch on the stream", absent=_ABSENT)
            return records, judge(boto3_failure(error), advice)
        if not answer["FailedPutCount"]:
            return [], None
        codes = [entry.get("ErrorCode") for entry in answer["RequestResponses"]]
        refused = [record for record, code in zip(records, codes, strict=True) if code]
        why = ", ".join(sorted({code for code in codes if code}))
        return refused, Result(verdict=Verdict.RETRY, reason=f"the stream has not taken all records ({why})")


def _calls(records: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Divide records into what one call may hold."""
    call: list[bytes] = []
    for record in records:
        if call and (len(call) == _CALL_RECORDS or sum(map(len, call)) + len(record) > _CALL_BYTES):
            yield call
            call = []
        call.append(record)
    if call:
        yield call


def _same(one: Sequence[Generation], other: Sequence[Generation]) -> bool:
    return len(one) == len(other) and all(map(is_, one, other))
