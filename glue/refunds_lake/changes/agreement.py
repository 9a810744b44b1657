"""Checks that refund_detail agrees with the report's definition, to the cent, in the tables as a run would leave them.

The definition is the text of refunds.sql, so nothing of `detail` or `changes` is trusted here; a run that disagrees
must not be published. Which stored rows a batch concerns is asked of `lookup`, as the run does. Refunds that a run cannot
have changed are compared with what stood there before.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Final

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from refunds_lake.publishing.manifests import changes_between
from refunds_lake.raw.batch import Batch
from refunds_lake.spark.frames import BROADCAST_HASHES
from refunds_lake.tables.lookup import Lookup
from refunds_lake.tables.month_search import Ids, Wanted
from refunds_lake.tables.table_set import CheckFailed, TableSet

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

select * from counted_refund
"""
"""refunds.sql up to its sums, and with the refund's month: a test holds the two texts together."""


def check(before: TableSet, after: TableSet, batch: Batch, lookup: Lookup) -> None:
    """Compare refund_detail with the definition on the new tables; raise CheckFailed if they differ."""
    if before.months("refund_detail"):
        check_changes(before, after, lookup.of_pieces(batch.pieces, batch.broken), lookup)
    else:
        check_all(after)


def check_all(after: TableSet) -> None:
    """Compare all of refund_detail with the definition; raise CheckFailed if they differ.

    Reads id, parent_id and amount of every refund, id and customer_id of every purchase, parent_id of every void.
    """
    purchases = after.read("purchase").select("id", "customer_id", "month")
    if sum(after.rows("refund", month) for month in after.months("refund")) <= BROADCAST_HASHES:
        # A purchase whose id is not even like a parent's is in no pair, and need not be sorted for the join.
        parents = F.broadcast(after.read("refund").select(F.xxhash64("parent_id").alias("hash")))
        hashed = purchases.withColumn("hash", F.xxhash64("id"))
        purchases = hashed.join(parents, on="hash", how="left_semi").drop("hash")
    _compare(_definition(after.read("refund"), purchases, after.read("void")), _counted(after.read("refund_detail")))


def check_changes(before: TableSet, after: TableSet, arrived: Mapping[str, Ids], lookup: Lookup) -> None:
    """Compare what a batch can have changed; raise CheckFailed if refund_detail and the definition differ.

    In: `arrived` has the ids of the batch's transactions by kind. A refund whose id, parent or void arrived, or whose void
    was replaced, must be what the definition says; every other one must be what it was. With the tables in agreement
    before the run, this is agreement of all of them.
    """
    changed = changes_between(before.live, after.live)
    touched = {*changed.get("refund", ()), *changed.get("refund_detail", ())}
    replaced = lookup.find(before, "void", Wanted(arrived["void"].ids))
    voided = np.union1d(arrived["void"].parents, replaced.ids.parents)
    ids = reduce(np.union1d, (arrived["purchase"].ids, arrived["refund"].ids, voided))
    refunds = lookup.find(after, "refund", Wanted(ids, ids))
    purchases = lookup.find(after, "purchase", Wanted(referred=refunds.ids.parents))
    voids = lookup.find(after, "void", Wanted(parents=np.union1d(refunds.ids.ids, refunds.ids.parents)))
    concerned, parents, theirs = (
        each.rows if each.rows is not None else after.read(table, ())
        for table, each in (("refund", refunds), ("purchase", purchases), ("void", voids))
    )
    months = {row["month"] for row in concerned.select("month").distinct().collect()}
    concerned_ids = F.broadcast(concerned.select(F.col("id").alias("refund_id")))
    elsewhere = after.read("refund_detail", months - touched).join(concerned_ids, on="refund_id", how="left_semi")
    unconcerned = before.read("refund_detail", touched).join(concerned_ids, on="refund_id", how="left_anti")
    _compare(
        _definition(concerned, parents, theirs).unionByName(_counted(unconcerned)),
        _counted(after.read("refund_detail", touched)).unionByName(_counted(elsewhere)),
    )


def _definition(refunds: DataFrame, purchases: DataFrame, voids: DataFrame) -> DataFrame:
    """Return the refunds that the definition counts: customer_id, month, amount."""
    return refunds.sparkSession.sql(DEFINITION, purchase=purchases, refund=refunds, void=voids)


def _counted(details: DataFrame) -> DataFrame:
    """Return the refunds that refund_detail counts: customer_id, month, amount."""
    return details.where("counted").select("customer_id", "month", "amount")


def _compare(defined: DataFrame, found: DataFrame) -> None:
    def sums(frame: DataFrame, sign: int) -> DataFrame:
        amount = (F.col("amount") * sign).alias("amount")
        return frame.select("customer_id", "month", amount, F.lit(sign).alias("refunds"))

    differing = (
        sums(found, 1)
        .unionByName(sums(defined, -1))
        .groupBy("month", "customer_id")
        .agg(F.sum("amount").alias("amount"), F.sum("refunds").alias("refunds"))
        .where("amount != 0 or refunds != 0")
    )
    rows = differing.orderBy("month", "customer_id").limit(DIFFERENCES_SHOWN).collect()
    if rows:
        shown = [f"{r['month']} customer {r['customer_id']}: {r['amount']:+} in {r['refunds']:+} refunds" for r in rows]
        first = "; ".join(shown)
        raise CheckFailed(f"refund_detail disagrees with the report's definition, nothing is published: {first}")
