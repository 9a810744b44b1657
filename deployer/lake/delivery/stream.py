"""Route 4, the stream: each line of a file becomes a Kinesis record, which Firehose later writes to the raw bucket."""

from __future__ import annotations

import gzip
import hashlib
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from refunds_lake.schema.contract import BLANKS, ID_LENGTH
from refunds_lake.schema.plain_values import DECODER, utf8
from refunds_lake.storage.objects import S3ObjectStore

from deployer.errors import DataopsError
from deployer.lake.delivery.delivery import Delivery, grouped
from deployer.lake.delivery.files import BadFiles, RawFile
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.pauses import poll
from deployer.printable import printable

if TYPE_CHECKING:
    from deployer.aws.session import Session

# https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
MOST_RECORDS = 500
MOST_BATCH_BYTES = 5 * 1024**2
MOST_RECORD_BYTES = 1024**2  # with the partition key
MOST_KEY_BYTES = 4 * ID_LENGTH
PUT_ATTEMPTS = 8
STREAM_PREFIX = "transactions/source=stream/"


def deliver_stream(
    session: Session, lake: Lake, files: Sequence[RawFile], say: Callable[[str], None]
) -> list[Delivery]:
    """Put each line of the files onto the stream, once all files are known to fit."""
    problems = [problem for file in files if (problem := _stream_problem(file)) is not None]
    if problems:
        raise BadFiles(problems, hint="nothing was delivered; route s3 accepts all formats and lines of any length")
    stream = stream_of(lake)
    deliveries = []
    for number, file in enumerate(files, start=1):
        records = sum(put_batch(lake, stream, str(file.path), batch) for batch in batches(stream_lines(file)))
        deliveries.append(Delivery(file.path, stream, True, file.size_bytes, records))
        say(f"{number}/{len(files)} {printable(file.path.name)}: {records:,} records on the stream")
    return deliveries


def stream_of(lake: Lake) -> str:
    """Return the stream's name. Raise MissingOutput."""
    if lake.stream is None:
        raise MissingOutput(["TransactionStreamName"], lake.environment)
    return lake.stream


def _stream_problem(file: RawFile) -> str | None:
    if file.format != "json":
        return f"{printable(str(file.path))}: the stream accepts only JSON Lines, one record per line"
    try:
        for number, line in enumerate(stream_lines(file), start=1):
            if len(line) + MOST_KEY_BYTES > MOST_RECORD_BYTES:
                return f"{printable(str(file.path))}: record {number} is longer than the 1 MiB that the stream accepts"
    except (OSError, EOFError, zlib.error) as error:
        return f"{printable(str(file.path))}: cannot be read: {error}"
    return None


def stream_lines(file: RawFile) -> Iterator[bytes]:
    """Yield the lines of a JSON Lines file without their ends; blank lines are not records."""
    return (text for _, text in text_lines(file))


def text_lines(file: RawFile) -> Iterator[tuple[int, bytes]]:
    """Yield the same lines with their numbers in the file."""
    with gzip.open(file.path) if file.suffix.endswith(".gz") else file.path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if record := line.strip():
                yield number, record


def partition_key(line: bytes) -> str:
    """Return the record's id: all versions of a record go to one shard, so that a quick correction stays behind its record.

    What has no id that can be one is a hash of its own.
    """
    try:
        record = DECODER.decode(line.decode())
    except (ValueError, RecursionError):
        record = None
    found = record.get("id") if isinstance(record, dict) else None
    key = (utf8(found) or "").strip(BLANKS) if type(found) is str else ""
    return key if 0 < len(key) <= ID_LENGTH else hashlib.sha256(line).hexdigest()


def batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Group records into requests that Kinesis takes."""
    return grouped(lines, lambda line: len(line) + MOST_KEY_BYTES, most=MOST_RECORDS, most_bytes=MOST_BATCH_BYTES)


def put_batch(lake: Lake, stream: str, where: str, batch: list[bytes]) -> int:
    """Put records until all are taken: PutRecords answers 200 also when it took only some."""
    waiting = [{"Data": line, "PartitionKey": partition_key(line)} for line in batch]
    codes: set[str] = set()
    for attempt in range(PUT_ATTEMPTS):
        if attempt:
            time.sleep(min(0.1 * 2**attempt, 5.0))
        answer = lake.kinesis.put_records(StreamName=stream, Records=waiting)
        codes = {result["ErrorCode"] for result in answer["Records"] if result.get("ErrorCode")}
        waiting = _left_to_put(waiting, answer["Records"])
        if not waiting:
            return len(batch)
    raise DataopsError(
        f"the stream did not accept {len(waiting)} records: {', '.join(sorted(codes))}",
        where=where,
        hint="run the same command again: records delivered twice count once",
    )


def _left_to_put(records: list[dict[str, Any]], results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what was not accepted, and accepted records with the same keys behind it, so that no correction precedes its record.

    The API's function, which shares no code with the command line, does the same.
    """
    left, late = [], set()
    for record, result in zip(records, results, strict=True):
        if result.get("ErrorCode") or record["PartitionKey"] in late:
            left.append(record)
            late.add(record["PartitionKey"])
    return left


def stream_keys(lake: Lake) -> set[str]:
    """Return the objects that the stream delivered on this day (UTC) and later."""
    # Keys sort by day: whatever comes behind today's first possible key is of today or later.
    today = f"{STREAM_PREFIX}ingest_date={datetime.now(UTC):%Y-%m-%d}"
    return {each.key for each in S3ObjectStore(lake.s3, lake.raw_bucket).listing(STREAM_PREFIX, after=today)}


def wait_for_stream(
    lake: Lake,
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
        for key in sorted(stream_keys(lake) - counted):
            arrived += _line_count(lake, key)
            counted.add(key)
            say(f"{arrived:,} of {records:,} records are in the raw bucket")
        if arrived >= records:
            return
    raise DataopsError(
        f"only {arrived:,} of {records:,} records arrived within {timeout_seconds:g} s",
        hint="Firehose writes when its buffer is full or old enough; check again later, or look at delivery-errors/",
    )


def _line_count(lake: Lake, key: str) -> int:
    body = lake.s3.get_object(Bucket=lake.raw_bucket, Key=key)["Body"].read()
    try:
        text = gzip.decompress(body) if key.endswith(".gz") else body
    except (OSError, EOFError, zlib.error) as error:
        raise DataopsError(
            f"the stream delivered an object that is not gzip: {error}",
            where=f"s3://{lake.raw_bucket}/{key}",
            hint="see CompressionFormat of the delivery stream in templates/ingest.yaml",
        ) from error
    return sum(1 for line in text.split(b"\n") if line.strip())
