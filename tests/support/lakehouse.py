"""A lakehouse in a directory, with a vocabulary for tests: deliver files, run the job, read the tables.

Buckets are directories and the catalog a dictionary; the job and Spark are the real ones.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lake_fakes import DirectoryStore, MemoryCatalog
from pyspark.sql import SparkSession
from refunds_lake.job.context import JobContext, JobOutcome, JobSettings
from refunds_lake.job.run import run
from refunds_lake.publishing.manifests import RunKind
from refunds_lake.schema.columns import TABLES

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Lakehouse:
    """Raw bucket, base bucket and catalog of one test."""

    def __init__(self, spark: SparkSession, directory: Path, *, raw: DirectoryStore | None = None) -> None:
        self.spark = spark
        self.raw = raw or DirectoryStore(directory / "raw")
        self.base = DirectoryStore(directory / "base")
        self.catalog = MemoryCatalog()
        self.now = NOW
        self.said: list[str] = []
        self._runs = 0

    # -- givens

    def deliver(self, name: str, content: str | bytes | list[Any], *, at: datetime = NOW, route: str = "s3") -> str:
        """Put a raw object with a modification time; a list becomes JSON Lines. Returns its key."""
        if isinstance(content, list):
            content = "".join(json.dumps(each) + "\n" if isinstance(each, dict) else f"{each}\n" for each in content)
        body = content.encode() if isinstance(content, str) else content
        if name.endswith(".gz") and not body.startswith(b"\x1f\x8b") and isinstance(content, str):
            body = gzip.compress(body, mtime=0)
        key = f"transactions/source={route}/ingest_date={at:%Y-%m-%d}/{name}"
        self.raw.put(key, body)
        os.utime(self.raw.root / key, (at.timestamp(), at.timestamp()))
        return key

    # -- whens

    def run(self, kind: RunKind = RunKind.INCREMENT, **settings: Any) -> JobOutcome:
        """Run the job; any other job run that it finds at work counts as ended."""
        self._runs += 1
        self.now += timedelta(minutes=1)
        defaults = JobSettings("transactions/", "base/", "UTC", f"jr_{self._runs:08d}", kind)
        return run(
            JobSettings(**{**defaults.__dict__, **settings}),
            JobContext(
                self.spark,
                self.raw,
                self.base,
                self.catalog,
                lambda: self.now,
                self.said.append,
                lambda run_id: True if run_id.startswith("jr_") else None,
            ),
        )

    # -- thens

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What a reader of the catalog sees, in a fixed order, with the month."""
        found: list[dict[str, Any]] = []
        for month, location in sorted(self.catalog.tables[table].items()):
            for path in sorted(Path(location.removeprefix("file:")).glob("*.parquet")):
                found += [{**row, "month": month} for row in _parquet_rows(path)]
        return sorted(found, key=lambda row: [str(value) for value in row.values()])

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All tables, without the run that rejected a record, which does not depend on the raw objects."""
        return {
            table: [{name: value for name, value in row.items() if name != "run_id"} for row in self.rows(table)]
            for table in TABLES
        }


def _parquet_rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.ParquetFile(path).read().to_pylist()
    return rows


def purchase(id: str, **fields: Any) -> dict[str, Any]:
    """A purchase with defaults."""
    return {
        "id": id,
        "type": "purchase",
        "timestamp": "2026-09-05T10:00:00Z",
        "amount": "100.00",
        "customer_id": "c1",
        "merchant_id": "m1",
        **fields,
    }


def refund(id: str, parent_id: str, **fields: Any) -> dict[str, Any]:
    """A refund with defaults, a month after the default purchase."""
    return {
        "id": id,
        "type": "refund",
        "timestamp": "2026-10-05T10:00:00Z",
        "amount": "10.00",
        "parent_id": parent_id,
        **fields,
    }


def void(id: str, parent_id: str, **fields: Any) -> dict[str, Any]:
    """A void with defaults."""
    return {
        "id": id,
        "type": "void",
        "timestamp": "2026-10-06T10:00:00Z",
        "amount": "10.00",
        "parent_id": parent_id,
        **fields,
    }


class Worlds:
    """A lakehouse whose base bucket and catalog can be kept and put back."""

    def __init__(self, lakehouse: Lakehouse, directory: Path) -> None:
        self.lakehouse, self._directory, self._kept = lakehouse, directory, 0

    def keep(self) -> tuple[Path, dict[str, dict[str, str]]]:
        self._kept += 1
        copy = self._directory / f"world-{self._kept}"
        shutil.copytree(self.lakehouse.base.root, copy)
        return copy, {table: dict(months) for table, months in self.lakehouse.catalog.tables.items()}

    def put_back(self, world: tuple[Path, dict[str, dict[str, str]]]) -> None:
        shutil.rmtree(self.lakehouse.base.root)
        shutil.copytree(world[0], self.lakehouse.base.root)
        self.lakehouse.base = DirectoryStore(self.lakehouse.base.root)
        self.lakehouse.catalog = MemoryCatalog()
        self.lakehouse.catalog.tables = {table: dict(months) for table, months in world[1].items()}


def normal(tables: dict[str, list[dict[str, Any]]]) -> dict[str, Counter[str]]:
    """Tables as multisets of rows; the order of reasons does not matter."""
    return {
        table: Counter(
            str(sorted((k, sorted(v) if isinstance(v, list) else v.isoformat() if hasattr(v, "isoformat") else v) for k, v in row.items()))
            for row in tables[table]
        )
        for table in TABLES
    }  # fmt: skip
