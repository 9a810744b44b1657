"""Tasks in Spark's Python workers: where they run, and what a run says when one of them fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lake_fakes import DirectoryStore
from lakehouse import Lakehouse, purchase
from refunds_lake.spark.tasks import WorkerFailed, on_workers
from repository import ROOT


class Forbidden(DirectoryStore):
    """A bucket whose objects can be listed but not read in full."""

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        raise PermissionError(f"AccessDenied: {key}")


def test_a_task_that_fails_says_why_in_one_line(spark: Any, tmp_path: Path) -> None:
    """Given raw objects that may not be read, when the job runs, then its error is the task's and nothing is published."""
    lakehouse = Lakehouse(spark, tmp_path, raw=Forbidden(tmp_path / "raw"))
    key = lakehouse.deliver("a.json", [purchase("p1")])
    with pytest.raises(WorkerFailed) as failed:
        lakehouse.run()
    assert str(failed.value) == f"PermissionError: AccessDenied: {key}"
    assert lakehouse.catalog.tables["purchase"] == {}
    assert list(lakehouse.base.listing("base/")) == []


def test_results_come_in_the_order_of_the_tasks(spark: Any) -> None:
    """Each task runs once and alone; without tasks Spark is not asked."""
    assert on_workers(spark, lambda task: task * 2, [3, 1, 2]) == [6, 2, 4]
    assert on_workers(spark, lambda task: task, []) == []


def test_workers_read_no_archive_again(spark: Any) -> None:
    """Given workers that have had tasks, when they get more, then they read the directory of no archive again."""

    def directories_read(_: int) -> int:
        """Count, from the first task of a process on, how often Python reads the directory of an archive."""
        import zipimport

        if not hasattr(zipimport, "directories_read"):
            read = zipimport._read_directory

            def counted(archive: str) -> Any:
                zipimport.directories_read += 1
                return read(archive)

            zipimport.directories_read, zipimport._read_directory = 0, counted
        return zipimport.directories_read

    assert [sum(on_workers(spark, directories_read, range(8))) for _ in range(3)] == [0, 0, 0]


def test_driver_and_executors_share_no_process(spark_settings: dict[str, str], tmp_path: Path) -> None:
    """Given a cluster of two executors with a core each, then the tables are right, and a shuffle keeps both at work."""
    settings = {name: value for name, value in spark_settings.items() if name != "spark.default.parallelism"}
    assert settings["spark.sql.shuffle.partitions"] == "1"
    program = [sys.executable, str(ROOT / "tests" / "support" / "two_executors.py"), str(tmp_path)]
    modules = os.pathsep.join([str(ROOT / "glue"), os.environ["PYTHONPATH"]])
    done = subprocess.run(
        [*program, json.dumps(settings)],
        env={**os.environ, "PYTHONPATH": modules},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"executors": 2, "partitions": 2}
