"""A bucket that is a directory and a catalog that is a JSON file, as the clients that the job's own adapters talk to.

The job and its adapters run unchanged, without an emulator's noise; `wire` sees each of their requests. Spark sees the same
directories through mounts: what it reads and writes by itself is not among the requests.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.schema.columns import PARTITION_KEY, TABLES
from refunds_lake.storage.objects import S3ObjectStore
from wire import Wire

PAGE = 1_000
"""Objects or partitions in an answer, AWS's limit."""


class DirectoryStore(S3ObjectStore):
    """The job's own adapter to S3, over a directory. One writer at a time."""

    def __init__(self, bucket: str, root: Path, wire: Wire) -> None:
        root.mkdir(parents=True, exist_ok=True)
        super().__init__(DirectoryClient(root, wire), bucket)
        self._made_of = bucket, root, wire

    def __reduce__(self) -> tuple[Any, ...]:
        return DirectoryStore, self._made_of


class DirectoryClient:
    """The calls of boto3's S3 client that the job makes, answered from a directory."""

    meta = SimpleNamespace(region_name=None)
    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, root: Path, wire: Wire) -> None:
        self._root, self._wire = root, wire

    def get_object(self, Bucket: str, Key: str, Range: str | None = None) -> dict[str, Any]:
        try:
            file = (self._root / Key).open("rb")
        except FileNotFoundError as error:
            self._wire.request("S3 GetObject")
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject") from error
        found = os.fstat(file.fileno())
        first, _, last = (Range or "bytes=0-").removeprefix("bytes=").partition("-")
        end = min(int(last) + 1 if last else found.st_size, found.st_size)
        file.seek(int(first))
        self._wire.request("S3 GetObject", end - int(first))
        return {"Body": Body(file, end - int(first)), "ETag": _etag(found)}

    def put_object(
        self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        self._wire.request("S3 PutObject", len(Body))
        path = self._root / Key
        found = _etag(os.stat(path)) if path.exists() else None
        if (IfNoneMatch and found is not None) or (IfMatch is not None and found != IfMatch):
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        path.parent.mkdir(parents=True, exist_ok=True)
        # Replaced, never overwritten: snapshots of the lake are hard links.
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(Body)
        os.replace(beside, path)
        return {"ETag": _etag(os.stat(path))}

    def delete_objects(self, Bucket: str, Delete: Mapping[str, Any]) -> dict[str, Any]:
        self._wire.request("S3 DeleteObjects")
        for each in Delete["Objects"]:
            (self._root / each["Key"]).unlink(missing_ok=True)
        return {}

    def get_paginator(self, call: str) -> Any:
        lists = {"list_objects_v2": self._list_objects, "list_object_versions": self._list_object_versions}
        return SimpleNamespace(paginate=lists[call])

    def _list_objects(self, Bucket: str, Prefix: str, StartAfter: str = "") -> Iterator[dict[str, Any]]:
        listed = [each for each in self._below(Prefix) if each["Key"] > StartAfter]
        return _pages(listed, "Contents", lambda: self._wire.request("S3 ListObjectsV2"))

    def _list_object_versions(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        """A directory keeps no previous versions."""
        current = [{**each, "VersionId": "null", "IsLatest": True} for each in self._below(Prefix)]
        return _pages(current, "Versions", lambda: self._wire.request("S3 ListObjectVersions"))

    def _below(self, prefix: str) -> list[dict[str, Any]]:
        keys = (
            str(Path(directory, name).relative_to(self._root))
            for directory, _, names in os.walk(self._root / prefix.rpartition("/")[0])
            for name in names
            if not name.startswith(".") and "_temporary" not in directory
        )
        return [_entry(self._root, key) for key in sorted(keys) if key.startswith(prefix)]


class Body:
    """Some bytes of an open file, read once."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int | None = None) -> bytes:
        body = self._file.read(min(self._left, self._left if size is None else size))
        self._left -= len(body)
        if not self._left:
            self._file.close()
        return body

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while self._left:
            yield self.read(size)


def file_catalog(path: Path, wire: Wire) -> GlueCatalog:
    """The job's own adapter to Glue, over one JSON file: table -> month -> location."""
    return GlueCatalog(FileClient(path, wire), "bench")


class EntityNotFound(Exception):
    """What Glue answers when there is no such table or partition."""


class FileClient:
    """The calls of boto3's Glue client that the job makes."""

    exceptions = SimpleNamespace(EntityNotFoundException=EntityNotFound)

    def __init__(self, path: Path, wire: Wire) -> None:
        self._path, self._wire = path, wire

    def get_table(self, DatabaseName: str, Name: str) -> dict[str, Any]:
        self._wire.request("Glue GetTable")
        columns = [{"Name": name, "Type": type_} for name, type_ in TABLES[Name]]
        return {"Table": {"StorageDescriptor": {"Columns": columns}, "PartitionKeys": [{"Name": PARTITION_KEY}]}}

    def get_paginator(self, call: str) -> Any:
        assert call == "get_partitions"
        return SimpleNamespace(paginate=self._partitions)

    def batch_create_partition(
        self, DatabaseName: str, TableName: str, PartitionInputList: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        self._wire.request("Glue BatchCreatePartition")
        return self._point(TableName, PartitionInputList)

    def batch_update_partition(
        self, DatabaseName: str, TableName: str, Entries: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        self._wire.request("Glue BatchUpdatePartition")
        return self._point(TableName, [each["PartitionInput"] for each in Entries])

    def delete_partition(self, DatabaseName: str, TableName: str, PartitionValues: Sequence[str]) -> None:
        self._wire.request("Glue DeletePartition")
        pointers = self._read()
        if pointers.get(TableName, {}).pop(PartitionValues[0], None) is None:
            raise EntityNotFound
        self._write(pointers)

    def _partitions(self, DatabaseName: str, TableName: str, **_: object) -> Iterator[dict[str, Any]]:
        pointers = self._read().get(TableName, {})
        found = [{"Values": [month], "StorageDescriptor": {"Location": place}} for month, place in pointers.items()]
        return _pages(found, "Partitions", lambda: self._wire.request("Glue GetPartitions"))

    def _point(self, table: str, partitions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        pointers = self._read()
        moved = {each["Values"][0]: each["StorageDescriptor"]["Location"] for each in partitions}
        self._write({**pointers, table: {**pointers.get(table, {}), **moved}})
        return {}

    def _read(self) -> dict[str, dict[str, str]]:
        pointers: dict[str, dict[str, str]] = json.loads(self._path.read_text()) if self._path.exists() else {}
        return pointers

    def _write(self, pointers: Mapping[str, Mapping[str, str]]) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(pointers))
        os.replace(beside, self._path)


def _pages(entries: Sequence[Any], name: str, request: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The entries in answers of PAGE each, of which even an empty one takes a request."""
    for first in range(0, len(entries) or 1, PAGE):
        request()
        yield {name: entries[first : first + PAGE]}


def _entry(root: Path, key: str) -> dict[str, Any]:
    found = os.stat(root / key)
    modified = datetime.fromtimestamp(found.st_mtime_ns // 1_000_000_000, UTC)
    return {"Key": key, "ETag": _etag(found), "LastModified": modified, "Size": found.st_size}


def _etag(found: os.stat_result) -> str:
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
