"""Whether refund_detail says the same as the report's definition, to the cent, in the tables as a run would leave them.

The definition is the text of refunds.sql, so nothing of `detail` or `changes` is trusted here; a run that disagrees must
not be published. Refunds that a run cannot have changed are compared with what stood there before.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from refunds_lake.columns import KINDS
from refunds_lake.frames import BROADCAST_HASHES, few, hash_of
from refunds_lake.tables import CheckFailed, TableSet

DIFFERENCES_SHOWN: Final = 3
DEFINITION: Final = """
with
kept_purchase as (
    select
        purchase.id,
        purchase.customer_id,
        purchase.month
    from {purchase} as purchase
    left join {void} as void on purchase.id = void.parent_id
    where void.parent_id is null
),

kept_refund as (
    select
        refund.parent_id,
        refund.amount,
        refund.month
    from {refund} as refund
    left join {void} as void on refund.id = void.parent_id
    where void.parent_id is null
),

counted_refund as (
    select
        kept_purchase.customer_id,
        kept_refund.amount,
        kept_refund.month
    from kept_refund
    inner join kept_purchase on kept_refund.parent_id = kept_purchase.id
    where kept_refund.month != kept_purchase.month
)

select
    counted_refund.customer_id,
    counted_refund.month,
    counted_refund.amount
from counted_refund
"""
"""refunds.sql up to its sums, and with the refund's month: a test holds the two texts together."""


def check_all(after: TableSet) -> None:
    """Compare all of refund_detail with the definition; raises CheckFailed where they differ.

    Reads id, parent_id and amount of every refund, id and customer_id of every purchase, parent_id of every void.
    """
    parents = None
    if sum(after.rows("refund", month) for month in after.months("refund")) <= BROADCAST_HASHES:
        parents = F.broadcast(after.read("refund").select(hash_of("parent_id").alias("hash")))
    _compare(_definition(after, after.read("refund"), parents), _counted(after.read("refund_detail")))


def check_changes(before: TableSet, after: TableSet, arrived: DataFrame, arrived_rows: int) -> None:
    """Compare what a batch can have changed; raises CheckFailed where refund_detail and the definition differ.

    In: `arrived` has kind, id and parent_id of the batch's transactions. A refund whose id, parent or void arrived, or whose
    void was replaced, must be what the definition says; every other one must be what it was. With the tables in agreement
    before the run, this is agreement of all of them. Reads the columns of `check_all`, joined with the batch's ids alone
    (of purchases, customer_id only in the months that hold a parent), and refund_detail of the touched months.
    """
    touched = {
        month
        for table in ("refund", "refund_detail")
        for month in before.months(table) | after.months(table)
        if before.location(table, month) != after.location(table, month)
    }
    ids = _concerning(before, arrived)
    by_id, by_parent = (
        few(ids.select(F.col("id").alias(name), F.lit(True).alias(f"has_{name}")), arrived_rows)
        for name in ("id", "parent_id")
    )
    concerned = (
        after.read("refund")
        .select("id", "parent_id", "amount", "month")
        .join(by_id, on="id", how="left")
        .join(by_parent, on="parent_id", how="left")
        .where("has_id or has_parent_id")
        .select("id", "parent_id", "amount", "month")
        .localCheckpoint()
    )
    months = {row["month"] for row in concerned.select("month").distinct().collect()}
    concerned_ids = few(concerned.select(F.col("id").alias("refund_id")), arrived_rows)
    elsewhere = after.read("refund_detail", months - touched).join(concerned_ids, on="refund_id", how="left_semi")
    unconcerned = before.read("refund_detail", touched).join(concerned_ids, on="refund_id", how="left_anti")
    parents = few(concerned.select(hash_of("parent_id").alias("hash")), arrived_rows)
    # The ids of all purchases are looked through; their customers are read where there is a parent among them.
    hashed = after.read("purchase").select("month", hash_of("id").alias("hash"))
    theirs = {
        row["month"] for row in hashed.join(parents, on="hash", how="left_semi").select("month").distinct().collect()
    }
    _compare(
        _definition(after, concerned, parents, theirs).unionByName(_counted(unconcerned)),
        _counted(after.read("refund_detail", touched)).unionByName(_counted(elsewhere)),
    )


def _concerning(before: TableSet, arrived: DataFrame) -> DataFrame:
    """The ids (of purchases and refunds) about which the batch says something, or said before."""
    voids = arrived.where(F.col("kind") == "void")
    replaced = before.read("void").join(F.broadcast(voids.select("id")), on="id", how="left_semi")
    return (
        arrived.where(F.col("kind").isin(*KINDS) & (F.col("kind") != "void"))
        .select("id")
        .union(voids.select("parent_id"))
        .union(replaced.select("parent_id"))
        .distinct()
        .localCheckpoint()
    )


def _definition(
    after: TableSet, refunds: DataFrame, parents: DataFrame | None = None, months: Collection[str] | None = None
) -> DataFrame:
    """The refunds that the definition counts: customer_id, month, amount.

    `parents` has the hashes of the refunds' parents: a purchase without one is in no pair, and need not be sorted for the join.
    """
    purchases = after.read("purchase", months).select("id", "customer_id", "month")
    if parents is not None:
        purchases = purchases.withColumn("hash", hash_of("id")).join(parents, on="hash", how="left_semi").drop("hash")
    voids = after.read("void").select("parent_id")
    return after.spark.sql(DEFINITION, purchase=purchases, refund=refunds, void=voids)


def _counted(details: DataFrame) -> DataFrame:
    """The refunds that refund_detail counts: customer_id, month, amount."""
    return details.where("counted").select("customer_id", "month", "amount")


def _compare(defined: DataFrame, found: DataFrame) -> None:
    def sums(frame: DataFrame, sign: int) -> DataFrame:
        amount: Column = F.col("amount").cast("decimal(28,2)") * sign
        return frame.select("customer_id", "month", amount.alias("amount"), F.lit(sign).alias("refunds"))

    differing = (
        sums(found, 1)
        .unionByName(sums(defined, -1))
        .groupBy("month", "customer_id")
        .agg(F.sum("amount").alias("amount"), F.sum("refunds").alias("refunds"))
        .where("amount != 0 or refunds != 0")
    )
    rows = differing.orderBy("month", "customer_id").limit(DIFFERENCES_SHOWN).collect()
    if rows:
        first = "; ".join(
            f"{row['month']} customer {row['customer_id']}: {row['amount']:+} in {row['refunds']:+} refunds"
            for row in rows
        )
        raise CheckFailed(f"refund_detail disagrees with the report's definition, nothing is published: {first}")
