"""Deleted raw files are restored by removing the delete markers behind which a versioned bucket hides them.

Each file then has its original version, content and modification time, so the job knows it and reads nothing twice. A file
whose versions were deleted cannot be restored; if its marker is left, it is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from deployer.aws.calls import translated
from deployer.errors import DataopsError, UsageError
from deployer.lake.deployed_lake import Lake

PREFIX: Final = "transactions/"
_AT_ONCE: Final = 1000
"""What S3 takes in one request."""


@dataclass(frozen=True)
class DeletedFile:
    """A file that is hidden only by its markers: when the first was set, and the version ids of all."""

    key: str
    deleted_at: datetime
    markers: tuple[str, ...]


@dataclass(frozen=True)
class Deletions:
    """What was deleted since a moment: the files that can be restored, and how many have no version left."""

    files: tuple[DeletedFile, ...]
    lost: int


@dataclass
class _Versions:
    """The markers of a key as (when, version id), whether one of them hides it, and the time of its newest content."""

    markers: list[tuple[datetime, str]] = field(default_factory=list)
    is_deleted: bool = False
    newest: datetime | None = None


def checked_prefix(text: str) -> str:
    """Return a prefix of transaction files. Raise UsageError for any other prefix."""
    if not text.startswith(PREFIX):
        raise UsageError(f"'{text}' does not begin with {PREFIX}", hint=f"as in --prefix {PREFIX}source=s3/")
    return text


@translated
def find_deletions(lake: Lake, prefix: str, since: datetime) -> Deletions:
    """Return what was deleted below a prefix since a moment; earlier deletions stay."""
    pages = lake.s3.get_paginator("list_object_versions").paginate(Bucket=lake.raw_bucket, Prefix=prefix)
    files, lost = [], 0
    for key, versions in _by_key(pages):
        if not versions.is_deleted:
            continue
        over = sorted(each for each in versions.markers if versions.newest is None or each[0] >= versions.newest)
        deleted_at = over[0][0]
        if deleted_at < since:
            continue
        if versions.newest is None:
            lost += 1
        else:
            files.append(DeletedFile(key, deleted_at, tuple(marker for _, marker in over)))
    return Deletions(tuple(files), lost)


def _by_key(pages: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, _Versions]]:
    """Yield all versions of each key, in the order of keys; those of one key may continue on the next page."""
    found: dict[str, _Versions] = {}
    for page in pages:
        for entry in page.get("Versions", ()):
            each, when = found.setdefault(entry["Key"], _Versions()), entry["LastModified"].astimezone(UTC)
            each.newest = max(each.newest or when, when)
        for entry in page.get("DeleteMarkers", ()):
            each = found.setdefault(entry["Key"], _Versions())
            each.markers.append((entry["LastModified"].astimezone(UTC), entry["VersionId"]))
            each.is_deleted |= entry["IsLatest"]
        for key in sorted(found)[:-1]:
            yield key, found.pop(key)
    yield from found.items()


@translated
def restore_files(lake: Lake, files: Sequence[DeletedFile], done: Callable[[int], None]) -> None:
    """Remove the markers of files; `done` receives the number of files restored so far. Raise DataopsError for the first failure."""
    for first in range(0, len(files), _AT_ONCE):
        batch = files[first : first + _AT_ONCE]
        markers = [{"Key": each.key, "VersionId": marker} for each in batch for marker in each.markers]
        for start in range(0, len(markers), _AT_ONCE):
            request = {"Objects": markers[start : start + _AT_ONCE], "Quiet": True}
            answer = lake.s3.delete_objects(Bucket=lake.raw_bucket, Delete=request)
            if failed := answer.get("Errors"):
                raise DataopsError(
                    f"{len(failed):,} markers could not be removed: {failed[0].get('Message', failed[0]['Code'])}",
                    where=f"s3://{lake.raw_bucket}/{failed[0]['Key']}",
                    hint=f"dataops iam-policy --env {lake.environment} --role restore prints the permissions that this needs; "
                    "run the same command again to continue",
                )
        done(first + len(batch))
