"""A lakehouse in a directory, with a vocabulary for tests: deliver files, run the job, read the tables.

Buckets are directories and the catalog a dictionary; the job and Spark are the real ones.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession
from refunds_lake.columns import TABLES, Columns
from refunds_lake.job import Outcome, Settings, World, run
from refunds_lake.objects import ObjectMissing, PreconditionFailed, StoredObject

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class DirectoryStore:
    """A bucket that is a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def uri(self, key: str) -> str:
        return f"file:{self.root}/{key}"

    def listing(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        keys = []
        for folder, _, names in os.walk(self.root):
            for name in names:
                key = str((Path(folder) / name).relative_to(self.root))
                if key.startswith(prefix) and key > after and not name.endswith(".crc"):
                    keys.append(key)
        for key in sorted(keys):
            try:
                yield self._described(key)
            except FileNotFoundError:
                continue

    def _described(self, key: str) -> StoredObject:
        path = self.root / key
        status = path.stat()
        return StoredObject(
            key=key,
            etag=hashlib.md5(path.read_bytes()).hexdigest(),
            last_modified=datetime.fromtimestamp(status.st_mtime, UTC),
            size=status.st_size,
        )

    def get(self, key: str) -> tuple[bytes, str]:
        try:
            body = (self.root / key).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error
        return body, hashlib.md5(body).hexdigest()

    def read_range(self, key: str, first: int, last: int) -> bytes:
        return self.get(key)[0][first : last + 1]

    def chunks(self, key: str) -> Iterator[bytes]:
        yield self.get(key)[0]

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        path = self.root / key
        if only_if_absent and path.exists():
            raise PreconditionFailed(key)
        if only_if_etag is not None and (not path.exists() or self.get(key)[1] != only_if_etag):
            raise PreconditionFailed(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return hashlib.md5(body).hexdigest()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self.root / key).unlink(missing_ok=True)


class MemoryCatalog:
    """A catalog database in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {table: {} for table in TABLES}

    def columns(self, table: str) -> Columns:
        return TABLES[table]

    def months(self, table: str) -> dict[str, str]:
        return dict(self.tables[table])

    def point(self, table: str, locations: Mapping[str, str]) -> None:
        self.tables[table].update(locations)

    def drop(self, table: str, months: Iterable[str]) -> None:
        for month in months:
            self.tables[table].pop(month, None)


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

    def run(self, **settings: Any) -> Outcome:
        """Run the job."""
        self._runs += 1
        self.now += timedelta(minutes=1)
        defaults = Settings("transactions/", "base/", "UTC", f"jr_{self._runs:08d}")
        return run(
            Settings(**{**defaults.__dict__, **settings}),
            World(self.spark, self.raw, self.base, self.catalog, lambda: self.now, self.said.append),
        )

    # -- thens

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What a reader of the catalog sees, in a fixed order, month included."""
        found: list[dict[str, Any]] = []
        for month, location in sorted(self.catalog.tables[table].items()):
            for path in sorted(Path(location.removeprefix("file:")).glob("*.parquet")):
                found += [{**row, "month": month} for row in _parquet_rows(path)]
        return sorted(found, key=lambda row: [str(value) for value in row.values()])

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All tables; the run that rejected a record is left out, it is no property of the raw objects."""
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
