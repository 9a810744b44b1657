"""Full load: all raw records into empty tables, by the job, by DuckDB and by straightforward PySpark, turn by turn."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

import outputs
import spark_process
from comparison import ratios, spread
from processes import Measured, measure
from setting import Setting, bytes_below, python, say, table

from deployer.local.glue.spark_settings import COMPILER, Archive, Archives

JOB, DUCKDB, PYSPARK = "the job", "DuckDB", "straightforward PySpark"
RIVALS = {"duckdb": DUCKDB, "pyspark": PYSPARK}
COUNTS = ("read", "kept", "duplicate", "superseded", "rejected")


OPTIMIZING = ("-XX:+UseSerialGC", "-XX:MetaspaceSize=256m")
"""The rival does all of its work in the JVM: with the first compiler only it would be no honest one."""


class DifferentWork(Exception):
    """Two engines have not written the same tables; their times must not be compared."""


def run(setting: Setting) -> str:
    """Run every engine once per pair and return the comparison as text."""
    engines = (JOB, *(RIVALS[name] for name in setting.rivals))
    raw = setting.raw()
    runs: dict[str, list[Measured]] = {engine: [] for engine in engines}
    for number in range(setting.pairs):
        turn = engines if number % 2 == 0 else tuple(reversed(engines))
        contents = {}
        for engine in turn:
            measured, contents[engine] = load(engine, setting, raw)
            runs[engine].append(measured)
            say(f"pair {number + 1}, {engine}: {measured.wall_seconds:.1f} s, {measured.cpu_seconds:.1f} CPU s")
        check_same_work({engine: runs[engine][-1].facts for engine in engines}, contents)
    return report(setting, raw, runs)


def load(engine: str, setting: Setting, raw: Path) -> tuple[Measured, dict[str, tuple[object, ...]]]:
    """One engine's run into empty tables: its measurements and the totals of what it wrote."""
    classes = archive(setting) if engine != DUCKDB else None
    measured, out = start(engine, setting, raw, classes)
    return measured, outputs.totals(outputs.published(out) if engine == JOB else outputs.written(out))


def start(engine: str, setting: Setting, raw: Path, classes: Archive | None) -> tuple[Measured, Path]:
    """One engine's run into empty tables: its measurements and where it wrote."""
    out = setting.scratch / f"out-{engine.replace(' ', '-')}"
    shutil.rmtree(out, ignore_errors=True)
    out.with_suffix(".catalog.json").unlink(missing_ok=True)
    out.mkdir(parents=True)
    spark_scratch = setting.directory("spark")
    environment = spark_process.environment(
        spark_scratch,
        {"bench-raw": raw, "bench-base": out} if engine == JOB else {},
        driver_memory=setting.driver_memory,
        cores=setting.threads,
        archive=classes,
        settings=_event_log(setting, engine),
        compiler=OPTIMIZING if engine == PYSPARK else COMPILER,
    )
    command = {
        JOB: python("engine_job.py", raw, out),
        DUCKDB: python("engine_duckdb.py", raw / "transactions", out, "--threads", setting.threads, "--detail"),
        PYSPARK: python("engine_pyspark.py", raw / "transactions", out, "--detail"),
    }[engine]
    measured = measure(command, environment=environment, log=setting.scratch / "engine.log")
    shutil.rmtree(spark_scratch, ignore_errors=True)
    return measured, out


def archive(setting: Setting) -> Archive | None:
    """The class-data archive that both Spark engines start with; recorded by a small run of the job when there is none."""
    archives = Archives(setting.directory("classes"))
    archives.make_base()
    found = archives.take()
    if found is None or not found.record:
        return found
    say("recording the class-data archive with a small run of the job")
    small = dataclasses.replace(setting, rows=20_000, event_log=False)
    start(JOB, small, small.raw(), found)
    archives.give_back(found)
    return archives.take()


def _event_log(setting: Setting, engine: str) -> dict[str, str]:
    """Spark settings that keep the event log, when asked for; `python event_log.py FILE` adds it up."""
    if not setting.event_log or engine == DUCKDB:
        return {}
    directory = setting.directory("events", engine.replace(" ", "-"))
    return {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{directory}"}


def check_same_work(facts: Mapping[str, Mapping[str, object]], contents: Mapping[str, Mapping[str, object]]) -> None:
    """Raise DifferentWork unless all engines counted the same and wrote the same rows."""
    first = next(iter(facts))
    for engine in facts:
        mine, others = [[facts[each][name] for name in COUNTS] for each in (first, engine)]
        if mine != others or contents[first] != contents[engine]:
            raise DifferentWork(
                f"{first}: {mine} {contents[first]}\n{engine}: {others} {contents[engine]}; no ratio can be given"
            )


def report(setting: Setting, raw: Path, runs: Mapping[str, list[Measured]]) -> str:
    """Figures of each engine, and the job's ratios to each rival."""
    facts = next(iter(runs.values()))[0].facts
    lines = [
        f"{facts['read']:,} records, {bytes_below(raw) / 1e6:.0f} MB of gzip JSON Lines: "
        + ", ".join(f"{name} {facts[name]:,}" for name in COUNTS[1:])
        + "; all engines wrote the same rows in every run",
        "",
        table(
            ["engine", "wall s", "CPU s", "peak MiB", "records/s", "runs"],
            [
                [
                    engine,
                    spread([each.wall_seconds for each in measured]),
                    spread([each.cpu_seconds for each in measured]),
                    spread([each.peak_bytes / 2**20 for each in measured]),
                    f"{facts['read'] / spread([each.wall_seconds for each in measured]).median:,.0f}",
                    len(measured),
                ]
                for engine, measured in runs.items()
            ],
        ),
    ]
    if JOB in runs and len(runs) > 1:
        lines += ["", table(["the job against", "wall, paired", "CPU, paired"], list(_ratios(runs)))]
    return "\n".join(lines)


def _ratios(runs: Mapping[str, list[Measured]]) -> list[list[object]]:
    ours = runs[JOB]
    return [
        [
            rival,
            ratios([each.wall_seconds for each in ours], [each.wall_seconds for each in theirs]),
            ratios([each.cpu_seconds for each in ours], [each.cpu_seconds for each in theirs]),
        ]
        for rival, theirs in runs.items()
        if rival != JOB
    ]
