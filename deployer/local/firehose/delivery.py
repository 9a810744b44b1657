"""Firehose to S3 as configured: compression, delimiters, extension, encryption, and batches instead of single records.

The records of one PutRecord(Batch) or Kinesis PutRecords call become one object, which is written before the call is
answered. stream_reader.py retries records of a Kinesis stream that could not be delivered. Format conversion and
dynamic partitioning stay the emulator's, record by record.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import EmulatorChanged, load, replace, require
from deployer.local.firehose.stream_reader import Record, StreamReader
from deployer.local.rights.entails import of_stream
from deployer.local.rights.judging import Denied
from deployer.local.rights.objects import ObjectRights
from deployer.local.rights.roles import Role, taken_by

Data = dict[str, Any]
LARGEST_RECORD_BYTES = 1000 * 1024
EXTENSIONS = {"GZIP": ".gz", "UNCOMPRESSED": ""}


def install(cloud: LocalCloud) -> None:
    """Replace the calls that accept records, and what delivers them."""
    firehose = load("services.firehose")
    for name, parameters in {
        "_apply_lambda_processors": ("stream", "dest", "records", "metadata_sink", "partition_sink"),
        "_evaluate_prefix": ("template", "t", "query_keys", "lambda_keys", "error_type"),
        "_java_time": ("pattern", "t"),
        "_arrival_time": ("cfg",),
        "_s3_bucket_from_arn": ("bucket_arn",),
        "_validate_s3_destination_config": ("dtype", "cfg"),
    }.items():
        require(firehose, name, parameters)
    original_delivery = require(firehose, "_deliver_records_to_s3", ("stream", "dest", "records"))
    original_validation = firehose._validate_s3_destination_config
    delivery = Delivery(firehose, original_delivery)
    replace(firehose, "_deliver_records_to_s3", lambda stream, dest, records: delivery.deliver(stream, dest, records))
    replace(firehose, "_put_s3_object", lambda bucket, key, body: put_object(bucket, key, body, {}))
    actions = require(firehose, "_HANDLERS")
    for action, call in {"PutRecord": put_record, "PutRecordBatch": put_record_batch}.items():
        if action not in actions:
            raise EmulatorChanged(f"the emulator's Firehose no longer has the action {action}")
        actions[action] = functools.partial(call, firehose, delivery)
    reader = StreamReader(firehose, delivery.deliver_everywhere)
    replace(firehose, "ingest_from_kinesis_source", lambda stream_arn, records: reader.read(stream_arn))
    threading.Thread(target=reader.read_forever, daemon=True, name="firehose").start()

    def validate(dtype: str, cfg: Data) -> Any:
        if cfg.get("CompressionFormat", "UNCOMPRESSED") not in EXTENSIONS:
            return firehose._invalid(f"the local cloud does not compress as {cfg['CompressionFormat']}")
        try:
            take_role(cfg)
        except Denied:
            return firehose._invalid(
                f"Firehose is unable to assume role {cfg.get('RoleARN')}. Please check the role provided."
            )
        return original_validation(dtype, cfg)

    replace(firehose, "_validate_s3_destination_config", validate)


class Delivery:
    """Writes batches of records to the S3 destination of a delivery stream."""

    def __init__(self, firehose: Any, per_record: Any) -> None:
        self._firehose = firehose
        self._per_record = per_record

    def deliver_everywhere(self, stream: Data, records: Sequence[Record]) -> bool:
        """Deliver records to each destination, and return whether all of them arrived."""
        is_delivered = True
        for dest in stream["destinations"]:
            if dest["type"] in ("ExtendedS3", "S3"):
                is_delivered &= self.deliver(stream, dest, records)
            elif dest["type"] == "Iceberg":
                self._firehose._deliver_to_iceberg(stream, dest, list(records))
        return is_delivered

    def deliver(self, stream: Data, dest: Data, records: Sequence[Record]) -> bool:
        """Write one object for all `records` and return whether it exists; log, but do not raise, if S3 refuses it."""
        config = dest["config"]
        try:
            role = take_role(config)
        except Denied as denied:
            self._firehose.logger.error("delivery of %s failed: %s", stream["name"], denied)
            return False
        if _enabled(config, "DataFormatConversionConfiguration") or _enabled(
            config, "DynamicPartitioningConfiguration"
        ):
            self._per_record(stream, dest, list(records))
            return True
        processed = self._firehose._apply_lambda_processors(stream, dest, list(records))
        if not processed:
            return True
        compression = config.get("CompressionFormat", "UNCOMPRESSED")
        body = b"".join(content + delimiter(config) for _, content in processed)
        if compression == "GZIP":
            body = gzip.compress(body, compresslevel=6, mtime=0)
        arrived = self._firehose._arrival_time(config)
        stamp = self._firehose._java_time("yyyy-MM-dd-HH-mm-ss", arrived)
        try:
            prefix = self._firehose._evaluate_prefix(config.get("Prefix", ""), arrived)
            name = f"{stream['name']}-{stream.get('version', 1)}-{stamp}-{uuid.uuid4()}"
            key = f"{prefix}{name}{config.get('FileExtension') or EXTENSIONS[compression]}"
            bucket, headers = self._firehose._s3_bucket_from_arn(config["BucketARN"]), encryption_headers(config)
            require_rights(role, stream, bucket, key, headers)
            put_object(bucket, key, body, headers)
        except (OSError, Denied, self._firehose._DeliveryError) as error:
            report(config, role, f"{stream['name']}: {len(records)} records were not delivered: {error}")
            self._firehose.logger.error("delivery of %s failed: %s", stream["name"], error)
            return False
        return True


def put_record(firehose: Any, delivery: Delivery, data: Data) -> Any:
    """Answer PutRecord."""
    answer = put_record_batch(firehose, delivery, {**data, "Records": [data.get("Record", {})]})
    if answer[0] != 200:
        return answer
    single = json.loads(answer[2])["RequestResponses"][0]
    if "ErrorCode" in single:
        return firehose._invalid(single["ErrorMessage"])
    return firehose.json_response({"RecordId": single["RecordId"], "Encrypted": False})


def put_record_batch(firehose: Any, delivery: Delivery, data: Data) -> Any:
    """Answer PutRecordBatch, after an attempt to deliver the records."""
    given = data.get("Records", [])
    if not 1 <= len(given) <= 500:
        return firehose._invalid("A batch has 1 to 500 records.")
    stream = firehose._streams.get(data.get("DeliveryStreamName"))
    if stream is None:
        return firehose._not_found(data.get("DeliveryStreamName"))
    if stream.get("type") == "KinesisStreamAsSource":
        return firehose._invalid("This operation is not permitted on KinesisStreamAsSource delivery stream type.")
    answers: list[Data] = []
    accepted: list[Record] = []
    for record in given:
        try:
            content = base64.b64decode(record.get("Data", ""), validate=True)
        except ValueError:
            answers.append({"ErrorCode": "InvalidArgumentException", "ErrorMessage": "Data is not valid base64."})
            continue
        if len(content) > LARGEST_RECORD_BYTES:
            answers.append({"ErrorCode": "InvalidArgumentException", "ErrorMessage": "Record exceeds 1,000 KiB."})
            continue
        accepted.append((firehose._record_id(), content))
        answers.append({"RecordId": accepted[-1][0], "Encrypted": False})
    if accepted:
        delivery.deliver_everywhere(stream, accepted)
    failed = len(given) - len(accepted)
    return firehose.json_response({"FailedPutCount": failed, "Encrypted": False, "RequestResponses": answers})


def delimiter(config: Mapping[str, Any]) -> bytes:
    r"""Return what AppendDelimiterToRecord appends to each record; its parameter spells a line feed as ``\n``."""
    processing = config.get("ProcessingConfiguration") or {}
    if str(processing.get("Enabled", False)).lower() == "true":
        for processor in processing.get("Processors", []):
            if processor.get("Type") == "AppendDelimiterToRecord":
                given = {entry["ParameterName"]: entry["ParameterValue"] for entry in processor.get("Parameters", [])}
                text: str = given.get("Delimiter", "\\n")
                return text.encode().decode("unicode_escape").encode()
    return b""


def encryption_headers(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the SSE headers for the destination's own key; without one, the bucket's default applies."""
    key = ((config.get("EncryptionConfiguration") or {}).get("KMSEncryptionConfig") or {}).get("AWSKMSKeyARN")
    if not key:
        return {}
    return {"x-amz-server-side-encryption": "aws:kms", "x-amz-server-side-encryption-aws-kms-key-id": key}


def take_role(config: Mapping[str, Any]) -> Role:
    """Assume the destination's role; raise `Denied` if Firehose may not.

    https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#firehose-assume-role
    """
    account = load("core.responses").get_account_id()
    context = {"sts:ExternalId": account}
    return taken_by("firehose.amazonaws.com", str(config.get("RoleARN", "")), "firehose", context)


def require_rights(role: Role, stream: Data, bucket: str, key: str, headers: Mapping[str, str]) -> None:
    """Raise `Denied` unless the role has all that AWS lists for reading the source and writing this object.

    https://docs.aws.amazon.com/firehose/latest/dev/controlling-access.html#using-iam-s3
    """
    if source := (stream.get("kinesis_source") or {}).get("KinesisStreamARN"):
        for action in ("DescribeStream", "GetShardIterator", "GetRecords", "ListShards"):
            role.require(f"kinesis:{action}", source)
        for check in of_stream(source, "kms:Decrypt"):
            role.require(check.action, check.resource, check.context)
    rights = ObjectRights(role.principal())
    for action in ("GetBucketLocation", "ListBucket", "ListBucketMultipartUploads"):
        rights.require(f"s3:{action}", bucket)
    for action in ("AbortMultipartUpload", "GetObject"):
        rights.require(f"s3:{action}", bucket, key)
    rights.require_write(bucket, key, dict(headers))


def put_object(bucket: str, key: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Write an object; raise OSError when S3 refuses it."""
    sent = {**headers, "content-type": "application/octet-stream", "content-length": str(len(body))}
    status, _, answer = on_loop(load("services.s3")._put_object, bucket, key, body, sent)
    if status >= 300:
        raise OSError(f"s3://{bucket}/{key}: {answer!r}")


def report(config: Mapping[str, Any], role: Role, message: str) -> None:
    """Write to the destination's error log, if CloudWatchLoggingOptions asks for it and the role may."""
    options = config.get("CloudWatchLoggingOptions") or {}
    responses = load("core.responses")
    log = f"{options.get('LogGroupName')}:log-stream:{options.get('LogStreamName')}"
    arn = f"arn:aws:logs:{responses.get_region()}:{responses.get_account_id()}:log-group:{log}"
    if str(options.get("Enabled", False)).lower() == "true" and role.may("logs:PutLogEvents", arn):
        event = {"timestamp": int(time.time() * 1000), "message": message}
        where = {"logGroupName": options.get("LogGroupName"), "logStreamName": options.get("LogStreamName")}
        load("services.cloudwatch_logs")._put_log_events({**where, "logEvents": [event]})


def _enabled(config: Mapping[str, Any], name: str) -> bool:
    part = config.get(name) or {"Enabled": False}
    return str(part.get("Enabled", True)).lower() == "true"
