"""The review on real Spark: one month of raw files rebuilt by the jobs of two releases, in two accounts of the local cloud.

Between the two releases the job's limit for ids becomes shorter, so a refund, a whole customer and a void are rejected:
refunds fall, vanish and rise. independent_answer.py, which knows neither job, computes what is expected.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from independent_answer import answer
from local_cloud import Cloud
from local_project import LocalProject
from repository import ROOT

MONTH, EARLIER = "2026-03", "2026-02"
LIMIT, SHORTER = "ID_LENGTH: Final = 64", "ID_LENGTH: Final = 12"
LONG = "-that-is-longer-than-12"


def purchase(number: int, customer: str) -> dict[str, Any]:
    parties = {"customer_id": customer, "merchant_id": "m"}
    return {"id": f"p{number}", "type": "purchase", "timestamp": "2026-01-31T10:00:00Z", "amount": "99.99", **parties}


def child(kind: str, id: str, parent: str, amount: str, month: str = MONTH) -> dict[str, Any]:
    return {"id": id, "type": kind, "timestamp": f"{month}-02T10:00:00Z", "amount": amount, "parent_id": parent}


RECORDS = [
    *(purchase(number, customer) for number, customer in enumerate(("ann", "bob", "cy", "eve", "fay"))),
    child("refund", "r-ann", "p0", "10.01"),
    child("refund", "r-bob", "p1", "20.02"),
    child("refund", f"r-bob{LONG}", "p1", "5.50"),
    child("refund", f"r-cy{LONG}", "p2", "1.25"),
    child("refund", "r-eve", "p3", "7.75"),
    child("void", f"v-eve{LONG}", "p3", "99.99"),
    child("refund", f"r-fay{LONG}", "p4", "3.00", EARLIER),  # of another month, so no difference in this one
]


@dataclass(frozen=True, repr=False)
class Reviewed:
    """The page, its document, and what independent_answer.py expects of each job."""

    page: str
    document: dict[str, Any]
    before: dict[str, Any]
    after: dict[str, Any]
    live_files: list[str]

    def expected(self, side: dict[str, Any]) -> dict[str, Decimal]:
        return {row["customer_id"]: Decimal(row["total_refund"]) for row in side["monthly"][MONTH]}


class TwoAccounts:
    """The repository's project in the shared local cloud, with uat and prod as two of its accounts."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud, self._project = cloud, LocalProject.copy_to(cloud.project_dir)
        self.directory = cloud.project_dir
        project = yaml.safe_load((ROOT / "dataops.yml").read_text(encoding="utf-8"))
        for name in ("uat", "prod"):
            del project["environments"][name]["profile"]
            project["environments"][name]["endpoint"] = "local"
        self.uat = project["environments"]["uat"]["account"]
        (self.directory / "dataops.yml").write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")

    def dataops(self, *arguments: str) -> str:
        return self._project.dataops(*arguments).stdout

    def shorten_ids(self) -> None:
        rules = self.directory / "glue" / "refunds_lake" / "schema" / "contract.py"
        text = rules.read_text(encoding="utf-8")
        assert text.count(LIMIT) == 1
        rules.write_text(text.replace(LIMIT, SHORTER), encoding="utf-8")

    def deliver(self, file: Path) -> None:
        key = f"transactions/source=s3/ingest_date=2026-04-01/{file.name}"
        self._s3().upload_file(str(file), self._bucket("Raw"), key)

    def live_files(self) -> list[str]:
        return [
            item["Key"]
            for item in self._s3().list_objects_v2(Bucket=self._bucket("Base"), Prefix="base/").get("Contents", ())
        ]

    def _s3(self) -> Any:
        return self._cloud.client("s3", account=self.uat)

    def _bucket(self, which: str) -> str:
        cloudformation = self._cloud.client("cloudformation", account=self.uat)
        stack = cloudformation.describe_stacks(StackName="refunds-lake-uat-storage")["Stacks"][0]
        return self._cloud.outputs(stack)[f"{which}BucketName"]


def written(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reviewed(local_cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Reviewed:
    """prod has the repository's release, uat one whose job accepts only shorter ids; the raw files are those of uat."""
    accounts, directory = TwoAccounts(local_cloud), tmp_path_factory.mktemp("raw")
    everything = written(directory / "everything.jsonl", RECORDS)
    kept = written(directory / "kept.jsonl", (record for record in RECORDS if len(record["id"]) <= 12))
    accounts.dataops("deploy", "--env", "prod", "--yes", "--no-smoke")
    accounts.shorten_ids()
    accounts.dataops("deploy", "--env", "uat", "--yes", "--no-smoke")
    accounts.deliver(everything)
    asked = ["review", "--env", "uat", "--against", "prod", "--month", MONTH, "--out", "review.md"]
    document = json.loads(accounts.dataops("--output", "json", *asked))
    page = (accounts.directory / "review.md").read_text(encoding="utf-8")
    return Reviewed(page, document, answer([everything]), answer([kept]), accounts.live_files())


def test_the_month_differs_exactly_where_the_job_changed(reviewed: Reviewed) -> None:
    """Given two jobs, when both rebuild the month, then exactly the customers on whom they differ are listed."""
    before, after = reviewed.expected(reviewed.before), reviewed.expected(reviewed.after)
    expected = [
        {"customer_id": customer, "before": f"{before.get(customer, 0):.2f}", "after": f"{after.get(customer, 0):.2f}"}
        for customer in sorted(before.keys() | after.keys())
        if before.get(customer) != after.get(customer)
    ]
    assert [difference["customer_id"] for difference in expected] == ["bob", "cy", "eve"], "less, gone, and more"
    rebuilt = reviewed.document["rebuilt"]
    assert (rebuilt["month"], rebuilt["why_not"]) == (MONTH, None)
    assert rebuilt["differences"] == expected


def test_the_page_totals_the_differences(reviewed: Reviewed) -> None:
    """Given the differences, then the page has a line for each customer, and their total, signed and to the cent."""
    before, after = reviewed.expected(reviewed.before), reviewed.expected(reviewed.after)
    section = reviewed.page.split(f"These customers differ for {MONTH} after both jobs:\n\n")[1].split("\n\n")[0]
    was, is_ = (sum(side.get(customer, Decimal()) for customer in ("bob", "cy", "eve")) for side in (before, after))
    assert section.splitlines()[2:] == [
        *(
            f"| {c} | {before.get(c, 0):.2f} | {after.get(c, 0):.2f} | {after.get(c, 0) - before.get(c, 0):+.2f} |"
            for c in ("bob", "cy", "eve")
        ),
        f"| **3 customers** | {was:.2f} | {is_:.2f} | {is_ - was:+.2f} |",
    ]


def test_the_page_says_what_became_of_each_record(reviewed: Reviewed) -> None:
    """Given the same raw files, then the records that the newer job rejects are those that it no longer keeps."""
    before, after = reviewed.document["rebuilt"]["counts"]
    too_long = len(RECORDS) - reviewed.after["counts"]["read"]
    assert before == reviewed.before["counts"]
    assert after == {**before, "kept": before["kept"] - too_long, "rejected": too_long}
    assert f"| rejected | 0 | {too_long} | +{too_long} |" in reviewed.page


def test_the_live_tables_are_not_touched(reviewed: Reviewed) -> None:
    """Given that the live tables were empty, when both jobs have run, then they still are."""
    assert reviewed.live_files == []
