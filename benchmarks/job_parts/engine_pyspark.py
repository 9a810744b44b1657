"""The rival in straightforward PySpark: what most people write first, with `spark.sql.shuffle.partitions` set to 8.

Schema on read, casts with checks, `row_number` to keep the last version, a cached frame, `partitionBy("month")` writes.
The same counts and rows as the others. It leaves out what DuckDB's does as well: line numbers, manifests, checks of what was
written, publication. The last line of its output is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

FIELDS = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
CONTENT = ("timestamp", "amount", "customer_id", "merchant_id", "parent_id")
TABLES = {
    "purchase": ("id", "timestamp", "customer_id", "merchant_id", "amount", "ingested_at", "source_file", "month"),
    "void": ("id", "timestamp", "parent_id", "amount", "ingested_at", "source_file", "month"),
    "refund": ("id", "timestamp", "parent_id", "amount", "ingested_at", "source_file", "month"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--detail", action="store_true")
    arguments = parser.parse_args()
    spark = (
        SparkSession.builder.appName("straightforward")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "8")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    facts = load(spark, arguments.raw, arguments.out, detail=arguments.detail)
    spark.stop()
    print(json.dumps(facts))


def load(spark: SparkSession, raw: Path, out: Path, *, detail: bool) -> dict[str, int]:
    """Fill the tables below `out` and return the counts of what was read and what became of it."""
    checked = check(read(spark, raw)).cache()
    accepted = checked.where(F.size("reasons") == 0)
    newest_first = Window.partitionBy("type", "id").orderBy(
        *(F.desc(name) for name in ("ingested_at", "source_file", *CONTENT))
    )
    content = F.struct(*CONTENT)
    versions = accepted.withColumn("place", F.row_number().over(newest_first)).withColumn(
        "is_same", content.eqNullSafe(F.first(content).over(newest_first))
    )
    versions = versions.cache()
    latest = versions.where("place = 1")
    for table, columns in TABLES.items():
        write(latest.where(F.col("type") == table).select(*columns), out / table)
    rejected = checked.where(F.size("reasons") > 0).select(
        "raw_text", "reasons", "source_file", "ingested_at", F.date_format("ingested_at", "yyyy-MM").alias("month")
    )
    write(rejected, out / "rejected")
    if detail:
        write(details(latest), out / "refund_detail")
    read_records = checked.count()
    outcome = versions.groupBy(
        F.when(F.col("place") == 1, "kept").when(F.col("is_same"), "duplicate").otherwise("superseded").alias("outcome")
    ).count()
    counts = {row["outcome"]: row["count"] for row in outcome.collect()}
    return {
        "read": read_records,
        "kept": counts.get("kept", 0),
        "duplicate": counts.get("duplicate", 0),
        "superseded": counts.get("superseded", 0),
        "rejected": read_records - sum(counts.values()),
    }


def read(spark: SparkSession, raw: Path) -> DataFrame:
    """JSON Lines with an explicit schema; a line that is no JSON keeps its text, like every other one."""
    schema = ", ".join(f"{name} string" for name in FIELDS)
    lines = spark.read.option("recursiveFileLookup", "true").text(str(raw)).withColumnRenamed("value", "raw_text")
    parsed = lines.withColumn("record", F.from_json("raw_text", f"{schema}, _corrupt_record string"))
    return parsed.select(
        "raw_text",
        "record.*",
        F.col("_metadata.file_modification_time").alias("ingested_at"),
        F.col("_metadata.file_path").alias("source_file"),
    ).where(F.trim("raw_text") != "")


def check(records: DataFrame) -> DataFrame:
    """Typed columns, month, and the reasons why a record is no transaction."""
    texts = records.withColumns(
        {
            **{name: F.trim(name) for name in ("id", "customer_id", "merchant_id", "parent_id")},
            "type": F.lower(F.trim("type")),
            "timestamp_text": F.col("timestamp"),
            "amount_text": F.col("amount"),
        }
    )
    typed = texts.withColumns(
        {
            "timestamp": F.col("timestamp_text").cast("timestamp"),
            "amount": F.when(
                F.col("amount_text").rlike(r"^\d{1,16}(\.\d{1,2})?$"), F.col("amount_text").cast("decimal(18,2)")
            ),
        }
    )
    is_purchase, is_child = F.col("type") == "purchase", F.col("type").isin("refund", "void")
    is_json = F.col("_corrupt_record").isNull()

    def empty(name: str) -> Column:
        return F.coalesce(F.col(name), F.lit("")) == ""

    rules = {
        "not_json": ~is_json,
        "id_missing": is_json & empty("id"),
        "id_too_long": F.length("id") > 64,
        "type_missing": is_json & empty("type"),
        "type_unknown": ~(is_purchase | is_child),
        "timestamp_missing": is_json & empty("timestamp_text"),
        "timestamp_invalid": ~empty("timestamp_text") & F.col("timestamp").isNull(),
        "timestamp_out_of_range": (F.col("timestamp") < "2000-01-01")
        | (F.col("timestamp") >= F.date_add(F.to_date("ingested_at"), 2)),
        "amount_missing": is_json & empty("amount_text"),
        "amount_invalid": ~empty("amount_text") & F.col("amount").isNull(),
        "amount_not_positive": F.col("amount") <= 0,
        "customer_id_missing": is_purchase & empty("customer_id"),
        "merchant_id_missing": is_purchase & empty("merchant_id"),
        "parent_id_missing": is_child & empty("parent_id"),
        "parent_id_too_long": is_child & (F.length("parent_id") > 64),
        "parent_id_present": is_purchase & ~empty("parent_id"),
    }
    reasons = F.array_compact(F.array(*(F.when(rule, F.lit(name)) for name, rule in rules.items())))
    return typed.withColumn("reasons", reasons).withColumn("month", F.date_format("timestamp", "yyyy-MM"))


def details(latest: DataFrame) -> DataFrame:
    """One row per refund: counted, or the reason why not."""
    purchases = latest.where("type = 'purchase'").select(
        F.col("id").alias("parent_id"), "customer_id", "merchant_id", F.col("month").alias("purchase_month")
    )
    voided = latest.where("type = 'void'").select(F.col("parent_id").alias("void_of")).distinct()
    refunds = latest.where("type = 'refund'").select(F.col("id").alias("refund_id"), "parent_id", "amount", "month")
    of_purchase, of_refund = voided.alias("of_purchase"), voided.alias("of_refund")
    joined = (
        refunds.join(purchases, on="parent_id", how="left")
        .join(of_purchase, F.col("parent_id") == F.col("of_purchase.void_of"), how="left")
        .join(of_refund, F.col("refund_id") == F.col("of_refund.void_of"), how="left")
    )
    reason = (
        F.when(F.col("purchase_month").isNull(), "orphan")
        .when(F.col("of_purchase.void_of").isNotNull(), "voided_purchase")
        .when(F.col("of_refund.void_of").isNotNull(), "voided_refund")
        .when(F.col("purchase_month") == F.col("month"), "same_month")
    )
    return joined.withColumn("reason", reason).select(
        "refund_id",
        "customer_id",
        "merchant_id",
        "purchase_month",
        "amount",
        F.col("reason").isNull().alias("counted"),
        "reason",
        "month",
    )


def write(rows: DataFrame, target: Path) -> None:
    rows.write.mode("overwrite").partitionBy("month").parquet(str(target))


if __name__ == "__main__":
    main()
