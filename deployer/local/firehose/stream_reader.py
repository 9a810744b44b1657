"""What delivery streams read of Kinesis streams: each remembers how far it has come, so nothing that a stream took is lost.

What cannot be delivered when it is put (the role may not, the disk is full, a kill) stays where it is, and is tried again
every few seconds, as long as the Kinesis stream keeps it. The emulator hands records on once and forgets what failed.
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
#: How often it is looked for what could not be delivered.
TICK_SECONDS = 3.0
#: Member of a delivery stream: shard of its Kinesis stream -> number of the last record that was delivered of it.
DELIVERED = "delivered"


class StreamReader:
    """Passes records on Kinesis streams to `deliver`, which takes a delivery stream with records, and says whether it did."""

    def __init__(self, firehose: Any, deliver: Callable[[Data, Sequence[Record]], bool]) -> None:
        self._firehose, self._deliver = firehose, deliver
        self._sources = require(load("services.kinesis"), "_streams")

    def read(self, arn: str) -> None:
        """Deliver what a Kinesis stream has for the delivery streams that read it."""
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
        """Try again what could not be delivered."""
        request_scope = load("core.responses").request_scope
        while True:
            time.sleep(TICK_SECONDS)
            try:
                for account, region in {key[:2] for key in list(self._firehose._streams._data)}:
                    with request_scope(account, region):
                        on_loop(self._read_all)
            except Exception:  # noqa: BLE001 - the clock must go on, and what stopped this tick be seen
                _log.exception("the delivery streams could not be looked at")

    def _read_all(self) -> None:
        for arn in {arn for stream in self._firehose._streams.values() if (arn := source_of(stream))}:
            self.read(arn)


def source_of(stream: Data) -> str | None:
    """Return the ARN of the Kinesis stream that a delivery stream reads, if it reads one."""
    is_reader = stream.get("type") == "KinesisStreamAsSource"
    return (stream.get("kinesis_source") or {}).get("KinesisStreamARN") if is_reader else None


def waiting(stream: Data, shard: str, records: Sequence[Data]) -> Iterator[Data]:
    """Yield the records of a shard behind the last delivered one; without one, those since the delivery stream was made."""
    last, start = stream[DELIVERED].get(shard), len(records)
    while start and records[start - 1]["SequenceNumber"] != last:
        start -= 1
    for record in records[start:]:
        if last or record["ApproximateArrivalTimestamp"] >= round(stream["created_at"], 3):
            yield record
