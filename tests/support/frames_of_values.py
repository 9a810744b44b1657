"""Small DataFrames from the values of a test, without the Python workers that `createDataFrame` would start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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


def _plain(value: Any) -> Any:
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value
