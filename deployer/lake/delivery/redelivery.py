"""Puts what Firehose could not deliver onto the stream once more: the records that it wrote below delivery-errors/.

An object is marked when all its records were taken, so that it is delivered again once; a delivery that breaks off before the
mark is made again, and what then comes twice counts once.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from deployer.errors import DataopsError
from deployer.lake.arrivals import DELIVERED_AGAIN, DELIVERY_ERRORS, errors_to_deliver
from deployer.lake.delivery.stream import batches, put_batch, stream_of
from deployer.lake.deployed_lake import Lake


@dataclass(frozen=True)
class Redelivery:
    """One object of delivery-errors/ and the records in it that are on the stream again."""

    key: str  #: the object below `delivery-errors/`
    records: int  #: its records, which are on the stream again


def deliver_again(lake: Lake, say: Callable[[str], None]) -> list[Redelivery]:
    """Put the records of every object that was not delivered again yet onto the stream."""
    stream, done = stream_of(lake), []
    for key in errors_to_deliver(lake):
        records = records_in(key, lake.s3.get_object(Bucket=lake.raw_bucket, Key=key)["Body"].read())
        for batch in batches(records):
            put_batch(lake, stream, key, batch)
        lake.s3.put_object(
            Bucket=lake.raw_bucket, Key=f"{DELIVERED_AGAIN}{key.removeprefix(DELIVERY_ERRORS)}", Body=b""
        )
        done.append(Redelivery(key, len(records)))
        say(f"{key}: {len(records):,} records on the stream again")
    return done


def records_in(key: str, body: bytes) -> list[bytes]:
    """Return the records of an object in Firehose's form: one JSON document per line, with the record in base64.

    https://docs.aws.amazon.com/firehose/latest/dev/data-transformation.html#data-transformation-failure-handling
    """
    try:
        text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
        documents = [json.loads(line) for line in text.splitlines() if line.strip()]
        return [base64.b64decode(document["rawData"], validate=True).rstrip(b"\r\n") for document in documents]
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, binascii.Error) as error:
        raise DataopsError(
            f"this is not an object with Firehose's errors: {error!r}",
            where=key,
            hint="move it elsewhere, or deliver its records with `dataops ingest`; then run the same command again",
        ) from error
