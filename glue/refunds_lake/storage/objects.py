"""Objects in a bucket: the port that everything but Spark's own tables goes through, and its S3 adapter.

Raw objects, staged parts, files of months and their indexes by the tasks; listings, footers, manifests and locks by the
driver.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Protocol

_CHUNK_BYTES: Final = 1 << 20
_ATTEMPTS: Final = 4
_UNMET: Final = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "NoSuchKey", "404"})


class ObjectMissing(Exception):
    """The object is not there (any more)."""


class ObjectReplaced(Exception):
    """The object is another one than the listing showed."""


class PreconditionFailed(Exception):
    """A conditional write failed: another writer has written or removed the object."""


@dataclasses.dataclass(frozen=True, order=True)
class StoredObject:
    """One object of a listing; `key`, `etag` and `last_modified` together say which delivery it is."""

    key: str
    etag: str
    last_modified: datetime
    size: int
    version_id: str = dataclasses.field(default="", kw_only=True, compare=False)
    """What to read a previous version by; the current one needs none."""

    @property
    def identity(self) -> tuple[str, str]:
        """Which delivery of the key this is."""
        return self.etag, utc_text(self.last_modified)


def parquet_files(listing: Iterable[StoredObject]) -> list[StoredObject]:
    """Return the Parquet files of a listing, without the markers that some file systems leave for directories."""
    return [each for each in listing if each.key.endswith(".parquet")]


class ObjectStore(Protocol):
    """One bucket. Can be pickled: tasks in other processes read and write through it too."""

    def uri(self, key: str) -> str:
        """Return the URI of a key or prefix for Spark and the catalog."""

    def listing(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        """Yield the objects under a prefix in key order, only those after `after` when given."""

    def versions(self, prefix: str) -> list[StoredObject]:
        """Return the objects under a prefix with their previous versions, each key's oldest first, without what was deleted."""

    def get(self, key: str) -> tuple[bytes, str]:
        """Return body and ETag; raise ObjectMissing."""

    def read_range(self, key: str, first: int, last: int) -> bytes:
        """Return the bytes first..last (inclusive, cut at the end of the object); raise ObjectMissing."""

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        """Yield the body piece by piece; raises ObjectMissing, and ObjectReplaced unless it is the object with that ETag."""

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        """Write an object and return its ETag; raise PreconditionFailed if a given condition is not met."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; those that no longer exist are fine. Raise OSError with what could not be removed."""


class S3ObjectStore:
    """An S3 bucket through a boto3 client."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave out the client, which cannot be pickled: the process that unpickles the store makes one for the same region."""
        return _store_elsewhere, (self._bucket, self._client.meta.region_name)

    def uri(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def listing(self, prefix: str, *, after: str = "") -> Iterator[StoredObject]:
        more = {"StartAfter": after} if after else {}
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix, **more)
        for page in pages:
            yield from map(_described, page.get("Contents", []))

    def versions(self, prefix: str) -> list[StoredObject]:
        newest_first, deleted = list[StoredObject](), dict[str, datetime]()
        for page in self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix):
            newest_first += map(_described, page.get("Versions", []))
            for marker in page.get("DeleteMarkers", []):
                deleted.setdefault(marker["Key"], marker["LastModified"])
        return [
            each
            for each in reversed(newest_first)
            if not each.version_id or each.key not in deleted or each.last_modified > deleted[each.key]
        ]

    def get(self, key: str) -> tuple[bytes, str]:
        response = self._get(Key=key)
        return response["Body"].read(), response["ETag"].strip('"')

    def read_range(self, key: str, first: int, last: int) -> bytes:
        body: bytes = self._get(Key=key, Range=f"bytes={first}-{last}")["Body"].read()
        return body

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        # Imported only here, for who only names objects needs no botocore.
        from botocore.exceptions import IncompleteReadError, ReadTimeoutError, ResponseStreamingError

        position, failures, version = 0, 0, {"VersionId": version_id} if version_id else {}
        while True:
            response = self._get(Key=key, **version, **({"Range": f"bytes={position}-"} if position else {}))
            if response["ETag"].strip('"') != etag:
                raise ObjectReplaced(key)
            try:
                for chunk in response["Body"].iter_chunks(_CHUNK_BYTES):
                    yield chunk
                    position += len(chunk)
                return
            except (IncompleteReadError, ReadTimeoutError, ResponseStreamingError):
                failures += 1  # boto3 tries requests again, not bodies
                if failures == _ATTEMPTS:
                    raise

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        conditions = {"IfNoneMatch": "*"} if only_if_absent else {}
        if only_if_etag is not None:
            conditions["IfMatch"] = f'"{only_if_etag}"'
        try:
            response = self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **conditions)
        except self._client.exceptions.ClientError as error:
            if conditions and _code(error) in _UNMET:
                raise PreconditionFailed(key) from error
            raise
        return str(response["ETag"]).strip('"')

    def delete(self, keys: Iterable[str]) -> None:
        remaining = list(keys)
        while remaining:
            batch, remaining = remaining[:1000], remaining[1000:]
            response = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True}
            )
            if failed := response.get("Errors"):
                raise OSError(f"could not delete {failed[0]['Key']}: {failed[0].get('Message', failed[0]['Code'])}")

    def _get(self, **arguments: str) -> dict[str, Any]:
        try:
            response: dict[str, Any] = self._client.get_object(Bucket=self._bucket, **arguments)
        except self._client.exceptions.ClientError as error:
            if _code(error) in {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}:
                raise ObjectMissing(arguments["Key"]) from error
            raise
        return response


@cache
def _store_elsewhere(bucket: str, region: str | None) -> S3ObjectStore:
    import boto3

    return S3ObjectStore(boto3.client("s3", region_name=region), bucket)


def _described(entry: Mapping[str, Any]) -> StoredObject:
    etag, last_modified = entry["ETag"].strip('"'), entry["LastModified"].astimezone(UTC)
    version_id = "" if entry.get("IsLatest", True) else entry["VersionId"]
    return StoredObject(entry["Key"], etag, last_modified, entry["Size"], version_id=version_id)


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def utc_text(moment: datetime) -> str:
    """Return an instant as ISO 8601 in UTC with microseconds and `Z`, so that texts sort like instants."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_moment(text: str) -> datetime:
    """Return the instant that `utc_text` wrote."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
