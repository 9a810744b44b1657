"""The record contract: which raw records are transactions, and every reason why another one is not.

Works on the texts that `read` hands over; each rule is one entry of RULES. Nothing here can raise on bad input, with
ANSI mode on or off, so that one bad record never stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from refunds_lake.columns import KINDS
from refunds_lake.frames import id_hash

ID_LENGTH: Final = 64
EARLIEST: Final = "2000-01-01 00:00:00"
TIMESTAMP: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?\z"
)
AMOUNT: Final = r"^[0-9]{1,16}(\.[0-9]{1,2})?\z"
TEXTS: Final = ("id", "customer_id", "merchant_id", "parent_id")
REJECTED, BLANK = "rejected", "blank"

Rule = Callable[[], Column]


def _is(kind: str) -> Column:
    return F.col("type") == kind


def _is_child() -> Column:
    return F.col("type").isin("refund", "void")


def _not_text(name: str) -> Column:
    """The field is there, but as a number, a boolean, a list or an object."""
    return F.coalesce(F.array_contains("not_text", name), F.lit(False))


def _missing(name: str) -> Column:
    return F.col(name).isNull() & ~_not_text(name)


def _has(name: str) -> Column:
    return F.coalesce(F.col(f"{name}_text") != "", F.lit(False))


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "invalid_utf8": lambda: F.col("invalid_utf8"),
        "id_not_text": lambda: _not_text("id"),
        "id_missing": lambda: _missing("id"),
        "id_too_long": lambda: F.length("id") > ID_LENGTH,
        "type_missing": lambda: F.col("type").isNull(),
        "type_unknown": lambda: ~F.col("type").isin(*KINDS),
        "timestamp_missing": lambda: ~_has("timestamp"),
        "timestamp_invalid": lambda: _has("timestamp") & F.col("timestamp").isNull(),
        "timestamp_too_early": lambda: F.col("timestamp") < F.lit(EARLIEST).cast("timestamp"),
        "timestamp_too_late": lambda: F.col("timestamp") >= F.col("too_late"),
        "amount_missing": lambda: ~_has("amount"),
        "amount_invalid": lambda: _has("amount") & F.col("amount").isNull(),
        "amount_not_positive": lambda: F.col("amount") <= 0,
        "customer_id_not_text": lambda: _is("purchase") & _not_text("customer_id"),
        "customer_id_missing": lambda: _is("purchase") & _missing("customer_id"),
        "merchant_id_not_text": lambda: _is("purchase") & _not_text("merchant_id"),
        "merchant_id_missing": lambda: _is("purchase") & _missing("merchant_id"),
        "parent_id_present": lambda: _is("purchase") & (F.col("parent_id").isNotNull() | _not_text("parent_id")),
        "parent_id_not_text": lambda: _is_child() & _not_text("parent_id"),
        "parent_id_missing": lambda: _is_child() & _missing("parent_id"),
        "parent_id_too_long": lambda: _is_child() & (F.length("parent_id") > ID_LENGTH),
    }
)
"""Reason code -> the condition on a cleaned record under which it applies; an unknown (null) condition does not."""


def cleaned(records: DataFrame) -> DataFrame:
    """Texts as values: ids trimmed, the type in lower case, timestamp and amount null where the text is no such thing."""
    names = (*TEXTS, "type")
    others = [name for name in records.columns if name not in (*names, "timestamp", "amount", "is_tidy")]
    # In two steps, so that each text is trimmed once.
    return records.select(*others, "timestamp", "amount", *(_trimmed(name).alias(name) for name in names)).select(
        *others,
        *(F.when(F.col(name) != "", F.col(name)).alias(name) for name in TEXTS),
        F.when(F.col("type") != "", _lowered(F.col("type"))).alias("type"),
        F.col("timestamp").alias("timestamp_text"),
        F.when(F.col("timestamp").rlike(TIMESTAMP), _moment()).alias("timestamp"),
        F.col("amount").alias("amount_text"),
        F.when(F.col("amount").rlike(AMOUNT), F.expr("try_cast(`amount` as decimal(18,2))")).alias("amount"),
    )


def _trimmed(name: str) -> Column:
    """Without spaces, tabs and ends of lines around it; where there can be spaces only, Spark's plain trim is far cheaper."""
    return F.when(F.col("is_tidy"), F.trim(name)).otherwise(F.expr(rf"trim(BOTH ' \t\r\n' FROM `{name}`)"))


def _lowered(text: Column) -> Column:
    return F.lower(text)


def _moment() -> Column:
    """The text as a timestamp; the Z goes first, UTC is the session's zone and Spark compiles a pattern for each zone."""
    text = "CASE WHEN endswith(`timestamp`, 'Z') THEN substr(`timestamp`, 1, char_length(`timestamp`) - 1) ELSE `timestamp` END"
    return F.expr(f"try_cast({text} as timestamp)")


def judged(records: DataFrame, time_zone: str) -> DataFrame:
    """Every record with its `kind` and `month`, or with its `reasons`; blank lines and headers have kind blank.

    In: the columns of `read.records`. Out: file, block, row, kind, month, id, id_hash (of kind and id), timestamp, parent_id,
    customer_id, merchant_id, amount, raw_text and reasons (of rejected records only).
    """
    broken = [F.coalesce(rule(), F.lit(False)) for rule in RULES.values()]
    is_sound = F.col("fault").isNull() & ~reduce(lambda one, other: one | other, broken)
    reasons = F.when(F.col("fault").isNotNull(), F.array("fault")).otherwise(
        F.array_compact(F.array(*(F.when(rule(), F.lit(reason)) for reason, rule in RULES.items())))
    )
    is_purchase, is_rejected = F.col("kind") == "purchase", F.col("kind") == REJECTED
    local = F.from_utc_timestamp("timestamp", time_zone)
    month = F.concat(F.year(local).cast("string"), F.lit("-"), F.lpad(F.month(local).cast("string"), 2, "0"))
    kind = F.when(F.col("is_blank"), BLANK).when(is_sound, F.col("type")).otherwise(REJECTED)
    return (
        records.transform(cleaned)
        .withColumn("kind", kind)
        .select(
            "file",
            "block",
            "row",
            "kind",
            F.when(F.col("kind").isin(*KINDS), month).alias("month"),
            *(F.when(F.col("kind").isin(*KINDS), F.col(name)).alias(name) for name in ("id", "timestamp", "amount")),
            F.when(F.col("kind").isin(*KINDS), id_hash("kind", "id")).alias("id_hash"),
            F.when(F.col("kind").isin("refund", "void"), F.col("parent_id")).alias("parent_id"),
            F.when(is_purchase, F.col("customer_id")).alias("customer_id"),
            F.when(is_purchase, F.col("merchant_id")).alias("merchant_id"),
            F.when(is_rejected, F.coalesce("text", "cut")).alias("raw_text"),
            F.when(is_rejected, reasons).alias("reasons"),
        )
    )
