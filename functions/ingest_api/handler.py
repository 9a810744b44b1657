"""One call of the API: 202 when every record is good and on the stream, else an answer that names what is wrong.

All or nothing: a call with a bad record puts none, so a caller never has to guess. A call that is sent again is harmless,
for the same record again is a duplicate to the job. Answers, and logs, carry no data of the records.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import boto3
from botocore.config import Config
from refunds_lake.schema.contract import BLANKS, too_late

from ingest_api.call import Record, Refused, records_of
from ingest_api.judgement import broken_rules
from ingest_api.stream import NotTaken, put

NAMESPACE: Final = "RefundsLake"
RETRY_AFTER_SECONDS: Final = 2
_log = logging.getLogger(__name__)
Answer = dict[str, Any]


def handle(event: Mapping[str, Any], context: Any) -> Answer:
    """Answer a call from API Gateway (payload format 1.0)."""
    request_id = (event.get("requestContext") or {}).get("requestId") or context.aws_request_id
    remaining: Callable[[], float] = lambda: context.get_remaining_time_in_millis() / 1000
    status, document, counts = judge(event, request_id, datetime.now(UTC), remaining)
    print(json.dumps(metrics(counts, os.environ)), flush=True)
    headers = {"Content-Type": "application/json"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return {"statusCode": status, "headers": headers, "body": json.dumps(document), "isBase64Encoded": False}


def judge(
    event: Mapping[str, Any], request_id: str, now: datetime, remaining_seconds: Callable[[], float]
) -> tuple[int, Answer, dict[str, int]]:
    """Return status, body and counts of a call; with status 202, the records are on the stream."""
    try:
        records = records_of(body_of(event))
    except Refused as refused:
        return *_answer(refused.status, [_error(refused.index, refused.field, refused.reason)], request_id), {
            "ApiRefusedCalls": 1
        }
    latest = too_late(now)
    errors = [error for index, record in enumerate(records) for error in errors_of(index, record, latest)]
    if errors:
        bad = len({error["index"] for error in errors})
        counts = {"ApiRefusedCalls": 1, "ApiRefusedRecords": bad, "ApiNotPutRecords": len(records) - bad}
        return *_answer(400, errors, request_id), counts
    try:
        again = put(
            kinesis(), os.environ["STREAM_NAME"], [entry(each) for each in records], remaining_seconds=remaining_seconds
        )
    except NotTaken as error:
        _log.error("%s: %s", request_id, error)
        return *_answer(503, [_error(None, None, "stream_busy")], request_id), {"ApiFailedCalls": 1}
    return (
        202,
        {"accepted": len(records), "request_id": request_id},
        {
            "ApiAcceptedCalls": 1,
            "ApiAcceptedRecords": len(records),
            "ApiRecordsPutAgain": again,
        },
    )


def body_of(event: Mapping[str, Any]) -> str:
    """Return the body as text. Raise Refused."""
    body = event.get("body") or ""
    if not event.get("isBase64Encoded"):
        return str(body)
    try:
        return base64.b64decode(body, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Refused(400, "invalid_utf8", field="body") from None


def errors_of(index: int, record: Record, latest: datetime) -> list[Answer]:
    """Return every reason why a record is not a transaction before `latest`: the job's reasons, at the time of the call."""
    if fault := record.fault():
        return [_error(index, None, fault)]
    assert record.fields is not None
    return [_error(index, rule.field, rule.reason) for rule in broken_rules(record.fields, latest)]


def entry(record: Record) -> dict[str, Any]:
    """Return the entry for PutRecords. All versions of a record go to one shard, so a quick correction stays behind its record."""
    assert record.fields is not None
    return {"Data": record.text.encode(), "PartitionKey": record.fields["id"].strip(BLANKS)}


def _error(index: int | None, field: str | None, reason: str) -> Answer:
    return {"index": index, "field": field, "reason": reason}


def _answer(status: int, errors: list[Answer], request_id: str) -> tuple[int, Answer]:
    return status, {"accepted": 0, "errors": errors, "request_id": request_id}


def metrics(counts: Mapping[str, int], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the counts of a call in CloudWatch's embedded metric format."""
    declared = {
        "Namespace": NAMESPACE,
        "Dimensions": [["Function"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
    }
    moment = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [declared]}
    return {"_aws": moment, "Function": variables["AWS_LAMBDA_FUNCTION_NAME"], **counts}


@cache
def kinesis() -> Any:
    """Return the client, created once for all calls of a worker; our own attempts are enough, and Lambda's time is short."""
    config = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 1})
    return boto3.client("kinesis", config=config)
