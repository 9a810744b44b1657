"""How the benchmarks start Spark: the settings of the local cloud's job runs, on directories instead of buckets."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deployer.local.glue.java import home_for_spark
from deployer.local.glue.spark_settings import COMPILER, Archive, submit_arguments


def environment(
    scratch: Path,
    buckets: Mapping[str, Path],
    *,
    archive: Archive | None = None,
    driver_memory: str = "4g",
    cores: int = 2,
    settings: Mapping[str, str] | None = None,
    compiler: Sequence[str] = COMPILER,
) -> dict[str, str]:
    """The environment variables under which a Python process gets this Spark from `SparkSession.builder`."""
    arguments = shlex.split(submit_arguments(buckets, scratch, archive, cores=cores, compiler=compiler))
    arguments[arguments.index("--driver-memory") + 1] = driver_memory
    extra = [part for name, value in (settings or {}).items() for part in ("--conf", f"{name}={value}")]
    scratch.mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "JAVA_HOME": str(home_for_spark(scratch / "java")),
        "PYSPARK_PYTHON": sys.executable,
        # Spark's Python workers import the ports of the lake as well.
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYSPARK_SUBMIT_ARGS": shlex.join([*arguments[:-1], *extra, arguments[-1]]),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TMPDIR": str(scratch),
    }
