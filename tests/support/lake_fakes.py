"""Fakes of the job's ports: a bucket that is a directory, and a catalog in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from refunds_lake.schema.columns import TABLES, Columns
from refunds_lake.storage.objects import ObjectMissing, ObjectReplaced, PreconditionFailed, StoredObject

CHUNK_BYTES = 1 << 20


class DirectoryStore:
    """A bucket that is a directory; replaced files are in another directory beside it."""

    def __init__(self, root: Path) -> None:
        self.root, self._previous = root, root.with_name(f"{root.name}-previous")
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
                yield self._described(key, self.root / key)
            except FileNotFoundError:
                continue

    def versions(self, prefix: str) -> list[StoredObject]:
        found = []
        for path in sorted(self._previous.glob("*/**/*")):
            version, _, key = str(path.relative_to(self._previous)).partition("/")
            if path.is_file() and key.startswith(prefix):
                found.append(self._described(key, path, version))
        return [*found, *self.listing(prefix)]

    def _described(self, key: str, path: Path, version: str = "") -> StoredObject:
        status = path.stat()
        return StoredObject(
            key=key,
            etag=hashlib.md5(path.read_bytes()).hexdigest(),
            last_modified=datetime.fromtimestamp(status.st_mtime, UTC),
            size=status.st_size,
            version_id=version,
        )

    def get(self, key: str) -> tuple[bytes, str]:
        try:
            body = (self.root / key).read_bytes()
        except FileNotFoundError as error:
            raise ObjectMissing(key) from error
        return body, hashlib.md5(body).hexdigest()

    def read_range(self, key: str, first: int, last: int) -> bytes:
        return self.get(key)[0][first : last + 1]

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        body = (self._previous / version_id / key).read_bytes() if version_id else self.get(key)[0]
        if hashlib.md5(body).hexdigest() != etag:
            raise ObjectReplaced(key)
        yield from (body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES))

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        path = self.root / key
        if only_if_absent and path.exists():
            raise PreconditionFailed(key)
        if only_if_etag is not None and (not path.exists() or self.get(key)[1] != only_if_etag):
            raise PreconditionFailed(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and "source=" in key:
            previous = self._previous / f"{len([*self._previous.glob('*')]):04}" / key
            previous.parent.mkdir(parents=True)
            path.rename(previous)
        path.write_bytes(body)
        return hashlib.md5(body).hexdigest()

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            for version in (self.root, *self._previous.glob("*")):
                (version / key).unlink(missing_ok=True)


class MemoryCatalog:
    """A catalog database in memory."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, str]] = {table: {} for table in TABLES}

    def columns(self, table: str) -> Columns:
        return TABLES[table]

    def months(self, table: str) -> dict[str, str]:
        return dict(self.tables[table])

    def create(self, table: str, locations: Mapping[str, str]) -> None:
        assert not locations.keys() & self.tables[table].keys(), "an existing partition cannot be created"
        self.tables[table].update(locations)

    def update(self, table: str, locations: Mapping[str, str]) -> None:
        assert locations.keys() <= self.tables[table].keys(), "a missing partition cannot be updated"
        self.tables[table].update(locations)

    def drop(self, table: str, months: Iterable[str]) -> None:
        for month in months:
            self.tables[table].pop(month, None)
