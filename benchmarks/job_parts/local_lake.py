"""The job's two ports on this machine: a bucket that is a directory, and a catalog that is a JSON file.

The job's own code runs unchanged behind them, without an emulator's noise; Spark sees the same directories through mounts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from refunds_lake.publishing.catalog import CatalogError
from refunds_lake.schema.columns import TABLES, Columns
from refunds_lake.storage.objects import ObjectMissing, ObjectReplaced, PreconditionFailed, StoredObject


class DirectoryStore:
    """An `ObjectStore` whose keys are paths below a directory. One writer at a time."""

    def __init__(self, bucket: str, root: Path) -> None:
        self._bucket = bucket
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def listing(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        top = self._root / prefix.rpartition("/")[0]
        keys = (
            str(Path(directory, name).relative_to(self._root))
            for directory, _, names in os.walk(top)
            for name in names
            if not name.startswith(".") and "_temporary" not in directory
        )
        for key in sorted(key for key in keys if key.startswith(prefix) and key > after):
            found = os.stat(self._root / key)
            modified = datetime.fromtimestamp(found.st_mtime_ns // 1_000_000_000, UTC)
            yield StoredObject(key, _etag(found), modified, found.st_size)

    def get(self, key: str) -> tuple[bytes, str]:
        try:
            return (self._root / key).read_bytes(), _etag(os.stat(self._root / key))
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error

    def read_range(self, key: str, first: int, last: int) -> bytes:
        try:
            with (self._root / key).open("rb") as file:
                file.seek(first)
                return file.read(last - first + 1)
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error

    def chunks(self, key: str, *, etag: str) -> Iterator[bytes]:
        try:
            with (self._root / key).open("rb") as file:
                if _etag(os.fstat(file.fileno())) != etag:
                    raise ObjectReplaced(key)
                while chunk := file.read(1 << 20):
                    yield chunk
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        path = self._root / key
        found = _etag(os.stat(path)) if path.exists() else None
        if (only_if_absent and found is not None) or (only_if_etag is not None and found != only_if_etag):
            raise PreconditionFailed(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(
            f".{path.name}.new"
        )  # replaced, never overwritten: snapshots of the lake are hard links
        beside.write_bytes(body)
        os.replace(beside, path)
        return _etag(os.stat(path))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            (self._root / key).unlink(missing_ok=True)


class FileCatalog:
    """A `Catalog` in one JSON file: table -> month -> location."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def columns(self, table: str) -> Columns:
        if table not in TABLES:
            raise CatalogError(f"no table {table}")
        return TABLES[table]

    def months(self, table: str) -> dict[str, str]:
        return self._read().get(table, {})

    def create(self, table: str, locations: Mapping[str, str]) -> None:
        pointers = self._read()
        self._write({**pointers, table: {**pointers.get(table, {}), **locations}})

    update = create

    def drop(self, table: str, months: Iterable[str]) -> None:
        pointers, gone = self._read(), set(months)
        self._write({**pointers, table: {m: where for m, where in pointers.get(table, {}).items() if m not in gone}})

    def _read(self) -> dict[str, dict[str, str]]:
        pointers: dict[str, dict[str, str]] = json.loads(self._path.read_text()) if self._path.exists() else {}
        return pointers

    def _write(self, pointers: Mapping[str, Mapping[str, str]]) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(pointers))
        os.replace(beside, self._path)


def _etag(found: os.stat_result) -> str:
    return f"{found.st_mtime_ns:x}-{found.st_size:x}"
