"""Start-up: a Spark session and one tiny job, with the class-data archive that the local cloud makes and without it."""

from __future__ import annotations

import shutil

import full_load
import spark_process
from comparison import ratios, spread
from processes import Measured, measure
from setting import Setting, bytes_below, python, table

from deployer.local.glue.spark_settings import Archive


def run(setting: Setting) -> str:
    """Starts in turns; the archive is the one that a small run of the job has recorded."""
    archive = full_load.archive(setting)
    if archive is None:
        return "no class-data archive could be made on this machine"
    with_archive, without = [], []
    start(setting, None)  # warms the file cache for both
    for _ in range(setting.pairs):
        without.append(start(setting, None))
        with_archive.append(start(setting, archive))
    size = bytes_below(archive.classes.parent) / 1e6
    return "\n".join(
        [
            f"archives of {size:.0f} MB, recorded by a small run of the job",
            "",
            table(
                ["", "session s", "session and a tiny job s", "CPU s", "runs"],
                [_row("without the archive", without), _row("with it", with_archive)],
            ),
            "",
            (
                f"with / without, paired: session {_ratio(with_archive, without, 'session_seconds')}, "
                f"session and a tiny job {_ratio(with_archive, without, 'with_tiny_job_seconds')}"
            ),
        ]
    )


def start(setting: Setting, archive: Archive | None) -> Measured:
    """One process that starts Spark."""
    scratch = setting.directory("spark")
    environment = spark_process.environment(scratch, {}, archive=archive, cores=setting.threads)
    measured = measure(python("engine_start.py"), environment=environment, log=setting.scratch / "engine.log")
    shutil.rmtree(scratch, ignore_errors=True)
    return measured


def _row(name: str, runs: list[Measured]) -> list[object]:
    return [
        name,
        spread([each.facts["session_seconds"] for each in runs]),
        spread([each.facts["with_tiny_job_seconds"] for each in runs]),
        spread([each.cpu_seconds for each in runs]),
        len(runs),
    ]


def _ratio(ours: list[Measured], theirs: list[Measured], name: str) -> object:
    return ratios([each.facts[name] for each in ours], [each.facts[name] for each in theirs])
