"""S3: what arrives in a bucket and under which keys, by both clients."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orobserve.delivery import Verdict
from orobserve.delivery.settings import Shared, resolve
from orobserve.generation import Cost, Enrichment, Request, Trace
from orobserve_exporters.s3 import S3
from tests.exporters import stores
from tests.exporters.generations import CHAT, SAMPLES, STARTED_AT
from tests.exporters.stores import calls, config, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from orobserve import Generation
    from tests.exporters.stores import Moto

    Make = Callable[..., S3]

pytest.importorskip("boto3", reason="no boto3: it is in the tox environment `warehouses`")
pytest.importorskip("obstore", reason="no obstore: it is in the tox environment `warehouses`")

MILLISECONDS = STARTED_AT // 1_000_000
FOLDER = "openrouter-traces/2026-11-22"
CHAT_KEY = f"{FOLDER}/workflow_12345-{MILLISECONDS}-gen-abc.json"


def _late(generation: Generation, usd: float) -> Generation:
    enrichment = Enrichment(status="complete", is_late=True)
    return replace(generation, cost=Cost(charged=usd, total=usd, source="generation"), enrichment=enrichment)


def _traced(trace_id: str, **asked: Any) -> Generation:
    """Return a call with a trace id of the request's, as the span has it."""
    from orobserve.telemetry import ids

    request = Request(model="m", trace=Trace(trace_id=trace_id), **asked)
    return replace(CHAT, request=request, trace_id=f"{ids.trace_id(trace_id):032x}")


def test_every_generation_is_an_object(moto: Moto, bucket: str, make: Make) -> None:
    state = deliver(make(moto.url, bucket), CHAT, SAMPLES["error"], SAMPLES["private"])
    assert (state.delivered, state.dropped, state.retried) == (3, {}, 0)
    found = moto.objects(bucket)
    assert sorted(found) == [
        f"{FOLDER}/{0x1002:032x}-{MILLISECONDS}-{0x1002:016x}.json",  # it has no generation id
        f"{FOLDER}/{0x1005:032x}-{MILLISECONDS}-gen-{0x1005}.json",
        CHAT_KEY,
    ]
    trace = json.loads(found[CHAT_KEY])
    (observation,) = trace.pop("observations")
    assert {key: trace[key] for key in ("id", "name", "userId", "sessionId", "timestamp", "tags")} == {
        "id": "workflow_12345",
        "name": "Nightly report",
        "userId": "u-1",
        "sessionId": "s-1",
        "timestamp": "2026-11-22T19:22:59.563896Z",
        "tags": ["nightly", "report"],
    }
    assert trace["metadata"]["team"] == "growth"
    assert observation["id"] == CHAT.span_id
    assert (observation["type"], observation["level"]) == ("GENERATION", "DEFAULT")
    assert observation["usage"]["cacheWriteTokens"] == 100
    assert observation["totalCost"] == 0.0042
    assert not {"inputCost", "outputCost", "statusMessage", "parentObservationId"} & set(observation)
    (failed,) = json.loads(found[min(found)])["observations"]
    assert (failed["level"], failed["statusMessage"]) == ("ERROR", "Rate limit exceeded")
    assert "output" not in failed or failed["output"] == {"messages": []}
    (private,) = json.loads(found[sorted(found)[1]])["observations"]
    assert not {"input", "output"} & set(private)


def test_objects_say_that_they_are_json(moto: Moto, bucket: str, make: Make) -> None:
    deliver(make(moto.url, bucket), CHAT)
    client = moto.client("s3")
    assert client.head_object(Bucket=bucket, Key=CHAT_KEY)["ContentType"] == "application/json"
    client.close()


def test_a_split_cost_and_a_free_call() -> None:
    exporter = S3(config(S3, "http://127.0.0.1:1", bucket_name="calls"))
    split, free = (
        json.loads(body)["observations"][0] for body in exporter.payloads([SAMPLES["split"], SAMPLES["free"]])
    )
    assert (split["inputCost"], split["outputCost"], split["totalCost"]) == (0.001, 0.002, 0.003)
    assert free["totalCost"] == 0


def test_what_is_sent_again_changes_nothing(moto: Moto, bucket: str, make: Make) -> None:
    exporter, sent = make(moto.url, bucket), calls(30)
    assert deliver(exporter, *sent).delivered == 30
    before = moto.objects(bucket)
    other = [replace(call, cost=None) for call in sent]  # it would be seen if it were written
    assert deliver(exporter, *other).delivered == 30
    assert len(before) == 30
    assert moto.objects(bucket) == before


def test_both_clients_write_the_same(moto: Moto) -> None:
    sent = [*SAMPLES.values(), _traced("Ünï/日本 %41#?", api_key_name="Büro 1/2")]
    buckets = {name: moto.bucket() for name in stores.CLIENTS}
    client = stores.client("s3", moto.url)
    template = "{prefix}/{apiKeyName}/dt={date}"
    deliver(S3(config(S3, moto.url, bucket_name=buckets["obstore"], path_template=template)), *sent)
    deliver(S3.with_client(client, buckets["boto3"], path_template=template), *sent)
    client.close()
    found = [moto.objects(bucket) for bucket in buckets.values()]
    assert len(found[0]) == len(sent)
    assert found[0] == found[1]


def test_what_became_known_later_replaces_the_object(moto: Moto, bucket: str, make: Make) -> None:
    exporter = make(moto.url, bucket)
    assert exporter.UPDATES
    deliver(exporter, replace(CHAT, cost=None))
    deliver(exporter, _late(CHAT, 0.25))
    deliver(exporter, CHAT)  # a repetition of what was known first
    (body,) = moto.objects(bucket).values()
    assert json.loads(body)["observations"][0]["totalCost"] == 0.25


def test_of_two_records_in_one_batch_the_later_one_is_written(moto: Moto, bucket: str, make: Make) -> None:
    state = deliver(make(moto.url, bucket), _late(CHAT, 0.25), CHAT, *calls(2))
    assert state.delivered == 4
    found = moto.objects(bucket)
    assert len(found) == 3
    assert json.loads(found[CHAT_KEY])["observations"][0]["totalCost"] == 0.25


def test_a_compressed_file_per_batch(moto: Moto, bucket: str, make: Make) -> None:
    exporter, sent = make(moto.url, bucket, format="jsonl"), calls(20)
    assert not exporter.UPDATES
    assert exporter.LIMITS.items == 1000
    for _ in range(2):
        assert exporter.export(sent).verdict is Verdict.DELIVERED
    ((key, body),) = moto.objects(bucket).items()
    lines = gzip.decompress(body)
    assert key == f"{FOLDER}/{MILLISECONDS}-{hashlib.sha256(lines).hexdigest()[:16]}.jsonl.gz"
    assert [json.loads(line)["observations"][0]["id"] for line in lines.splitlines()] == [c.span_id for c in sent]


def test_a_batch_of_two_days_is_two_files(moto: Moto, bucket: str, make: Make) -> None:
    tomorrow = replace(CHAT.timing, started_at=STARTED_AT + 86_400 * 10**9, ended_at=STARTED_AT + 86_401 * 10**9)
    state = deliver(make(moto.url, bucket, format="jsonl"), *calls(3), replace(CHAT, timing=tomorrow))
    assert state.delivered == 4
    found = {key.split("/")[1]: gzip.decompress(body).count(b"\n") for key, body in moto.objects(bucket).items()}
    assert found == {"2026-11-22": 3, "2026-11-23": 1}


def test_a_batch_that_takes_too_much_memory_is_halved(bucket: str, moto: Moto) -> None:
    exporter = S3(config(S3, moto.url, bucket_name=bucket, format="jsonl"))
    exporter.LIMITS = replace(exporter.LIMITS, bytes=20_000)
    assert deliver(exporter, *calls(20)).delivered == 20
    assert len(moto.objects(bucket)) > 1


@pytest.mark.parametrize(
    ("template", "prefix", "folder"),
    [
        ("{prefix}/{date}", "openrouter-traces", "openrouter-traces/2026-11-22"),
        ("{prefix}/{date}", "/a//b/", "a/b/2026-11-22"),
        ("{prefix}/{date}", "", "2026-11-22"),
        ("year={year}/month={month}/day={day}", "unused", "year=2026/month=11/day=22"),
        ("{apiKeyName}/{api_key_name}", "unused", "unknown/unknown"),
        ("all", "unused", "all"),
        ("{{x}}", "unused", "{x}"),
        ("", "unused", ""),
    ],
)
def test_the_path_template(template: str, prefix: str, folder: str) -> None:
    exporter = S3(config(S3, "http://127.0.0.1:1", bucket_name="calls", path_template=template, prefix=prefix))
    (made,) = exporter.objects([CHAT])
    assert made.key == f"{folder}/{CHAT_KEY.rpartition('/')[2]}".lstrip("/")


@pytest.mark.parametrize(
    "hostile", ["../../x", "a/b", "a_b", "..", ".", "\0\r\n\x7f", "x" * 3000, "\ud83d", "日本" * 900, " ", "%2e%2e%2f"]
)
def test_ids_do_not_break_out_of_their_folder(moto: Moto, bucket: str, make: Make, hostile: str) -> None:
    call = replace(_traced(hostile, api_key_name=hostile), id=hostile)
    exporter = make(moto.url, bucket, path_template="{prefix}/{apiKeyName}")
    assert deliver(exporter, call).delivered == 1
    (key,) = moto.objects(bucket)
    assert len(key.encode()) <= 1024
    assert key.isprintable()
    first, second, name = key.split("/")
    assert first == "openrouter-traces"
    assert second.strip(".")
    assert name.endswith(".json")


def test_ids_that_differ_have_objects_of_their_own() -> None:
    ids = ["a/b", "a_b", "a b", "x" * 300, "x" * 301]
    exporter = S3(config(S3, "http://127.0.0.1:1", bucket_name="calls"))
    assert len({item.key for item in exporter.objects([replace(CHAT, id=each) for each in ids])}) == len(ids)


def test_the_check_leaves_one_marker(moto: Moto, bucket: str, make: Make) -> None:
    exporter = make(moto.url, bucket)
    for _ in range(2):
        assert exporter.check().verdict is Verdict.DELIVERED
    assert list(moto.objects(bucket)) == ["openrouter-traces/.orobserve-test"]


def test_the_settings_of_broadcast_and_of_aws(moto: Moto, bucket: str) -> None:
    given = {"bucketName": bucket, "accessKeyId": "AKIA", "secretAccessKey": "s", "pathTemplate": "x/{date}"}
    environ = {"AWS_ENDPOINT_URL": moto.url, "AWS_DEFAULT_REGION": "eu-west-1"}
    (found,) = resolve("destinations", [{"type": "s3", "config": given}], Shared(environ=environ))
    assert found.make().check().verdict is Verdict.DELIVERED  # type: ignore[union-attr]
    assert list(moto.objects(bucket)) == ["x/.orobserve-test"]


def test_a_client_of_ones_own_is_a_destination(moto: Moto, bucket: str) -> None:
    client = stores.client("s3", moto.url)
    (found,) = resolve("destinations", [S3.with_client(client, bucket)], Shared(environ={}))
    assert deliver(found.make(), CHAT).delivered == 1  # type: ignore[arg-type]
    client.close()
    assert list(moto.objects(bucket)) == [CHAT_KEY]
