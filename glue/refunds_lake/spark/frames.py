"""Which frames are sent to every task, and a frame without rows."""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

BROADCAST_ROWS: Final = 1_000_000
"""Up to so many ids are sent to every task, so that what they are looked up in is not shuffled."""
BROADCAST_HASHES: Final = 4_000_000
"""The same for hashes of ids, which take 8 bytes each."""


def few(frame: DataFrame, rows: int, limit: int = BROADCAST_ROWS) -> DataFrame:
    """Mark a frame to be sent to every task if it has few rows; larger ones are joined by shuffling."""
    return F.broadcast(frame) if rows <= limit else frame


def empty_frame(spark: SparkSession, schema: str) -> DataFrame:
    """Return an empty frame with a schema string."""
    return spark.range(0).select(F.from_json(F.lit(None).cast("string"), schema).alias("_")).select("_.*")
