"""The benchmarks of the job: what it claims about speed, memory, bytes and files, measured in one call on one machine.

Prints ratios from paired runs with their spread; see README.md for how to read them.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path

import click

# In place of this directory, whose deployer.py would hide the package of that name.
sys.path[0] = str(Path(__file__).resolve().parent / "job_parts")

from setting import Setting, describe

BENCHMARKS = {
    "full-load": "full_load",
    "daily": "daily",
    "memory": "memory",
    "report-bytes": "report_bytes",
    "startup": "startup",
    "files": "file_sizes",
}


@click.command(help=__doc__)
@click.option("--only", type=click.Choice(list(BENCHMARKS)), multiple=True, help="Run these; all without it.")
@click.option(
    "--rows", default=5_000_000, show_default=True, help="Records of the full load, the report and the files."
)
@click.option("--months", default=36, show_default=True, help="Months that these records are spread over.")
@click.option("--pairs", default=5, show_default=True, help="Runs of each engine, taken in turns.")
@click.option(
    "--rival",
    "rivals",
    type=click.Choice(["duckdb", "pyspark"]),
    multiple=True,
    default=["duckdb", "pyspark"],
    show_default=True,
    help="Whom the full load is compared with; several may be given.",
)
@click.option(
    "--histories", default="1000000,5000000,20000000", show_default=True, help="Records before the daily batch."
)
@click.option(
    "--latency-ms",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Run each daily batch once more, with so much added to each request to S3 and Glue.",
)
@click.option("--batch", default=100_000, show_default=True, help="Records of the daily batch.")
@click.option("--threads", default=2, show_default=True, help="Threads of every engine.")
@click.option("--driver-memory", default="4g", show_default=True, help="Heap of Spark's driver.")
@click.option("--memory-rows", default=20_000_000, show_default=True, help="Records of the memory benchmark.")
@click.option("--memory-heap", default="2g", show_default=True, help="Driver heap of the memory benchmark.")
@click.option("--event-log", is_flag=True, help="Keep Spark's event logs in SCRATCH/events.")
@click.option(
    "--scratch", type=click.Path(file_okay=False, path_type=Path), help="Where data goes; emptied unless given."
)
def main(
    only: tuple[str, ...],
    rows: int,
    months: int,
    pairs: int,
    rivals: tuple[str, ...],
    histories: str,
    latency_ms: float,
    batch: int,
    threads: int,
    driver_memory: str,
    memory_rows: int,
    memory_heap: str,
    event_log: bool,
    scratch: Path | None,
) -> None:
    place = scratch or Path(tempfile.mkdtemp(prefix="lakehouse-benchmarks-"))
    setting = Setting(
        scratch=place.resolve(),
        rows=rows,
        months=months,
        pairs=pairs,
        rivals=rivals,
        threads=threads,
        driver_memory=driver_memory,
        histories=tuple(int(size) for size in histories.split(",")),
        latency_ms=latency_ms,
        batch=batch,
        memory_rows=memory_rows,
        memory_heap=memory_heap,
        event_log=event_log,
    )
    click.echo(describe(setting))
    try:
        for name in only or BENCHMARKS:
            text = importlib.import_module(BENCHMARKS[name]).run(setting)
            click.echo(f"\n## {name}\n{text}")
    finally:
        if scratch is None:
            shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
