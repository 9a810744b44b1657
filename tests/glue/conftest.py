"""One Spark session for all tests of the job, and a lakehouse in a directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lakehouse import Lakehouse
from repository import ROOT

from deployer.local.glue.java import cache_directory, home_for_spark
from deployer.local.glue.spark_settings import COMPILER, Archives

MODULES = (ROOT / "tests" / "support", ROOT / "benchmarks" / "job_parts")
"""Where workers find what tests and tasks share."""

SMALL = {
    "spark.sql.shuffle.partitions": "1",
    "spark.default.parallelism": "1",
    # Compiling code for a dozen rows takes longer than interpreting the plan; tests/local run the job compiled.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # Planning each stage anew costs more than it saves on a dozen rows; it only decides on sizes.
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
LIGHT_JAVA = (*COMPILER, "-Xshare:auto", "-Xlog:disable")
"""Tests are all start-up: the local cloud's light compiler and collector save more than half of the time."""


def archive_options() -> list[str]:
    """Java's options for the class-data archive that the local cloud has made on this machine, if it has."""
    archives = Archives(cache_directory(os.environ))
    archive = archives.take()
    if archive is None or archive.record:
        return []
    return archive.java_options()


@pytest.fixture(scope="session")
def spark_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a session for tests is set to; its Java, Python and modules are where processes look for them."""
    from refunds_lake.spark.settings import SETTINGS

    os.environ["JAVA_HOME"] = str(home_for_spark(tmp_path_factory.mktemp("java")))
    os.environ["PYSPARK_PYTHON"] = sys.executable  # Spark would take the first python3 on the path
    os.environ["PYTHONPATH"] = os.pathsep.join([*map(str, MODULES), os.environ.get("PYTHONPATH", "")])
    return {**SETTINGS, **SMALL, "spark.driver.extraJavaOptions": " ".join([*LIGHT_JAVA, *archive_options()])}


@pytest.fixture(scope="session")
def spark(tmp_path_factory, spark_settings: dict[str, str]):
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in spark_settings.items():
        builder = builder.config(name, value)
    session = builder.config("spark.sql.warehouse.dir", str(tmp_path_factory.mktemp("spark"))).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def lakehouse(spark, tmp_path: Path) -> Iterator[Lakehouse]:
    """An empty lakehouse: raw and base bucket as directories, a catalog in memory."""
    yield Lakehouse(spark, tmp_path)
