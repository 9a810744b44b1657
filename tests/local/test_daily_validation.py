"""The daily validation of a deployed lake with planted faults: by `dataops check`, and by the function itself."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from local_project import LocalProject
from repository import ROOT

ROUTES = "    routes: {s3: {expected_every_hours: 24}, sftp: {expected_every_hours: 24}}\n"
NOW = datetime.now(UTC)
TODAY = f"{NOW:%Y-%m-%d}"
PARTIES = {"customer_id": "anna", "merchant_id": "m"}
FAULTS = [
    {"id": "P1", "type": "purchase", "timestamp": "2026-09-01T10:00:00Z", "amount": "100.00", **PARTIES},
    {"id": "P2", "type": "purchase", "timestamp": "2026-09-05T10:00:00Z", "amount": "10.00", **PARTIES},
    {"id": "R1", "type": "refund", "timestamp": "2026-10-01T10:00:00Z", "amount": "60.00", "parent_id": "P1"},
    {"id": "R2", "type": "refund", "timestamp": "2026-10-02T10:00:00Z", "amount": "60.00", "parent_id": "P1"},
    {"id": "R3", "type": "refund", "timestamp": "2026-09-02T10:00:00Z", "amount": "10.01", "parent_id": "P2"},
    {"id": "V1", "type": "void", "timestamp": f"{NOW + timedelta(hours=6):%FT%TZ}", "amount": "1", "parent_id": "X"},
    {"id": "R4", "type": "refund", "amount": "1.00"},
]
WARNINGS = ["future_timestamps", "refunds_before_purchases", "oversized_refunds", "overrefunded_purchases"]


class Lakehouse(LocalProject):
    """A project whose local cloud has the faults."""

    def check(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run the validation; its exit code and each check by name."""
        done = self.dataops("--output", "json", "check", "--env", "local", *arguments, check=False)
        assert done.stdout, done.stderr
        return done.returncode, {check["name"]: check for check in json.loads(done.stdout)["checks"]}


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Deploy, deliver the faults, run the job."""
    lakehouse = Lakehouse.deployed(tmp_path_factory, "validated")
    config = (ROOT / "dataops.yml").read_text(encoding="utf-8")
    routes = config.replace("    endpoint: local\n", f"    endpoint: local\n{ROUTES}", 1)
    (lakehouse.directory / "dataops.yml").write_text(routes, encoding="utf-8")
    try:
        lakehouse.dataops("deploy", "--env", "local", "--yes", "--no-smoke")
        lakehouse.deliver("faults.jsonl", map(json.dumps, FAULTS))
        yield lakehouse
    finally:
        lakehouse.dataops("local", "stop", check=False)


def test_planted_faults_are_found(lakehouse: Lakehouse) -> None:
    """Given faults that arrived today, when the day is checked, then exactly these are found, and the exit code is 1."""
    code, checks = lakehouse.check("--date", TODAY)
    assert {name for name, check in checks.items() if check["verdict"] == "failed"} == {
        "stale_routes",
        "rejected_shares",
        *WARNINGS,
    }
    assert {name for name, check in checks.items() if check["verdict"] == "skipped"} == {"unusual_volumes"}
    assert code == 1
    assert [row[0] for row in checks["stale_routes"]["examples"]] == ["sftp"]
    assert checks["rejected_shares"]["examples"] == [["s3", 7, 1, 0.1429]]
    assert checks["overrefunded_purchases"]["examples"] == [["P1", "100.00", "120.00", "2"]]


def test_the_table_shows_each_check_and_its_rows(lakehouse: Lakehouse) -> None:
    """Given the same day, when it is checked for people, then each check has a line, and each fault its rows and runbook."""
    done = lakehouse.dataops("check", "--env", "local", "--date", TODAY, check=False)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["check", "severity", "rows", "threshold", "verdict"]
    assert ["oversized_refunds", "warning", "1", "0", "rows", "failed"] in [line.split() for line in lines]
    assert "unusual_volumes skipped: needs four weeks of history, has 0 days" in lines
    assert "refunds_before_purchases (" in done.stdout and "docs/operations.md#refunds_before_purchases:" in done.stdout
    assert f"{TODAY}: 14 checks, 2 errors, 4 warnings" in done.stderr


def test_a_day_without_arrivals_misses_its_routes(lakehouse: Lakehouse) -> None:
    """Given the day before the first delivery, when it is checked, then the expected routes fail and nothing else does."""
    yesterday = f"{NOW - timedelta(days=1):%Y-%m-%d}"
    code, checks = lakehouse.check("--date", yesterday)
    assert {name for name, check in checks.items() if check["verdict"] == "failed"} == {"stale_routes"}
    assert code == 1


def test_the_function_finds_the_same_and_writes_its_report(lakehouse: Lakehouse) -> None:
    """Given the function, when it is invoked for the day, then report, log and answer say what `dataops check` says."""
    operations, base = lakehouse.outputs("operations"), lakehouse.outputs("storage")["BaseBucketName"]
    invoked = lakehouse.client("lambda").invoke(
        FunctionName=operations["ValidationFunctionName"], Payload=json.dumps({"date": TODAY})
    )
    told = json.loads(invoked["Payload"].read())
    assert "FunctionError" not in invoked, told
    found = [each["name"] for each in told["failing"]]
    assert found == ["stale_routes", "rejected_shares", *WARNINGS]
    key = f"validation/date={TODAY}/report.json"
    stored = lakehouse.client("s3").get_object(Bucket=base, Key=key)["Body"].read()
    assert json.loads(stored)["failing"] == found
    events = lakehouse.client("logs").filter_log_events(logGroupName=operations["ValidationLogGroupName"])["events"]
    metrics = [json.loads(event["message"]) for event in events if '"_aws"' in event["message"]]
    *_, last = (each for each in metrics if "failing_errors" in each)  # the others are about a route each
    assert (last["failing_errors"], last["failing_warnings"]) == (2, 4)


def test_a_month_that_the_catalog_lost_blocks_the_month_end(lakehouse: Lakehouse) -> None:
    """Given a partition that somebody dropped, when the blocking checks run, then they fail; a rebuilt catalog passes again."""
    assert lakehouse.check("--blocking")[0] == 0
    database = lakehouse.outputs("catalog")["BaseDatabaseName"]
    lakehouse.client("glue").delete_partition(
        DatabaseName=database, TableName="refund_detail", PartitionValues=["2026-10"]
    )
    code, checks = lakehouse.check("--blocking")
    assert code == 1
    assert checks["row_count_disagreements"]["examples"] == [["refund_detail", "2026-10", None, "2"]]
    assert checks["refund_detail_disagreements"]["rows"] == 2
    assert {name for name, check in checks.items() if check["verdict"] == "passed"} == {
        "duplicate_ids",
        "negative_totals",
    }
    lakehouse.dataops("data", "rebuild-catalog", "--env", "local")
    assert lakehouse.check("--blocking")[0] == 0
