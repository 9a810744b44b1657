"""The lakehouse's own job, run once on a lake in a directory: the job's code and its adapters over `local_lake`.

Does all of its work: reading, judging, versions, four tables and the rejected records, checks of what was written, lock,
publication, manifest. The last line of its output is JSON; `--raw` may be a directory that earlier runs have read already.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

from local_lake import DirectoryStore, file_catalog
from processes import cpu_seconds_by_thread, descendants, io_bytes
from wire import Wire

RAW_BUCKET = "bench-raw"
BASE_BUCKET = "bench-base"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw", type=Path, help="directory of the raw bucket; deliveries lie below transactions/")
    parser.add_argument("base", type=Path, help="directory of the base bucket")
    parser.add_argument("--full-refresh", action="store_true")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="how long each request to S3 and Glue takes")
    arguments = parser.parse_args()
    wire = Wire(arguments.base.with_suffix(".requests"), arguments.latency_ms / 1_000)
    print(json.dumps(run_once(arguments.raw, arguments.base, wire, full_refresh=arguments.full_refresh)))


def run_once(raw: Path, base: Path, wire: Wire, *, full_refresh: bool) -> dict[str, object]:
    """Start Spark as base_tables.py does, run the job, and say what it counted, how long it took and what it moved."""
    started = time.monotonic()
    from pyspark.sql import SparkSession
    from refunds_lake.job.context import JobContext, JobSettings
    from refunds_lake.job.run import run
    from refunds_lake.publishing.manifests import RunKind
    from refunds_lake.spark.settings import SETTINGS

    builder = SparkSession.builder.appName("base-tables")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    ready = time.monotonic()
    read_before, written_before = io_bytes(descendants(os.getpid()))
    steps: list[tuple[float, str]] = []
    wire.clear()
    context = JobContext(
        spark=spark,
        raw=DirectoryStore(RAW_BUCKET, raw, wire),
        base=DirectoryStore(BASE_BUCKET, base, wire),
        catalog=file_catalog(base.with_suffix(".catalog.json"), wire),
        clock=lambda: datetime.now(UTC),
        say=lambda text: steps.append((round(time.monotonic() - ready, 2), text)),
        is_over=lambda run_id: None,
    )
    kind = RunKind.FULL_REFRESH if full_refresh else RunKind.INCREMENT
    outcome = run(JobSettings("transactions/", "base/", "UTC", f"bench{os.getpid()}", kind), context)
    done = time.monotonic()
    read_after, written_after = io_bytes(descendants(os.getpid()))
    threads = cpu_seconds_by_thread(descendants(os.getpid()))
    spark.stop()
    assert outcome.manifest is not None
    return {
        **outcome.manifest.counts,
        "session_seconds": round(ready - started, 2),
        "run_seconds": round(done - ready, 2),
        "bytes_read": read_after - read_before,
        "bytes_written": written_after - written_before,
        "requests": {name: dataclasses.asdict(each) for name, each in wire.counted().items()},
        "months": {table: len(months) for table, months in outcome.manifest.changed.items()},
        "steps": steps,
        "cpu_seconds_by_thread": threads,
    }


if __name__ == "__main__":
    main()
