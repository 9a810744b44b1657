"""Start a Spark session and run one tiny job; the last line of the output is JSON with the seconds."""

from __future__ import annotations

import json
import time

started = time.monotonic()

from pyspark.sql import SparkSession

spark = SparkSession.builder.appName("start").getOrCreate()
session_seconds = time.monotonic() - started
spark.range(10).selectExpr("sum(id)").collect()
job_seconds = time.monotonic() - started
spark.stop()
print(json.dumps({"session_seconds": session_seconds, "with_tiny_job_seconds": job_seconds}))
