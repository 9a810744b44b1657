"""Reads Kinesis streams for delivery streams: each remembers its position, so nothing that a stream accepted is lost.

A record that cannot be delivered at once (a missing permission, a full disk, a kill) stays in the Kinesis stream and is
retried every few seconds for as long as the stream keeps it. The emulator passes records on once and forgets failures.
"""

from __future__ import annotations

import base64
import heapq
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, require

Data = dict[str, Any]
#: Record id and content.
Record = tuple[str, bytes]
_log = logging.getLogger(__name__)
#: How often undelivered records are retried.
TICK_SECONDS = 3.0
#: Member of a delivery stream: shard of its Kinesis stream -> sequence number of the last delivered record.
DELIVERED = "delivered"


class StreamReader:
    """Passes records of Kinesis streams to `deliver`, which returns whether a delivery stream has delivered them."""

    def __init__(self, firehose: Any, deliver: Callable[[Data, Sequence[Record]], bool]) -> None:
        self._firehose, self._deliver = firehose, deliver
        self._sources = require(load("services.kinesis"), "_streams")

    def read(self, arn: str) -> None:
        """Deliver the new records of a Kinesis stream through each delivery stream that reads it."""
        source = next((each for each in self._sources.values() if each["StreamARN"] == arn), None)
        for stream in self._firehose._streams.values():
            if source is not None and source_of(stream) == arn and stream.get("status") == "ACTIVE":
                self._catch_up(stream, source)

    def _catch_up(self, stream: Data, source: Data) -> None:
        delivered = stream.setdefault(DELIVERED, {})
        shards = {
            shard: list(waiting(stream, shard, content["records"])) for shard, content in source["shards"].items()
        }
        as_they_came = heapq.merge(*shards.values(), key=lambda record: record["SequenceNumber"])
        records = [(self._firehose._record_id(), base64.b64decode(each["Data"])) for each in as_they_came]
        if records and self._deliver(stream, records):
            delivered.update({shard: some[-1]["SequenceNumber"] for shard, some in shards.items() if some})

    def read_forever(self) -> None:
        """Retry what could not be delivered, every few seconds."""
        request_scope = load("core.responses").request_scope
        while True:
            time.sleep(TICK_SECONDS)
            try:
                for account, region in {key[:2] for key in list(self._firehose._streams._data)}:
                    with request_scope(account, region):
                        on_loop(self._read_all)
            except Exception:  # noqa: BLE001 - the clock must go on, and the log shows what stopped this tick
                _log.exception("undelivered records could not be retried")

    def _read_all(self) -> None:
        for arn in {arn for stream in self._firehose._streams.values() if (arn := source_of(stream))}:
            self.read(arn)


def source_of(stream: Data) -> str | None:
    """Return the ARN of the Kinesis stream that a delivery stream reads, if it reads one."""
    is_reader = stream.get("type") == "KinesisStreamAsSource"
    return (stream.get("kinesis_source") or {}).get("KinesisStreamARN") if is_reader else None


def waiting(stream: Data, shard: str, records: Sequence[Data]) -> Iterator[Data]:
    """Yield a shard's records after the last delivered one, or else those since the delivery stream was created."""
    last, start = stream[DELIVERED].get(shard), len(records)
    while start and records[start - 1]["SequenceNumber"] != last:
        start -= 1
    for record in records[start:]:
        if last or record["ApproximateArrivalTimestamp"] >= round(stream["created_at"], 3):
            yield record
