"""Month end in the local cloud: statements by the command and by the function, later arrivals, changes and adjustments."""

from __future__ import annotations

import csv
import io
import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from documented import masked, shown
from local_cloud import eventually
from local_project import LocalProject
from refunds_statements.calendar import next_month

ANNA = {"customer_id": "anna", "merchant_id": "m"}
BEN = {"customer_id": "ben", "merchant_id": "m"}
FIRST = [
    {"id": "P1", "type": "purchase", "timestamp": "2026-05-01T10:00:00Z", "amount": "100.00", **ANNA},
    {"id": "P2", "type": "purchase", "timestamp": "2026-05-05T10:00:00Z", "amount": "50.00", **BEN},
    {"id": "R1", "type": "refund", "timestamp": "2026-06-01T10:00:00Z", "amount": "10.00", "parent_id": "P1"},
    {"id": "R2", "type": "refund", "timestamp": "2026-08-02T10:00:00Z", "amount": "20.00", "parent_id": "P1"},
    {"id": "R3", "type": "refund", "timestamp": "2026-08-03T10:00:00Z", "amount": "5.50", "parent_id": "P2"},
    {"id": "R4", "type": "refund", "timestamp": "2026-09-03T10:00:00Z", "amount": "1.25", "parent_id": "P2"},
]


def months_due() -> list[str]:
    """The months from September on that are over by now."""
    due, now = ["2026-09"], f"{datetime.now(UTC):%Y-%m}"
    while next_month(due[-1]) < now:
        due.append(next_month(due[-1]))
    return due


DUE = months_due()


class Lakehouse(LocalProject):
    """A project whose local cloud has loaded the first arrivals."""

    def json(self, *arguments: str) -> Any:
        return self.document(*arguments, "--env", "local")

    def page(self, month: str) -> str:
        """The finance page of a month."""
        self.dataops("report", "--env", "local", "--month", month, "--html", "page.html")
        return (self.directory / "page.html").read_text(encoding="utf-8")

    def issue_by_function(self) -> dict[str, Any]:
        """Start the function as the schedule does; its answer."""
        function = self.outputs("month-end")["StatementFunctionName"]
        invoked = self.client("lambda").invoke(FunctionName=function, Payload=b"{}")
        answer: dict[str, Any] = json.loads(invoked["Payload"].read())
        assert "FunctionError" not in invoked, answer
        return answer

    def slack(self) -> list[str]:
        """The messages in Slack so far, newest first: the text of each, and that of its lines."""
        url = self.document("local", "status")["url"]
        with urllib.request.urlopen(f"{url}/_dataops/slack.json") as answer:
            messages = json.load(answer)["messages"]
        return [
            " ".join([each["text"], *(b["text"]["text"] for b in each["blocks"] if b["type"] == "section")])
            for each in messages
        ]

    def file(self, statement: dict[str, Any], name: str) -> str:
        """A document of a statement, from the base bucket."""
        bucket, _, prefix = statement["location"].removeprefix("s3://").partition("/")
        body: bytes = self.client("s3").get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
        return body.decode()


def assert_documented(command: str, lakehouse: Lakehouse) -> None:
    """Check that docs/operations.md shows what a command prints, except for what differs in each run."""
    assert masked(lakehouse.dataops(*command.split()).stdout) == masked(shown(command))


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Deploy and load the first arrivals."""
    lakehouse = Lakehouse.deployed(tmp_path_factory, "month-end")
    try:
        lakehouse.deliver("first.jsonl", map(json.dumps, FIRST))
        yield lakehouse
    finally:
        lakehouse.dataops("local", "stop", check=False)


def test_a_statement_is_the_report_of_its_month(lakehouse: Lakehouse) -> None:
    """Given a month that is over, when it is issued, then its documents have the report's figures, and their source."""
    assert_documented("statement issue --env local --month 2026-08", lakehouse)
    statement = lakehouse.json("statement", "show", "--month", "2026-08")
    eventually(lambda: any("Statement of 2026-08" in text for text in lakehouse.slack()), seconds=30)
    report = lakehouse.json("report", "--month", "2026-08")
    assert (statement["total_refund"], statement["adjustments_total"]) == ("25.50", "10.00")
    assert (statement["refunds"], statement["customers"]) == (report["rows"], report["customers"])
    assert (
        lakehouse.file(statement, "refunds.csv")
        == lakehouse.dataops("report", "--env", "local", "--month", "2026-08", "--format", "csv").stdout
    )
    assert statement["run"] == lakehouse.json("data", "runs")["runs"][0]["run_id"]
    assert statement["release"] == lakehouse.json("status")["current"]["release"]
    assert json.loads(lakehouse.file(statement, "statement.json"))["refunds"] == report["rows"]
    page = lakehouse.file(statement, "statement.html")
    assert "<h1>Statement of 2026-08</h1>" in page and '<p class="total" id="total">25.50</p>' in page
    assert f"<dd>{statement['release']}</dd>" in page and "Every check of" in page
    lines = list(csv.DictReader(io.StringIO(lakehouse.file(statement, "lines.csv"))))
    assert [(line["refund_id"], line["amount"]) for line in lines] == [("R2", "20.00"), ("R3", "5.50")]
    issued = shown("statement issue --env local --month 2026-08")
    assert masked(lakehouse.dataops("statement", "show", "--env", "local").stdout) == masked(issued)


def test_nobody_overwrites_or_deletes_a_statement(lakehouse: Lakehouse) -> None:
    """Given a statement, when the account's administrator writes or deletes one of its documents, then the bucket refuses."""
    bucket, _, prefix = lakehouse.json("statement", "show")["location"].removeprefix("s3://").partition("/")
    s3, document = lakehouse.client("s3"), {"Bucket": bucket, "Key": f"{prefix}refunds.csv"}
    for refused in (lambda: s3.put_object(**document, Body=b""), lambda: s3.delete_object(**document)):
        with pytest.raises(ClientError, match="AccessDenied"):
            refused()


def test_twice_and_out_of_order_are_refused(lakehouse: Lakehouse) -> None:
    """Given the statement of August, then August, July and October are refused, and the list has only August."""
    for month in ("2026-08", "2026-07", "2026-10"):
        assert lakehouse.dataops("statement", "issue", "--env", "local", "--month", month, check=False).returncode == 6
    assert [each["month"] for each in lakehouse.json("statement", "list")["statements"]] == ["2026-08"]


def test_a_blocking_check_refuses_a_month(lakehouse: Lakehouse) -> None:
    """Given a month of purchases that the catalog lost, when a month is issued, then it is refused with the check's name."""
    database = lakehouse.outputs("catalog")["BaseDatabaseName"]
    lakehouse.client("glue").delete_partition(DatabaseName=database, TableName="purchase", PartitionValues=["2026-05"])
    refused = lakehouse.dataops("statement", "issue", "--env", "local", "--month", "2026-09", check=False)
    assert refused.returncode == 6
    assert "row_count_disagreements (1 row)" in refused.stderr
    assert "row_count_disagreements (1 row)" in lakehouse.issue_by_function()["refused"]
    eventually(lambda: any("The statement of 2026-09 is refused" in text for text in lakehouse.slack()), seconds=30)
    lakehouse.dataops("data", "rebuild-catalog", "--env", "local")


def test_later_arrivals_are_adjustments_of_the_next_statement(lakehouse: Lakehouse) -> None:
    """Given a void, a correction and a late refund, and swept old files, when the function issues September, then its
    statement carries them, and everything adds up.
    """
    late = [
        {"id": "V1", "type": "void", "timestamp": "2026-09-04T10:00:00Z", "amount": "5.50", "parent_id": "R3"},
        {"id": "R2", "type": "refund", "timestamp": "2026-08-02T10:00:00Z", "amount": "21.00", "parent_id": "P1"},
        {"id": "R5", "type": "refund", "timestamp": "2026-07-02T10:00:00Z", "amount": "0.75", "parent_id": "P2"},
    ]
    lakehouse.deliver("late.jsonl", map(json.dumps, late))
    named = lakehouse.dataops("data", "sweep", "--env", "local", "--keep-days", "0", "--dry-run").stdout
    assert named.endswith("files could be deleted\n")
    done = lakehouse.dataops("data", "sweep", "--env", "local", "--keep-days", "0", "--yes").stdout
    assert done == named.replace("could be deleted", "deleted")
    assert_documented("statement changes --env local --month 2026-08", lakehouse)
    changes = lakehouse.json("statement", "changes", "--month", "2026-08")
    assert (changes["total"], changes["carried_total"], changes["pending_total"]) == ("-3.75", "0.00", "-3.75")
    assert [(each["refund_id"], each["reason"], each["voids"]) for each in changes["transactions"]] == [
        ("R5", "counted", []),
        ("R2", "counted", []),
        ("R3", "voided_refund", ["V1"]),
    ]
    assert "-5.50" in lakehouse.page("2026-08")
    assert lakehouse.issue_by_function()["issued"] == DUE
    statement = lakehouse.json("statement", "show", "--month", "2026-09")
    assert statement["issued_by"] == "month end"
    assert statement["release"] == lakehouse.json("status")["current"]["release"]
    assert (statement["total_refund"], statement["adjustments_total"]) == ("1.25", "-3.75")
    assert statement["adjustments"] == [
        {"month": "2026-07", "customer_id": "ben", "amount": "0.75"},
        {"month": "2026-08", "customer_id": "anna", "amount": "1.00"},
        {"month": "2026-08", "customer_id": "ben", "amount": "-5.50"},
    ]
    lines = list(csv.DictReader(io.StringIO(lakehouse.file(statement, "adjustments.csv"))))
    assert [(line["refund_id"], line["amount"]) for line in lines] == [("R5", "0.75"), ("R2", "1.00"), ("R3", "-5.50")]
    changes = lakehouse.json("statement", "changes", "--month", "2026-08")
    assert (changes["carried_total"], changes["pending_total"]) == ("-3.75", "0.00")
    assert lakehouse.json("statement", "changes")["transactions"] == []
    assert "None: nothing that was issued has changed." in lakehouse.page("2026-08")
    issued = lakehouse.json("statement", "list")["statements"]
    told = sum(Decimal(each["total_refund"]) + Decimal(each["adjustments_total"]) for each in issued)
    months = [f"2026-{number:02}" for number in range(5, 10)]
    assert [each["month"] for each in reversed(issued)] == ["2026-08", *DUE]
    assert told == sum(Decimal(lakehouse.json("report", "--month", month)["total_refund"]) for month in months)


def test_people_hear_of_each_statement_once(lakehouse: Lakehouse) -> None:
    """Given the function's second morning, when it issues nothing, then Slack has each statement and the recovery once."""
    assert lakehouse.issue_by_function() == {"issued": [], "refused": ""}
    assert (
        f'{{"issued": {json.dumps(DUE)}, "refused": ""}}'
        in lakehouse.dataops("logs", "--env", "local", "--statement").stdout
    )
    expected = ["Statement of 2026-08", *(f"Statement of {month}" for month in DUE), "Statements are issued again"]

    def told() -> list[str] | None:
        found = [text for text in lakehouse.slack() if "refused" not in text]
        return found if len(found) >= len(expected) else None

    texts = eventually(told, seconds=30)
    for title in expected:
        assert sum(title in text for text in texts) == 1
    (september,) = [text for text in texts if "Statement of 2026-09" in text]
    assert "1 customer, 1.25 in total, -24.25 against 2026-08" in september
    assert "adjustments of earlier months: -3.75" in september
