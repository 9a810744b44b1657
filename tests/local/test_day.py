"""A whole day of a deployed lake by itself: files arrive, schedules run job and crawlers, checks fail, people are notified.

Slack is a real HTTP server that asks to wait, fails, hangs, and then accepts what it is sent; each message arrives
once. Each test is a step of the day. The day runs twice: the second time, the local cloud is killed after every step.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from local_cloud import eventually, settled
from local_project import LocalProject
from refunds_statements.calendar import previous_month
from webhook import HANGS, Webhook, serve

from deployer import local

NOW = datetime.now(UTC)
TODAY = f"{NOW:%Y-%m-%d}"
LAST_MONTH = previous_month(f"{NOW:%Y-%m}")
PURCHASE = {"type": "purchase", "timestamp": f"{previous_month(LAST_MONTH)}-01T10:00:00Z", "amount": "10.00"}
PARTIES = {"customer_id": "anna", "merchant_id": "m"}
TOO_MUCH = {"type": "refund", "timestamp": f"{LAST_MONTH}-01T10:00:00Z", "amount": "60.00", "parent_id": "P1"}
UNDISTURBED, KILLED = "undisturbed", "killed after every step"


class Day:
    """A deployed lake on its day."""

    def __init__(self, kind: str, project: LocalProject, webhook: Webhook) -> None:
        self.kind, self.project, self.webhook = kind, project, webhook
        self.operations, self.crawlers = project.outputs("operations"), project.outputs("crawlers")
        self.glue, self.scheduler = project.client("glue"), project.client("scheduler")

    def deliver(self, name: str, route: str, *records: dict[str, str]) -> None:
        (self.project.directory / name).write_text("".join(json.dumps(record) + "\n" for record in records))
        self.project.dataops("ingest", "--env", "local", "--route", route, name)

    def schedule(self, part: str) -> str:
        """The name of the one schedule whose name contains this."""
        (found,) = [each["Name"] for each in self.scheduler.list_schedules()["Schedules"] if part in each["Name"]]
        return str(found)

    def let_time_come(self, schedule: str, **target: str) -> None:
        """Make a schedule due in two seconds, by the clock of its own time zone; `target` are changes of its target."""
        found = self.scheduler.get_schedule(Name=schedule)
        assert found["State"] == "ENABLED"
        kept = {name: found[name] for name in ("Name", "FlexibleTimeWindow")} | {"Target": found["Target"] | target}
        due = datetime.now(UTC) + timedelta(seconds=2)
        self.scheduler.update_schedule(**kept, ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})")

    def runs(self) -> list[Any]:
        return list(self.glue.get_job_runs(JobName=self.project.outputs("glue")["BaseTablesJobName"])["JobRuns"])

    def last_crawl(self, crawler: str) -> Any:
        found = self.glue.get_crawler(Name=crawler)["Crawler"]
        return found.get("LastCrawl") if found["State"] == "READY" else None

    def validate(self, day: str) -> None:
        """Let the validation's schedule come due, for a day that a test can fill."""
        self.let_time_come(self.schedule("Validation"), Input=json.dumps({"date": day}))

    def told(self) -> Counter[str]:
        return Counter(self.webhook.titles)

    def kill(self) -> None:
        """End the local cloud with kill -9, and start it again."""
        found = local.find(self.project.directory)
        assert found is not None
        os.kill(found.pid, signal.SIGKILL)
        eventually(lambda: local.find(self.project.directory) is None, seconds=10)
        local.start(self.project.directory, say=lambda text: None)

    def end(self) -> dict[str, Any]:
        """What is left at the end of the day, without what differs in each run."""
        document = self.project.document
        statement = document("statement", "show", "--env", "local", "--month", LAST_MONTH)
        alarms = self.project.client("cloudwatch").describe_alarms()["MetricAlarms"]
        return {
            "report": document("report", "--env", "local")["rows"],
            "arrivals": [
                {name: value for name, value in route.items() if name != "last_arrival"}
                for route in document("status", "--env", "local")["arrivals"]["routes"]
            ],
            "runs": [run["counts"] for run in document("data", "runs", "--env", "local")["runs"]],
            "statement": {
                name: statement[name]
                for name in ("month", "customers", "total_refund", "adjustments_total", "refunds", "checks")
            },
            "changes": document("statement", "changes", "--env", "local")["transactions"],
            "told": self.told(),
            "alarms": {alarm["AlarmName"]: alarm["StateValue"] for alarm in alarms},
        }


@pytest.fixture(scope="module", params=[UNDISTURBED, KILLED])
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    project = LocalProject.deployed(tmp_path_factory, "day")
    try:
        with serve() as webhook:
            assert project.set_webhook(webhook.url).returncode == 0
            yield Day(request.param, project, webhook)
    finally:
        project.dataops("local", "stop", check=False)


@pytest.fixture(autouse=True)
def between_two_steps(day: Day) -> Iterator[None]:
    """Kill the local cloud after each step of the second day."""
    yield
    if day.kind == KILLED:
        day.kill()


@pytest.fixture(scope="module")
def ends() -> dict[str, dict[str, Any]]:
    """How each of the two days ended."""
    return {}


def test_files_arrive_by_two_routes(day: Day) -> None:
    """Given a lake without a run, when files arrive by two routes, then raw has them, and an alarm says that no run did."""
    status = day.project.document("status", "--env", "local")
    assert "04:30" in status["next_run"]["at"]
    eventually(lambda: any("No run" in alarm["says"] for alarm in open_alarms(day)), seconds=20)
    day.deliver("first.jsonl", "s3", {**PURCHASE, **PARTIES, "id": "P1"}, {**TOO_MUCH, "id": "R1"})
    day.deliver("second.jsonl", "stream", {**PURCHASE, **PARTIES, "id": "P2"})


def test_the_schedule_starts_the_job_on_what_was_delivered(day: Day) -> None:
    """Given these files, when the schedule's time comes, then Spark runs once, and the alarm's end is reported."""
    day.webhook.answers = [(429, "1"), 500, HANGS] if day.kind == UNDISTURBED else [500]
    day.let_time_come(day.operations["JobScheduleName"])
    (run,) = eventually(lambda: [each for each in day.runs() if each["JobRunState"] == "SUCCEEDED"], seconds=60)
    assert run["JobRunState"] == "SUCCEEDED" and len(day.runs()) == 1
    settled(lambda: day.told()["No longer: No run of the job succeeded for 26 hours"], 1)
    status = day.project.document("status", "--env", "local")
    assert not any("No run" in alarm["says"] for alarm in status["alarms"])
    assert status["last_run"]["counts"] == {"read": 3, "kept": 3, "duplicate": 0, "superseded": 0, "rejected": 0}


def open_alarms(day: Day) -> list[Any]:
    return list(day.project.document("status", "--env", "local")["alarms"])


def test_crawlers_run_by_their_schedules_and_change_nothing_of_the_job(day: Day) -> None:
    """Given the crawlers' time, when it comes, then both catalogs have what is in the buckets, without drift."""
    before = table_of(day, "refund")
    for schedule in day.scheduler.list_schedules()["Schedules"]:
        if "Crawls" in schedule["Name"]:
            day.let_time_come(schedule["Name"])
    names = [day.crawlers["RawCrawlerName"], day.crawlers["BaseCrawlerName"]]
    crawls = eventually(lambda: all(found := [day.last_crawl(name) for name in names]) and found, seconds=40)
    assert [crawl["Status"] for crawl in crawls] == ["SUCCEEDED", "SUCCEEDED"], crawls
    raw = day.glue.get_tables(DatabaseName=day.crawlers["RawCatalogDatabaseName"])["TableList"]
    assert {table["Name"] for table in raw} == {"raw_source_s3_json", "raw_source_stream_json"}
    base = day.glue.get_tables(DatabaseName=day.crawlers["CrawledBaseDatabaseName"])["TableList"]
    assert {"purchase_parquet", "refund_parquet", "refund_detail_parquet"} <= {table["Name"] for table in base}
    assert table_of(day, "refund") == before
    time.sleep(3)
    assert not any("base tables" in title or "new field" in title for title in day.told())


def table_of(day: Day, name: str) -> Any:
    database = day.project.outputs("catalog")["BaseDatabaseName"]
    table = day.glue.get_table(DatabaseName=database, Name=name)["Table"]
    partitions = day.glue.get_partitions(DatabaseName=database, TableName=name)["Partitions"]
    return table["StorageDescriptor"], [partition["StorageDescriptor"]["Location"] for partition in partitions]


def test_a_new_field_is_told_once(day: Day) -> None:
    """Given a source with a new field, when it is crawled twice, then the raw catalog has it and one message says so."""
    record = json.dumps({**PURCHASE, **PARTIES, "id": "P3", "channel": "web"})
    bucket = day.project.outputs("storage")["RawBucketName"]
    key = f"transactions/source=s3/ingest_date={NOW + timedelta(days=1):%Y-%m-%d}/new.jsonl"
    day.project.client("s3").put_object(Bucket=bucket, Key=key, Body=record.encode())
    for _ in range(2):
        begun = day.last_crawl(day.crawlers["RawCrawlerName"])
        day.glue.start_crawler(Name=day.crawlers["RawCrawlerName"])
        eventually(lambda begun=begun: (day.last_crawl(day.crawlers["RawCrawlerName"]) or begun) != begun, seconds=30)
        time.sleep(2)
    settled(lambda: day.told()["Sources send a new field: channel"], 1)
    table = day.glue.get_table(DatabaseName=day.crawlers["RawCatalogDatabaseName"], Name="raw_source_s3_json")["Table"]
    assert "channel" in {column["Name"] for column in table["StorageDescriptor"]["Columns"]}


def test_the_validation_tells_planted_faults(day: Day) -> None:
    """Given a refund larger than its purchase, when the validation's time comes, then one message names it."""
    day.webhook.only, day.webhook.answers = "Validation", [500]
    day.validate(TODAY)
    settled(lambda: day.told()[f"Validation of {TODAY}: 1 check fails"], 1)
    assert "oversized_refunds (warning): 1 row" in json.dumps(day.webhook.taken)
    assert day.project.document("status", "--env", "local")["validation"]["failing"] == ["oversized_refunds"]


def test_faults_are_told_once_and_so_is_their_end(day: Day) -> None:
    """Given the same faults, when the day is validated again, then there is no message until they are over."""
    written = day.project.document("status", "--env", "local")["validation"]["finished_at"]
    day.validate(TODAY)
    eventually(
        lambda: day.project.document("status", "--env", "local")["validation"]["finished_at"] != written, seconds=30
    )
    clean = f"{NOW - timedelta(days=9):%Y-%m-%d}"
    day.validate(clean)
    settled(lambda: day.told()[f"Validation of {clean}: all checks pass again"], 1)
    assert day.told()[f"Validation of {TODAY}: 1 check fails"] == 1


def test_the_month_before_is_issued_by_its_schedule(day: Day) -> None:
    """Given the day's tables, when month end comes, then the statement has the one refund that counts, and one message."""
    day.let_time_come(day.schedule("MonthEnd"))
    settled(lambda: day.told()[f"Statement of {LAST_MONTH}"], 1)
    issued = day.project.document("statement", "show", "--env", "local", "--month", LAST_MONTH)
    assert (issued["total_refund"], issued["issued_by"]) == ("60.00", "month end")


def test_every_message_of_the_day_came_once_and_nothing_is_left_over(day: Day) -> None:
    """Given the whole day, then no message came twice, each has a section of the runbook, and all queues are empty."""
    assert all(count == 1 for count in day.told().values()), day.told()
    for body in day.webhook.taken:
        assert "docs/operations.md#" in json.dumps(body)
    sqs = day.project.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        waiting = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "0", url


def test_a_day_of_kills_ends_like_one_without(day: Day, ends: dict[str, dict[str, Any]]) -> None:
    """Given both days, then at their ends tables, report, statement, alarms and all messages are the same."""
    ends[day.kind] = day.end()
    if len(ends) == 2:
        assert ends[KILLED] == ends[UNDISTURBED]
