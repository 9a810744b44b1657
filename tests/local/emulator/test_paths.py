"""A checkout works at any path, or the start is refused with the reason before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_cloud import Cloud, Jobs, eventually

from deployer import local
from deployer.local.paths import LocalPaths
from deployer.local.process import control
from deployer.local.process.errors import UnusablePath

#: A quarter of ASCII, and a letter beyond it.
ODD = "a b'c\"d%20e#f&g;h$i{j}${HOME}k[l]*m?n\\o~p!q(r)s=t+u@v^w<x>y|z-ü"
SCRIPT = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rows = spark.createDataFrame([(1, "a"), (2, "b")], "n int, s string").repartition(2, "n").sortWithinPartitions("s")
rows.write.parquet("s3://{bucket}/out/")
spark.range(1).write.saveAsTable("in_the_warehouse")
print("sum", spark.read.parquet("s3://{bucket}/out/").rdd.map(lambda row: row.n).sum())
"""


def test_a_job_runs_wherever_the_checkout_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given odd names of checkout, home and temporary directory, then a job runs on Spark, and Java's archive is used."""
    project, home, temporary = (tmp_path / name / ODD for name in ("project", "home", "temporary"))
    for directory in (project, home, temporary):
        directory.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(temporary))
    for variable in ("XDG_CACHE_HOME", "LANG", "LC_ALL"):
        monkeypatch.delenv(variable, raising=False)
    cloud = Cloud(project, local.start(project, say=lambda text: None))
    try:
        assert eventually(lambda: list(home.rglob("base.jsa")), seconds=60)
        jobs = Jobs(cloud)
        arguments = {"--conf": "spark.hadoop.fs.s3a.endpoint.region=ap-southeast-2"}
        run = jobs.run(jobs.job(SCRIPT.replace("{bucket}", jobs.bucket), DefaultArguments=arguments), seconds=300)
        assert run["JobRunState"] == "SUCCEEDED", run.get("ErrorMessage")
        assert jobs.lines("/aws-glue/jobs/output", run["Id"]) == ["sum 3"]
        assert eventually(lambda: list(home.rglob("spark.*")), seconds=60), "the archive is written"
    finally:
        local.stop(project)


@pytest.mark.parametrize("character", [":", ",", "\n", "\x1b", "\udcff"])
def test_a_path_that_spark_cannot_take_is_named(tmp_path: Path, character: str) -> None:
    """Given a checkout whose path has a character that separates Spark's lists, then nothing starts, and both are named."""
    project = tmp_path / f"a{character}b"
    project.mkdir()
    with pytest.raises(UnusablePath, match="Spark allows no") as caught:
        local.start(project, say=lambda text: None)
    assert repr(character) in str(caught.value)
    assert not LocalPaths.of(project).root.exists()


def test_the_virtual_environment_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given Spark itself in such a directory, then the error names the virtual environment."""
    monkeypatch.setattr(control.sys, "prefix", "/home/a:b/.venv")
    with pytest.raises(UnusablePath, match="the virtual environment is in '/home/a:b/.venv'"):
        local.start(tmp_path, say=lambda text: None)
