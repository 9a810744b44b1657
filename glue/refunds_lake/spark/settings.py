"""The Spark settings that the library needs, and those that make it fast. Imports no Spark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

PARTITIONS: Final = "spark.sql.shuffle.partitions"
SETTINGS: Final[Mapping[str, str]] = {
    # Correctness: texts without an offset are UTC, months stay texts, nothing unreadable is passed over.
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    # Files: timestamps that Athena reads as such, zstd, and no marker objects beside the data.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.compression.codec": "zstd",
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "128m",
    # Speed: few shuffle partitions, at least (`spread`; adaptive execution cuts them to size), broadcasts up to a day's ids.
    PARTITIONS: "8",
    "spark.sql.autoBroadcastJoinThreshold": "32m",
    # Joins that were planned by sorting hash one side instead where its partitions turn out to be small; Spark does so
    # only where this is not less than the advisory size.
    "spark.sql.adaptive.maxShuffledHashJoinLocalMapThreshold": "128m",
    # Random ids hardly become smaller, and so little is shuffled that the bytes do not matter.
    "spark.shuffle.compress": "false",
    "spark.broadcast.compress": "false",
    # Python workers keep what they free of up to 256 MiB for the next block, instead of having it zeroed by the system.
    "spark.executorEnv.MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "spark.executorEnv.MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    # A table's months are listed by the driver; with more paths than this Spark starts a job for it.
    "spark.sql.sources.parallelPartitionDiscovery.threshold": "256",
    # Memory: each broadcast and each sort takes at least a page, by default a sixteenth of a core's share (64 MB here).
    "spark.buffer.pageSize": "8m",
    "spark.ui.enabled": "false",
    # Spark 4 would ask Java some ten more times in each call on a DataFrame, to name the script's line in an error.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.maxPlanStringLength": "10000",
}


def spread(spark: Any) -> None:
    """Give shuffles as many partitions as the cluster has cores, once its workers have started, so that all are busy."""
    spark.conf.set(PARTITIONS, str(max(int(spark.conf.get(PARTITIONS)), spark.sparkContext.defaultParallelism)))


def quiet(spark: Any) -> None:
    """Suppress Spark's warning that it cut the text of a plan, which it prints for every larger plan."""
    log4j = spark._jvm.org.apache.logging.log4j
    log4j.core.config.Configurator.setLevel("org.apache.spark.sql.catalyst.util", log4j.Level.ERROR)
