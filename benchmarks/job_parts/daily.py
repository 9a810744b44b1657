"""Daily batch: the same number of new records into ever longer histories of the same density, each a fresh copy of its lake.

What the whole run takes, what it reads, writes and requests of S3 and Glue, and the exponents with which that grows;
histories take turns. With a latency each run comes in a pair, without it and with it in each request.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import full_load
import outputs
import raw_data
import spark_process
from comparison import Spread, growth_exponent, ratios, spread
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


Runs = Mapping[int, list[Measured]]
"""History -> what was measured, round by round."""


def run(setting: Setting) -> str:
    """Build each history once, then bring the batch in again and again; returns the comparison as text."""
    stream = raw_data.Stream(ROWS_PER_MONTH)
    for size in setting.histories:
        build(setting, stream, size)
    runs: Runs = {size: [] for size in setting.histories}
    slow: Runs = {size: [] for size in setting.histories}
    for number in range(setting.pairs):
        for size in setting.histories if number % 2 == 0 else setting.histories[::-1]:
            pair = [(runs, 0.0), (slow, setting.latency_ms)] if setting.latency_ms else [(runs, 0.0)]
            for where, latency_ms in pair if number % 2 == 0 else pair[::-1]:
                measured = bring_in(setting, size, latency_ms)
                where[size].append(measured)
                say(
                    f"round {number + 1}, history {size:,}, {latency_ms:g} ms per request: "
                    f"{measured.wall_seconds:.1f} s, {measured.cpu_seconds:.1f} CPU s, {requests(measured)} requests"
                )
    return report(setting, runs, slow)


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


def bring_in(setting: Setting, size: int, latency_ms: float) -> Measured:
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
    command = python("engine_job.py", raw, base, "--latency-ms", latency_ms)
    measured = measure(command, environment=environment, log=setting.scratch / "engine.log")
    shutil.rmtree(base)
    shutil.rmtree(spark_scratch, ignore_errors=True)
    return measured


def report(setting: Setting, runs: Runs, slow: Runs) -> str:
    """Figures for each history, the exponents of growth, and what latency costs."""
    rows = []
    for size, measured in runs.items():
        facts = measured[0].facts
        live = outputs.published(history_directory(setting, size))
        narrow = sum(total_bytes(live[name], columns) for name, columns in NARROW.items())
        index = sum(
            each.stat().st_size for each in (history_directory(setting, size) / "base" / INDEXES).rglob("*.ids")
        )
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
        "",
        table(["history", "requests", *OPERATIONS, "MB received", "MB sent"], list(request_rows(runs))),
    ]
    if len(runs) > 1:
        lines += ["", "Exponents of growth (medians): " + ", ".join(exponents(runs))]
    if setting.latency_ms:
        with_latency = f"wall s with {setting.latency_ms:g} ms per request"
        lines += ["", table(["history", "wall s", with_latency, "paired ratio"], list(latency_rows(runs, slow)))]
    return "\n".join(lines)


OPERATIONS: Sequence[str] = (
    *("S3 ListObjectsV2", "S3 ListObjectVersions", "S3 GetObject", "S3 PutObject", "S3 DeleteObjects"),
    *("Glue GetTable", "Glue GetPartitions", "Glue BatchCreatePartition", "Glue BatchUpdatePartition"),
)


def requests(measured: Measured, *operations: str) -> int:
    """How many requests a run has made: all, or of some operations."""
    made = measured.facts["requests"]
    return sum(each["requests"] for name, each in made.items() if not operations or name in operations)


def request_rows(runs: Runs) -> Iterator[list[object]]:
    """For each history the requests by operation, and the bytes of objects in them."""
    for size, measured in runs.items():
        rows: list[object] = [f"{size:,}", counts([requests(each) for each in measured])]
        rows += [counts([requests(each, name) for each in measured]) for name in OPERATIONS]
        for name in ("S3 GetObject", "S3 PutObject"):
            rows.append(spread([each.facts["requests"][name]["payload_bytes"] / 1e6 for each in measured]))
        yield rows


def counts(values: Sequence[int]) -> str:
    """Counts, which are the same in every round unless tasks were divided otherwise."""
    return str(values[0]) if len(set(values)) == 1 else str(spread([float(each) for each in values]))


def latency_rows(runs: Runs, slow: Runs) -> Iterator[list[object]]:
    """For each history the wall time without and with latency, and the ratio of the pairs."""
    for size in runs:
        without, with_it = ([each.wall_seconds for each in of[size]] for of in (runs, slow))
        yield [f"{size:,}", spread(without), spread(with_it), ratios(with_it, without)]


def exponents(runs: Runs) -> list[str]:
    """The exponent of each figure over the length of history."""
    figures: Mapping[str, Callable[[Measured], float]] = {
        "wall": lambda each: each.wall_seconds,
        "without session start": lambda each: each.facts["run_seconds"],
        "CPU": lambda each: each.cpu_seconds,
        "bytes read": lambda each: each.facts["bytes_read"],
        "bytes written": lambda each: each.facts["bytes_written"],
        "requests": requests,
    }
    medians: dict[str, list[Spread]] = {
        name: [spread([figure(each) for each in of]) for of in runs.values()] for name, figure in figures.items()
    }
    return [f"{name} {growth_exponent(list(runs), [each.median for each in of]):.2f}" for name, of in medians.items()]
