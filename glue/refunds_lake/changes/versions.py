"""Which version of a transaction counts: the last ingested one, by modification time, key, line and content.

The winner is the greatest version, whatever order the versions arrive in; that makes the tables a function of the raw
objects alone. Only ids that come more than once, or that are stored already, need this; the others pass by.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

CONTENT: Final = ("timestamp", "amount", "customer_id", "merchant_id", "parent_id")
VERSION: Final = ("ingested_at", "source_file", "file", "line_number", *CONTENT)
"""What orders versions. `file` is greater for what was written later to one key within a second, the unit of S3's times."""
VERSIONED: Final = ("kind", "id", *VERSION, "month")
"""The columns of a transaction of any kind, new or stored."""


def outcomes(candidates: DataFrame, stored: DataFrame) -> DataFrame:
    """Return one row per (kind, id) that says what becomes of its versions.

    In: two frames of VERSIONED columns. Out: kind, id, `winner` and `stored` (structs; stored is null for a new id),
    `is_changed` (the table's row must be replaced), `duplicate`, `superseded` and `kept` (counts).
    """
    version = F.struct(*VERSION, "month")
    rows = candidates.select(*VERSIONED, F.lit(False).alias("is_stored")).unionByName(
        stored.select(*VERSIONED, F.lit(True).alias("is_stored"))
    )
    winner = F.max(version).over(Window.partitionBy("kind", "id"))
    counted = (
        rows.withColumn("winner", winner)
        .withColumn("is_same", _same_content("winner"))
        .groupBy("kind", "id")
        .agg(
            F.max("winner").alias("winner"),
            F.max(F.when(F.col("is_stored"), version)).alias("stored"),
            F.sum((~F.col("is_stored")).cast("long")).alias("candidates"),
            F.sum((~F.col("is_stored") & F.col("is_same")).cast("long")).alias("same"),
            F.max(F.col("is_stored") & ~F.col("is_same")).alias("is_displaced"),
        )
    )
    is_new = F.col("stored").isNull()
    displaced = F.col("is_displaced").cast("long")
    return counted.select(
        "kind",
        "id",
        "winner",
        "stored",
        (is_new | (F.col("winner") != F.col("stored"))).alias("is_changed"),
        (F.col("same") - (is_new | F.col("is_displaced")).cast("long")).alias("duplicate"),
        (F.col("candidates") - F.col("same") + displaced).alias("superseded"),
        is_new.cast("long").alias("kept"),
    )


def _same_content(winner: str) -> Column:
    same = F.lit(True)
    for name in CONTENT:
        same = same & F.col(name).eqNullSafe(F.col(f"{winner}.{name}"))
    return same


def winners(changed: DataFrame) -> DataFrame:
    """Return the rows to be added to the tables, as VERSIONED columns, from changed outcomes."""
    return changed.select("kind", "id", "winner.*").select(*VERSIONED)


def removed(outcome: DataFrame) -> DataFrame:
    """Return the stored rows to be removed from their month, as VERSIONED columns, from changed outcomes."""
    return outcome.where(F.col("stored").isNotNull()).select("kind", "id", "stored.*").select(*VERSIONED)
