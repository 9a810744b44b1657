"""Raw files that were deleted: which come back, what is asked first, and what people read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from fake_aws import FakeSession

from deployer.lake.deleted_files import find_deletions

Run = Callable[..., tuple[int, str, str]]
NOW = datetime.now(UTC).replace(microsecond=0)
AGO = NOW - timedelta(minutes=30)
LONG_AGO = NOW - timedelta(days=30)
FILE = "transactions/source=s3/{}.jsonl"


class VersionedS3:
    """A bucket of versions: (key, version id, when, whether it is a marker), the newest of each key first."""

    def __init__(self) -> None:
        self.versions: list[tuple[str, str, datetime, bool]] = []
        self.page_size, self.refused, self.requests = 1000, "", 0

    def add(self, name: str, version: str, when: datetime, *, marker: bool = False) -> None:
        self.versions.insert(0, (FILE.format(name), version, when, marker))

    def get_paginator(self, operation: str) -> Any:
        assert operation == "list_object_versions"
        return SimpleNamespace(paginate=self._pages)

    def _pages(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        listed = sorted((each for each in self.versions if each[0].startswith(Prefix)), key=lambda each: each[0])
        newest = {key: version for key, version, *_ in reversed(listed)}
        for first in range(0, len(listed), self.page_size):
            page: dict[str, Any] = {"Versions": [], "DeleteMarkers": []}
            for key, version, when, is_marker in listed[first : first + self.page_size]:
                entry = {"Key": key, "VersionId": version, "LastModified": when, "IsLatest": newest[key] == version}
                page["DeleteMarkers" if is_marker else "Versions"].append(entry)
            yield page

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        assert len(Delete["Objects"]) <= 1000
        if self.refused:
            return {"Errors": [{"Key": FILE.format("a"), "Code": "AccessDenied", "Message": self.refused}]}
        removed = {(each["Key"], each["VersionId"]) for each in Delete["Objects"]}
        self.versions = [each for each in self.versions if each[:2] not in removed]
        return {}


@pytest.fixture
def s3() -> VersionedS3:
    """A file that is there, one that was deleted, one deleted long ago, one deleted twice, one without any version."""
    found = VersionedS3()
    found.add("there", "1", LONG_AGO)
    found.add("deleted", "1", LONG_AGO)
    found.add("deleted", "2", AGO, marker=True)
    found.add("long-ago", "1", LONG_AGO)
    found.add("long-ago", "2", LONG_AGO, marker=True)
    found.add("twice", "1", LONG_AGO)
    found.add("twice", "2", AGO, marker=True)
    found.add("twice", "3", NOW, marker=True)
    found.add("gone", "2", AGO, marker=True)
    found.add("delivered-again", "1", LONG_AGO)
    found.add("delivered-again", "2", AGO, marker=True)
    found.add("delivered-again", "3", NOW)
    return found


@pytest.fixture
def session(s3: VersionedS3) -> Any:
    return FakeSession(s3=s3)  # type: ignore[arg-type]


@pytest.mark.parametrize("page_size", [1, 2, 3, 1000])
def test_what_was_deleted_since_a_moment(session: Any, s3: VersionedS3, page_size: int) -> None:
    """Given versions on pages of any size, then files that only markers hide are found, with all of these markers."""
    s3.page_size = page_size
    found = find_deletions(session.lake, "transactions/", NOW - timedelta(hours=1))
    assert [(each.key, each.markers) for each in found.files] == [
        (FILE.format("deleted"), ("2",)),
        (FILE.format("twice"), ("2", "3")),
    ]
    assert (found.files[0].deleted_at, found.lost) == (AGO, 1)


def test_they_come_back_as_they_were(dataops: Run, s3: VersionedS3) -> None:
    """Given deleted files, when they are restored, then their markers alone are gone, and people read how many came back."""
    before = list(s3.versions)
    code, out, err = dataops("restore", "--env", "test", "--since", "1h", "--yes")
    assert (code, out) == (0, "2 files restored\n")
    assert "1 files have no version left" in err and "2 of 2 files restored" in err and "next: dataops run" in err
    removed = [each for each in before if each not in s3.versions]
    assert sorted(each[:2] for each in removed) == [
        (FILE.format("deleted"), "2"),
        (FILE.format("twice"), "2"),
        (FILE.format("twice"), "3"),
    ]
    assert dataops("restore", "--env", "test", "--since", "1h", "--yes")[1] == "0 files to restore\n"


def test_many_come_back_in_few_requests(dataops: Run, s3: VersionedS3) -> None:
    """Given 2,500 deleted files, when they are restored, then S3 is asked three times, and people see how far it is."""
    s3.versions = []
    for number in range(2500):
        s3.add(f"{number:04}", "1", LONG_AGO)
        s3.add(f"{number:04}", "2", AGO, marker=True)
    _, out, err = dataops("restore", "--env", "test", "--since", "1h", "--yes")
    assert (out, s3.requests) == ("2,500 files restored\n", 3)
    assert [line.split(" files")[0] for line in err.splitlines() if "files restored" in line] == [
        "1,000 of 2,500",
        "2,000 of 2,500",
        "2,500 of 2,500",
    ]


def test_looking_changes_nothing(dataops: Run, s3: VersionedS3) -> None:
    """Given --dry-run, or nobody to ask, then the files are named and every marker stays."""
    before = list(s3.versions)
    code, out, err = dataops("restore", "--env", "test", "--since", "1h", "--dry-run")
    assert (code, out) == (0, "2 files could be restored\n") and FILE.format("twice") in err
    assert dataops("restore", "--env", "test", "--since", "1h")[0] == 2
    assert s3.versions == before
    document = json.loads(dataops("--output", "json", "restore", "--env", "test", "--since", "1h", "--dry-run")[1])
    assert (document["restored"], document["files"], document["lost"]) == (
        False,
        [FILE.format("deleted"), FILE.format("twice")],
        1,
    )


def test_who_may_not_is_told_what_it_needs(dataops: Run, s3: VersionedS3) -> None:
    """Given rights that do not suffice, then the error has AWS's words, the file, and the command that prints the rights."""
    s3.refused = "Access Denied"
    code, out, err = dataops("restore", "--env", "test", "--since", "1h", "--yes")
    assert (code, out) == (1, "")
    assert "Access Denied" in err and FILE.format("a") in err and "--role restore" in err


@pytest.mark.parametrize(
    "arguments", [(), ("--since", "soon"), ("--since", "1h", "--prefix", "smoke/"), ("--since", "1h", "--prefix", "")]
)
def test_only_raw_comes_back_and_only_since_a_moment(dataops: Run, s3: VersionedS3, arguments: tuple[str, ...]) -> None:
    """Given no moment, or a prefix outside of the transaction files, then it is a usage error and nothing happens."""
    assert dataops("restore", "--env", "test", *arguments, "--yes")[0] == 2
    assert s3.requests == 0
