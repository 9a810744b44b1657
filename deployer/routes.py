"""The routes by which files reach the raw bucket, each as its sender uses it on AWS.

Which files may go is decided in ingest.py before a route sees them.
"""

from __future__ import annotations

import gzip
import hashlib
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deployer.errors import DataopsError, UsageError
from deployer.ingest import BadFiles, RawFile
from deployer.pauses import poll
from deployer.session import connect_partner

if TYPE_CHECKING:
    from deployer.session import Session

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
MOST_RECORDS = 500
MOST_BATCH_BYTES = 5 * 1024**2
MOST_RECORD_BYTES = 1024**2  # with the partition key
KEY_LETTERS = 32
PUT_ATTEMPTS = 8
STREAM_PREFIX = "transactions/source=stream/"


@dataclass(frozen=True)
class Delivery:
    """What became of one file; `is_new` is false when the same content was there already."""

    file: RawFile
    target: str
    is_new: bool
    records: int | None = None

    def document(self) -> dict[str, Any]:
        """The delivery as JSON output has it."""
        return {
            "file": str(self.file.path),
            "target": self.target,
            "delivered": self.is_new,
            "bytes": self.file.size_bytes,
            "records": self.records,
        }


Deliver = Callable[["Session", Mapping[str, str], Sequence[RawFile], Callable[[str], None]], list[Delivery]]


def deliver_s3(
    session: Session, outputs: Mapping[str, str], files: Sequence[RawFile], say: Callable[[str], None]
) -> list[Delivery]:
    """Route 1: the partner takes the drop role and puts the files into the raw bucket, one after the other.

    The order is kept because it decides which version of a record is the last. The role may only write, so a conditional
    write is what tells that a file is there already.
    """
    s3 = _drop_client(session, outputs)
    folder = f"{outputs['DropPrefix']}ingest_date={datetime.now(UTC):%Y-%m-%d}/"
    deliveries = []
    for number, file in enumerate(files, start=1):
        key = folder + file.object_name()
        is_new = _put_new(s3, outputs["RawBucketName"], key, file)
        deliveries.append(Delivery(file, key, is_new))
        done = "delivered" if is_new else "skipped: the same content is there already today"
        say(f"{number}/{len(files)} {file.path.name} ({size_text(file.size_bytes)}) {done}")
    return deliveries


def _drop_client(session: Session, outputs: Mapping[str, str]) -> Any:
    environment = session.environment
    external_id = environment.parameters.get("PartnerExternalId", "")
    if variable := environment.unset.get("PartnerExternalId"):
        raise UsageError(
            f"PartnerExternalId is not known: variable {variable} is not set", hint=f"export {variable}=..."
        )
    if "DropRoleArn" not in outputs or not external_id:
        raise UsageError(
            f"environment {environment.name} has no cross-account route",
            hint="set PartnerAccountId and PartnerExternalId in dataops.yml and deploy, or take another --route",
        )
    partner = connect_partner(session)
    return partner.as_role(outputs["DropRoleArn"], external_id=external_id, name="dataops-ingest").client("s3")


def _put_new(s3: Any, bucket: str, key: str, file: RawFile) -> bool:
    try:
        with file.path.open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in {"PreconditionFailed", "412"}:
            return False
        raise
    return True


def deliver_stream(
    session: Session, outputs: Mapping[str, str], files: Sequence[RawFile], say: Callable[[str], None]
) -> list[Delivery]:
    """Route 4: each line of the files becomes a record of the stream; Firehose writes them to the raw bucket later."""
    problems = [problem for file in files if (problem := _stream_problem(file)) is not None]
    if problems:
        raise BadFiles(problems, hint="nothing was delivered; route s3 takes all formats and any length of line")
    deliveries = []
    for number, file in enumerate(files, start=1):
        records = sum(_put_batch(session, outputs, file, batch) for batch in batches(stream_lines(file)))
        deliveries.append(Delivery(file, outputs["TransactionStreamName"], True, records))
        say(f"{number}/{len(files)} {file.path.name}: {records:,} records on the stream")
    return deliveries


def _stream_problem(file: RawFile) -> str | None:
    if file.format != "json":
        return f"{file.path}: the stream takes JSON Lines only, one record a line"
    try:
        for number, line in enumerate(stream_lines(file), start=1):
            if len(line) + KEY_LETTERS > MOST_RECORD_BYTES:
                return f"{file.path}: record {number} is longer than the 1 MiB that the stream takes"
    except (OSError, EOFError, zlib.error) as error:
        return f"{file.path}: cannot be read: {error}"
    return None


def stream_lines(file: RawFile) -> Iterator[bytes]:
    """Yield the lines of a JSON Lines file without their ends; blank lines are no records."""
    with gzip.open(file.path) if file.suffix.endswith(".gz") else file.path.open("rb") as lines:
        for line in lines:
            if record := line.strip():
                yield record


def batches(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Group records into requests that Kinesis takes."""
    batch: list[bytes] = []
    size_bytes = 0
    for line in lines:
        line_bytes = len(line) + KEY_LETTERS
        if batch and (len(batch) == MOST_RECORDS or size_bytes + line_bytes > MOST_BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(line)
        size_bytes += line_bytes
    if batch:
        yield batch


def _put_batch(session: Session, outputs: Mapping[str, str], file: RawFile, batch: list[bytes]) -> int:
    """Put records until all are taken: PutRecords answers 200 also when it took only some."""
    waiting = [{"Data": line, "PartitionKey": hashlib.sha256(line).hexdigest()[:KEY_LETTERS]} for line in batch]
    codes: set[str] = set()
    for attempt in range(PUT_ATTEMPTS):
        if attempt:
            time.sleep(min(0.1 * 2**attempt, 5.0))
        answer = session.client("kinesis").put_records(StreamName=outputs["TransactionStreamName"], Records=waiting)
        results = list(zip(waiting, answer["Records"], strict=True))
        codes = {result["ErrorCode"] for _, result in results if result.get("ErrorCode")}
        waiting = [record for record, result in results if result.get("ErrorCode")]
        if not waiting:
            return len(batch)
    raise DataopsError(
        f"the stream did not take {len(waiting)} records: {', '.join(sorted(codes))}",
        where=str(file.path),
        hint="run the same command again: what is delivered twice counts once",
    )


def stream_keys(session: Session, outputs: Mapping[str, str]) -> set[str]:
    """Return the objects that the stream delivered on this day (UTC) and later."""
    # Keys sort by day: whatever comes behind today's first possible key is of today or later.
    today = f"{STREAM_PREFIX}ingest_date={datetime.now(UTC):%Y-%m-%d}"
    pages = (
        session.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=outputs["RawBucketName"], Prefix=STREAM_PREFIX, StartAfter=today)
    )
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def wait_for_stream(
    session: Session,
    outputs: Mapping[str, str],
    before: set[str],
    records: int,
    *,
    say: Callable[[str], None],
    timeout_seconds: float,
) -> None:
    """Wait until as many lines as were sent have arrived in objects that were not there before.

    Another sender's records count too: it may end early, never late.
    """
    arrived, counted = 0, set(before)
    for _ in poll(timeout_seconds, longest_pause_seconds=10.0):
        for key in sorted(stream_keys(session, outputs) - counted):
            arrived += _line_count(session, outputs["RawBucketName"], key)
            counted.add(key)
            say(f"{arrived:,} of {records:,} records are in the raw bucket")
        if arrived >= records:
            return
    raise DataopsError(
        f"only {arrived:,} of {records:,} records arrived within {timeout_seconds:g} s",
        hint="Firehose writes when its buffer is full or old enough; look again later, or at delivery-errors/",
    )


def _line_count(session: Session, bucket: str, key: str) -> int:
    body = session.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        text = gzip.decompress(body) if key.endswith(".gz") else body
    except (OSError, EOFError, zlib.error) as error:
        raise DataopsError(
            f"the stream delivered an object that is no gzip: {error}",
            where=f"s3://{bucket}/{key}",
            hint="see CompressionFormat of the delivery stream in templates/ingest.yaml",
        ) from error
    return sum(1 for line in text.split(b"\n") if line.strip())


def size_text(size_bytes: int) -> str:
    """Write a size for people."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    if size_bytes < 1_000_000:
        return f"{size_bytes / 1000:.0f} kB"
    return f"{size_bytes / 1_000_000:.1f} MB"


ROUTES: Mapping[str, Deliver] = {"s3": deliver_s3, "stream": deliver_stream}
