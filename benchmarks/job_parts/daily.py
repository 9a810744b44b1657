"""Daily batch: the same number of new records into ever longer histories of the same density, each a fresh copy of its lake.

What the whole run takes, what it reads and writes, and the exponent with which that grows; histories take turns.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import full_load
import outputs
import raw_data
import spark_process
from comparison import growth_exponent, spread
from parquet_bytes import total_bytes
from processes import Measured, measure
from refunds_lake.publishing.manifests import INDEXES
from setting import Setting, deliver, python, say, table

ROWS_PER_MONTH = 1_000_000
NARROW: Mapping[str, tuple[str, ...]] = {
    "purchase": ("id",),
    "refund": ("id", "parent_id"),
    "void": ("id", "parent_id"),
}
"""The columns that tell which rows a batch concerns, in all of history; indexes of the files stand for them."""


def run(setting: Setting) -> str:
    """Build each history once, then bring the batch in again and again; returns the comparison as text."""
    stream = raw_data.Stream(ROWS_PER_MONTH)
    for size in setting.histories:
        build(setting, stream, size)
    runs: dict[int, list[Measured]] = {size: [] for size in setting.histories}
    for number in range(setting.pairs):
        for size in setting.histories if number % 2 == 0 else setting.histories[::-1]:
            measured = bring_in(setting, size)
            runs[size].append(measured)
            say(
                f"round {number + 1}, history {size:,}: {measured.wall_seconds:.1f} s, {measured.cpu_seconds:.1f} CPU s"
            )
    return report(setting, runs)


def history_directory(setting: Setting, size: int) -> Path:
    return setting.scratch / f"history-{size}"


def build(setting: Setting, stream: raw_data.Stream, size: int) -> None:
    """A lake with so many records, and the raw bucket behind it with the next batch delivered; once per size."""
    base = history_directory(setting, size)
    raw = setting.scratch / f"history-raw-{size}"
    end = raw_data.first_rows(size)
    if not base.exists():
        shutil.rmtree(raw, ignore_errors=True)  # A batch that lies there already would become part of the history.
        deliver(raw, stream, 0, end)
        measured, _ = full_load.load(full_load.JOB, setting, raw)
        built = setting.scratch / "out-the-job"
        os.replace(built.with_suffix(".catalog.json"), base.with_suffix(".catalog.json"))
        os.replace(built, base)
        say(f"history of {size:,} records built in {measured.wall_seconds:.0f} s")
    deliver(raw, stream, end, end + raw_data.first_rows(setting.batch))


def bring_in(setting: Setting, size: int) -> Measured:
    """One run of the job over a copy of the history (hard links) and its raw bucket."""
    history, raw = history_directory(setting, size), setting.scratch / f"history-raw-{size}"
    base = setting.scratch / "daily"
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(history, base, copy_function=os.link)
    shutil.copyfile(history.with_suffix(".catalog.json"), base.with_suffix(".catalog.json"))
    spark_scratch = setting.directory("spark")
    environment = spark_process.environment(
        spark_scratch,
        {"bench-raw": raw, "bench-base": base},
        driver_memory=setting.driver_memory,
        cores=setting.threads,
        archive=full_load.archive(setting),
    )
    measured = measure(python("engine_job.py", raw, base), environment=environment, log=setting.scratch / "engine.log")
    shutil.rmtree(base)
    shutil.rmtree(spark_scratch, ignore_errors=True)
    return measured


def report(setting: Setting, runs: Mapping[int, list[Measured]]) -> str:
    """Figures for each history, and the exponents of growth."""
    rows = []
    for size, measured in runs.items():
        facts = measured[0].facts
        live = outputs.published(history_directory(setting, size))
        narrow = sum(total_bytes(live[name], columns) for name, columns in NARROW.items())
        index = sum(each.stat().st_size for each in history_directory(setting, size).rglob(f"{INDEXES}**/*.ids"))
        rows.append(
            [
                f"{size:,}",
                spread([each.wall_seconds for each in measured]),
                spread([float(each.facts["run_seconds"]) for each in measured]),
                spread([each.cpu_seconds for each in measured]),
                spread([each.facts["bytes_read"] / 1e6 for each in measured]),
                spread([each.facts["bytes_written"] / 1e6 for each in measured]),
                f"{index / 1e6:.1f}",
                f"{total_bytes(live['purchase'], ('id',)) / 1e6:.1f}",
                f"{narrow / 1e6:.1f}",
                ", ".join(f"{name} {count}" for name, count in facts["months"].items()),
            ]
        )
    header = [
        "history", "wall s", "without session start s", "CPU s", "MB read", "MB written", "MB of indexes", "MB of purchase.id",
        "MB of all ids and parents", "months written",
    ]  # fmt: skip
    first = next(iter(runs.values()))[0].facts
    lines = [
        f"{first['read']:,} records in the batch; {len(next(iter(runs.values())))} rounds",
        "",
        table(header, rows),
    ]
    if len(runs) > 1:
        lines += ["", "Exponents of growth (medians): " + ", ".join(exponents(runs))]
    return "\n".join(lines)


def exponents(runs: Mapping[int, list[Measured]]) -> list[str]:
    """The exponent of each figure over the length of history."""
    figures = {
        "wall": lambda each: each.wall_seconds,
        "without session start": lambda each: each.facts["run_seconds"],
        "CPU": lambda each: each.cpu_seconds,
        "bytes read": lambda each: each.facts["bytes_read"],
        "bytes written": lambda each: each.facts["bytes_written"],
    }
    return [
        f"{name} {growth_exponent(list(runs), [spread([figure(each) for each in of]).median for of in runs.values()]):.2f}"
        for name, figure in figures.items()
    ]
