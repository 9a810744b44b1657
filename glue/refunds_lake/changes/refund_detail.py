"""refund_detail: whether each refund counts in the report, and why; it must always agree with refunds.sql.

A pure function of the refunds, the purchases and the voids; which refunds need it again is for `changes` to find out.
"""

from __future__ import annotations

from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from refunds_lake.schema.columns import names

ORPHAN: Final = "orphan"
VOIDED_PURCHASE: Final = "voided_purchase"
VOIDED_REFUND: Final = "voided_refund"
SAME_MONTH: Final = "same_month"


def details(refunds: DataFrame, purchases: DataFrame, voids: DataFrame) -> DataFrame:
    """Return one row per refund, with its month: customer, merchant and month of the purchase, and counted or the reason why not.

    In: refunds (id, parent_id, amount, month), purchases (id, customer_id, merchant_id, month) of all their parents that
    have arrived, voids (parent_id, each once) of all that concern them. The first reason that applies is given, in the
    order orphan, voided_purchase, voided_refund, same_month.
    """
    parent = purchases.select(
        F.col("id").alias("parent_id"), "customer_id", "merchant_id", F.col("month").alias("purchase_month")
    )
    reason = (
        F.when(F.col("purchase_month").isNull(), ORPHAN)
        .when(F.col("is_purchase_voided"), VOIDED_PURCHASE)
        .when(F.col("is_refund_voided"), VOIDED_REFUND)
        .when(F.col("purchase_month") == F.col("month"), SAME_MONTH)
    )
    return (
        refunds.select(F.col("id").alias("refund_id"), "parent_id", "amount", "month")
        .join(parent, on="parent_id", how="left")
        .join(voids.select("parent_id", F.lit(True).alias("is_purchase_voided")), on="parent_id", how="left")
        .join(
            voids.select(F.col("parent_id").alias("refund_id"), F.lit(True).alias("is_refund_voided")),
            on="refund_id",
            how="left",
        )
        .withColumn("reason", reason)
        .withColumn("counted", F.col("reason").isNull())
        .select(*names("refund_detail"), "month")
    )
