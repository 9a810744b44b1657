"""Restore: all tables and the catalog are rebuilt from raw, and raw itself comes back after a mass deletion.

The commands are those of docs/operations.md; the figures before and after are equal to the cent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from documented import masked, shown
from local_project import LocalProject

TRANSACTIONS, MONTHS = 3000, 4


class Lakehouse(LocalProject):
    """A deployed lake with a sample in it."""

    def figures(self) -> dict[str, Any]:
        """What the tables have: the report of all time, the refunds by month and reason, and the counts of the records."""
        by_month = "select month, reason, count(*), sum(amount) from refund_detail group by month, reason order by 1, 2"
        rejected = "select source_file, line_number, raw_text from rejected order by 1, 2"
        return {
            "report": self.document("report", "--env", "local")["rows"],
            "months": self.document("query", "--env", "local", by_month)["rows"],
            "rejected": self.document("query", "--env", "local", rejected)["rows"],
            "arrivals": self.document("status", "--env", "local")["arrivals"]["routes"],
        }

    def versions(self, bucket: str) -> list[dict[str, str]]:
        """Every version and delete marker of a bucket, in the form that S3's deletion takes."""
        pages = self.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
        found = [each for page in pages for kind in ("Versions", "DeleteMarkers") for each in page.get(kind, ())]
        return [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Deploy, and load a sample."""
    lakehouse = Lakehouse.deployed(tmp_path_factory, "restore")
    try:
        options = ("--transactions", str(TRANSACTIONS), "--months", str(MONTHS), "--seed", "13")
        lakehouse.dataops("sample", "--out", "sample", *options)
        files = sorted((lakehouse.directory / "sample").iterdir())
        lakehouse.dataops("ingest", "--env", "local", *map(str, files))
        lakehouse.dataops("run", "--env", "local")
        yield lakehouse
    finally:
        lakehouse.dataops("local", "stop", check=False)


@pytest.fixture(scope="module")
def before(lakehouse: Lakehouse) -> dict[str, Any]:
    """The figures before anything is lost; the last month is issued as a statement."""
    figures = lakehouse.figures()
    assert figures["report"] and figures["rejected"]
    month = max(row[0] for row in figures["months"])
    lakehouse.dataops("statement", "issue", "--env", "local", "--month", month)
    return figures


def test_raw_comes_back_after_a_mass_deletion(lakehouse: Lakehouse, before: dict[str, Any]) -> None:
    """Given that somebody has deleted all raw files, when they are restored, then each is the version that it was, and the
    job has nothing to read; the rebuild below shows that they are whole.
    """
    raw, s3 = lakehouse.outputs("storage")["RawBucketName"], lakehouse.client("s3")
    files = listed(s3, raw)
    s3.delete_objects(Bucket=raw, Delete={"Objects": [{"Key": key} for key, *_ in files]})
    assert listed(s3, raw) == []

    named = lakehouse.document("restore", "--env", "local", "--since", "1h", "--dry-run")
    assert (named["files"], named["restored"], named["lost"]) == ([key for key, *_ in files], False, 0)
    assert listed(s3, raw) == []
    assert (
        f"{len(files):,} files restored"
        in lakehouse.dataops("restore", "--env", "local", "--since", "1h", "--yes").stdout
    )

    assert listed(s3, raw) == files
    assert "nothing new" in lakehouse.dataops("run", "--env", "local").stdout
    assert lakehouse.figures() == before


def test_tables_and_catalog_are_made_of_raw_again(lakehouse: Lakehouse, before: dict[str, Any]) -> None:
    """Given a base bucket and a catalog that somebody has emptied for good, when they are rebuilt, then all figures are the
    same as before, the statements, which nobody could delete, still agree with them, and docs/operations.md shows the status.
    """
    s3, glue, base = lakehouse.client("s3"), lakehouse.client("glue"), lakehouse.outputs("storage")["BaseBucketName"]
    lost = [each for each in lakehouse.versions(base) if not each["Key"].startswith("statements/")]
    for first in range(0, len(lost), 1000):
        s3.delete_objects(Bucket=base, Delete={"Objects": lost[first : first + 1000]})
    (issued,) = s3.list_objects_v2(Bucket=base, Prefix="statements/issued/")["Contents"]
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=base, Key=issued["Key"])
    databases = [each["Name"] for each in glue.get_databases()["DatabaseList"]]
    for name in databases:
        glue.delete_database(Name=name)
    assert lakehouse.dataops("report", "--env", "local", check=False).returncode == 1

    made = lakehouse.document("data", "rebuild-catalog", "--env", "local")["created"]
    lakehouse.dataops("run", "--env", "local", "--full-refresh")

    assert {name for name in made if "." not in name} == set(databases)
    assert lakehouse.figures() == before
    assert lakehouse.document("statement", "changes", "--env", "local")["transactions"] == []
    assert lakehouse.dataops("check", "--env", "local", "--blocking", check=False).returncode == 0
    assert "no drift" in lakehouse.dataops("drift", "--env", "local").stdout
    status = lakehouse.dataops("status", "--env", "local").stdout.replace("(full_refresh)", "(increment)")
    number = r" *(?<![\w:-])\d[\d,]*(?= )"
    assert masked(status, N=number) == masked(shown("status --env local"), N=number)


def listed(s3: Any, bucket: str) -> list[tuple[str, str, Any]]:
    """The transaction files: key, ETag, and time of arrival."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="transactions/")
    return [(each["Key"], each["ETag"], each["LastModified"]) for page in pages for each in page.get("Contents", ())]
