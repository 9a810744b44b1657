"""Small DataFrames from values of the driver, and ids as numbers.

Nothing here starts Python workers: `createDataFrame` would, for a list.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


BROADCAST_ROWS: Final = 1_000_000
"""Up to so many ids are sent to every task, so that what they are looked up in is not shuffled."""
BROADCAST_HASHES: Final = 4_000_000
"""The same for hashes of ids, which take 8 bytes each."""


def few(frame: DataFrame, rows: int, limit: int = BROADCAST_ROWS) -> DataFrame:
    """The frame, to be sent to every task when it has few rows; more are joined by shuffling."""
    return F.broadcast(frame) if rows <= limit else frame


def local_frame(spark: SparkSession, schema: str, rows: Sequence[Sequence[Any]]) -> DataFrame:
    """Rows of strings, numbers and UTC datetimes under a schema string such as `a string, b timestamp`."""
    columns = [column.split() for column in schema.split(", ")]
    carried = ", ".join(f"{name}: {'bigint' if type_ == 'timestamp' else type_}" for name, type_ in columns)
    values = [{name: _plain(value) for (name, _), value in zip(columns, row, strict=True)} for row in rows]
    parsed = F.from_json(F.lit(json.dumps(values)), f"array<struct<{carried}>>")
    return (
        spark.range(1, numPartitions=1)
        .select(F.inline(parsed))
        .select(
            *(F.timestamp_micros(name).alias(name) if type_ == "timestamp" else F.col(name) for name, type_ in columns)
        )
    )


def empty_frame(spark: SparkSession, schema: str) -> DataFrame:
    """No rows under a schema string."""
    return spark.range(0).select(F.from_json(F.lit(None).cast("string"), schema).alias("_")).select("_.*")


def hash_of(id_: str) -> Column:
    """A 64-bit hash of an id: preselects rows for a join, never decides."""
    return F.xxhash64(id_)


def _plain(value: Any) -> Any:
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value
