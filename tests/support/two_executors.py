"""The job on two executor processes beside the driver's: `python two_executors.py DIRECTORY SETTINGS`, settings as JSON.

A process of its own, since a process has one Spark. Raw objects are read by two runs, then by a full refresh; the
tables must be what the oracle says. Prints as JSON on how many executors tasks ran, and how many partitions a shuffle
has.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from random import Random

import oracle
from deliveries import raw_objects
from lakehouse import Lakehouse, normal
from pyspark.sql import SparkSession
from refunds_lake.publishing.manifests import RunKind
from refunds_lake.spark.tasks import on_workers


def main() -> None:
    directory, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    builder = SparkSession.builder.master("local-cluster[2,1,1024]").appName("two-executors")
    for name, value in settings.items():
        builder = builder.config(name, value)
    builder = builder.config("spark.executor.extraJavaOptions", settings["spark.driver.extraJavaOptions"])
    spark = builder.config("spark.sql.warehouse.dir", str(directory / "spark")).getOrCreate()
    lakehouse = Lakehouse(spark, directory)
    raws = raw_objects(Random(20261129), 20)
    for part in (raws[::2], raws[1::2]):
        for raw in part:
            lakehouse.raw.put(raw.key, raw.body)
            os.utime(lakehouse.raw.root / raw.key, (raw.modified.timestamp(), raw.modified.timestamp()))
        lakehouse.run()
    expected = normal(oracle.lake(raws))
    assert normal(lakehouse.tables()) == expected
    lakehouse.run(RunKind.FULL_REFRESH)
    assert normal(lakehouse.tables()) == expected
    daemons = on_workers(spark, lambda _: os.getppid(), range(8))
    partitions = int(spark.conf.get("spark.sql.shuffle.partitions"))
    spark.stop()
    print(json.dumps({"executors": len(set(daemons)), "partitions": partitions}))


if __name__ == "__main__":
    main()
