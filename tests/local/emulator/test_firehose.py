"""Accepted records are in S3 as the delivery stream is configured, when the call is answered or as soon as possible."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, settled

RECORDS = [{"id": f"t{number}", "amount": "1.00"} for number in range(500)]


@pytest.fixture
def raw(local_cloud: Cloud) -> str:
    return local_cloud.bucket("raw")


@pytest.fixture(scope="module")
def role(local_cloud: Cloud) -> str:
    return local_cloud.role("firehose")


def destination(bucket: str, role: str, **more: Any) -> dict[str, Any]:
    """A destination like that of templates/ingest.yaml: gzip JSON Lines under a dated prefix."""
    delimiter = {"ParameterName": "Delimiter", "ParameterValue": "\\n"}
    return {
        "BucketARN": f"arn:aws:s3:::{bucket}",
        "RoleARN": role,
        "Prefix": "transactions/source=stream/ingest_date=!{timestamp:yyyy-MM-dd}/",
        "FileExtension": ".jsonl.gz",
        "CompressionFormat": "GZIP",
        "ProcessingConfiguration": {
            "Enabled": True,
            "Processors": [{"Type": "AppendDelimiterToRecord", "Parameters": [delimiter]}],
        },
        **more,
    }


def stream_to(cloud: Cloud, bucket: str, role: str, name: str = "") -> str:
    """The name of a new delivery stream behind a Kinesis stream, which is created unless its `name` is given."""
    kinesis, made = cloud.client("kinesis"), name or f"s-{uuid.uuid4().hex[:8]}"
    if not name:
        kinesis.create_stream(StreamName=made, ShardCount=2)
    arn = kinesis.describe_stream_summary(StreamName=made)["StreamDescriptionSummary"]["StreamARN"]
    cloud.client("firehose").create_delivery_stream(
        DeliveryStreamName=made,
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn, "RoleARN": role},
        ExtendedS3DestinationConfiguration=destination(bucket, role),
    )
    return made


def put(cloud: Cloud, stream: str, records: list[dict[str, str]]) -> None:
    entries = [{"Data": json.dumps(each).encode(), "PartitionKey": each["id"]} for each in records]
    assert cloud.client("kinesis").put_records(StreamName=stream, Records=entries)["FailedRecordCount"] == 0


def lines_of(body: bytes) -> list[dict[str, str]]:
    return [json.loads(line) for line in gzip.decompress(body).decode().splitlines()]


def objects(cloud: Cloud, bucket: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {found["Key"]: s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read() for found in listed}


def test_a_stream_becomes_gzip_json_lines(local_cloud: Cloud, raw: str, role: str) -> None:
    """Given one PutRecords call, then it is one gzip object with one line per record, with the prefix and extension."""
    name = stream_to(local_cloud, raw, role)
    put(local_cloud, name, RECORDS)
    ((key, body),) = objects(local_cloud, raw).items()
    assert key.startswith("transactions/source=stream/ingest_date=20")
    assert key.endswith(".jsonl.gz")
    assert lines_of(body) == RECORDS
    with pytest.raises(ClientError, match="not permitted on KinesisStreamAsSource"):
        local_cloud.client("firehose").put_record(DeliveryStreamName=name, Record={"Data": b"x"})


def test_what_a_stream_took_is_delivered_when_it_can_be(own_cloud: Cloud) -> None:
    """Given records that a stream accepted while their delivery was not allowed, when it is allowed again after a kill,
    then they are delivered once, in their order; those from before the delivery stream are not.
    """
    bucket, role = own_cloud.bucket("raw"), own_cloud.role("firehose")
    own_cloud.client("kinesis").create_stream(StreamName="late", ShardCount=2)
    put(own_cloud, "late", RECORDS[:1])
    time.sleep(0.01)
    stream_to(own_cloud, bucket, role, "late")
    put(own_cloud, "late", RECORDS[1:3])
    own_cloud.allow(role, {"kinesis:*": "*"})
    put(own_cloud, "late", RECORDS[3:200])
    put(own_cloud, "late", RECORDS[200:400])
    assert len(objects(own_cloud, bucket)) == 1
    own_cloud.kill()
    own_cloud.restart()
    put(own_cloud, "late", RECORDS[400:])
    own_cloud.allow(role, {"*": "*"})
    settled(lambda: len(objects(own_cloud, bucket)), 2, quiet_seconds=4)
    first, late = sorted(map(lines_of, objects(own_cloud, bucket).values()), key=len)
    assert (first, late) == (RECORDS[1:3], RECORDS[3:])
    own_cloud.kill()
    own_cloud.restart()
    put(own_cloud, "late", RECORDS[:1])
    settled(lambda: len(objects(own_cloud, bucket)), 3, quiet_seconds=4)


def test_direct_put_plain_and_encrypted(local_cloud: Cloud, raw: str, role: str) -> None:
    """Given no compression and a key of its own, then there is one object per call, plain and encrypted with that key."""
    firehose, name = local_cloud.client("firehose"), f"d-{uuid.uuid4().hex[:8]}"
    key = local_cloud.client("kms").create_key()["KeyMetadata"]["Arn"]
    plain = destination(
        raw,
        role,
        CompressionFormat="UNCOMPRESSED",
        FileExtension=".jsonl",
        EncryptionConfiguration={"KMSEncryptionConfig": {"AWSKMSKeyARN": key}},
    )
    firehose.create_delivery_stream(DeliveryStreamName=name, ExtendedS3DestinationConfiguration=plain)
    firehose.put_record(DeliveryStreamName=name, Record={"Data": b"one"})
    answer = firehose.put_record_batch(DeliveryStreamName=name, Records=[{"Data": b"two"}, {"Data": b"three"}])
    assert answer["FailedPutCount"] == 0
    found = objects(local_cloud, raw)
    assert sorted(found.values()) == [b"one\n", b"two\nthree\n"]
    heads = [local_cloud.client("s3").head_object(Bucket=raw, Key=name) for name in found]
    assert {head["SSEKMSKeyId"] for head in heads} == {key}


def test_an_unknown_compression_is_refused(local_cloud: Cloud, raw: str, role: str) -> None:
    """Given a compression that the local cloud does not support, then it says so instead of writing plain bytes."""
    zipped = destination(raw, role, CompressionFormat="ZIP")
    with pytest.raises(ClientError, match="does not compress as ZIP"):
        local_cloud.client("firehose").create_delivery_stream(
            DeliveryStreamName=f"z-{uuid.uuid4().hex[:8]}", ExtendedS3DestinationConfiguration=zipped
        )
