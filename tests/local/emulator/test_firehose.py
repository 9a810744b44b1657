"""Records that were accepted lie in S3 as the delivery stream says, when the call is answered."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud

RECORDS = [{"id": f"t{number}", "amount": "1.00"} for number in range(500)]


@pytest.fixture
def raw(local_cloud: Cloud) -> str:
    return local_cloud.bucket("raw")


@pytest.fixture(scope="module")
def role(local_cloud: Cloud) -> str:
    return local_cloud.role("firehose")


def destination(bucket: str, role: str, **more: Any) -> dict[str, Any]:
    """As templates/ingest.yaml delivers: gzip JSON Lines under a dated prefix."""
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


def objects(cloud: Cloud, bucket: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {found["Key"]: s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read() for found in listed}


def test_a_stream_becomes_gzip_json_lines(local_cloud: Cloud, raw: str, role: str) -> None:
    """Given one PutRecords call, then one gzip object with one line per record, under the prefix and extension."""
    kinesis, firehose, name = local_cloud.client("kinesis"), local_cloud.client("firehose"), f"s-{uuid.uuid4().hex[:8]}"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    firehose.create_delivery_stream(
        DeliveryStreamName=name,
        DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={
            "KinesisStreamARN": arn,
            "RoleARN": role,
        },
        ExtendedS3DestinationConfiguration=destination(raw, role),
    )
    kinesis.put_records(
        StreamName=name,
        Records=[{"Data": json.dumps(record).encode(), "PartitionKey": record["id"]} for record in RECORDS],
    )
    ((key, body),) = objects(local_cloud, raw).items()
    assert key.startswith("transactions/source=stream/ingest_date=20")
    assert key.endswith(".jsonl.gz")
    assert [json.loads(line) for line in gzip.decompress(body).decode().splitlines()] == RECORDS
    with pytest.raises(ClientError, match="not permitted on KinesisStreamAsSource"):
        firehose.put_record(DeliveryStreamName=name, Record={"Data": b"x"})


def test_direct_put_plain_and_encrypted(local_cloud: Cloud, raw: str, role: str) -> None:
    """Given no compression and an own key, then plain bytes, encrypted with that key; one object per call."""
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
    """Given a compression that the local cloud cannot do, then it says so instead of writing plain bytes."""
    zipped = destination(raw, role, CompressionFormat="ZIP")
    with pytest.raises(ClientError, match="does not compress as ZIP"):
        local_cloud.client("firehose").create_delivery_stream(
            DeliveryStreamName=f"z-{uuid.uuid4().hex[:8]}", ExtendedS3DestinationConfiguration=zipped
        )
