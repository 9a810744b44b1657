"""A whole day of a deployed lake by itself: files come, schedules run job and crawlers, checks fail, and people hear of it.

Slack is a real HTTP server that asks to wait, fails, hangs, and then takes what it is sent; each message arrives once.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from local_cloud import eventually, settled
from local_project import LocalProject
from webhook import HANGS, Webhook, serve

NOW = datetime.now(UTC)
TODAY = f"{NOW:%Y-%m-%d}"
PURCHASE = {"id": "P1", "type": "purchase", "timestamp": "2026-09-01T10:00:00Z", "amount": "10.00"}
PARTIES = {"customer_id": "anna", "merchant_id": "m"}
TOO_MUCH = {"id": "R1", "type": "refund", "timestamp": "2026-10-01T10:00:00Z", "amount": "60.00", "parent_id": "P1"}


class Day:
    """A deployed lake on its day."""

    def __init__(self, project: LocalProject, webhook: Webhook) -> None:
        self.project, self.webhook = project, webhook
        self.operations, self.crawlers = project.outputs("operations"), project.outputs("crawlers")
        self.glue, self.scheduler = project.client("glue"), project.client("scheduler")

    def deliver(self, name: str, route: str, *records: dict[str, str]) -> None:
        (self.project.directory / name).write_text("".join(json.dumps(record) + "\n" for record in records))
        self.project.dataops("ingest", "--env", "local", "--route", route, name)

    def let_time_come(self, schedule: str) -> None:
        """Make a schedule due in two seconds, by the clock of its own time zone."""
        found = self.scheduler.get_schedule(Name=schedule)
        assert found["State"] == "ENABLED" and found["ScheduleExpression"].startswith("cron(")
        kept = {name: found[name] for name in ("Name", "FlexibleTimeWindow", "Target")}
        due = datetime.now(UTC) + timedelta(seconds=2)
        self.scheduler.update_schedule(**kept, ScheduleExpression=f"at({due:%Y-%m-%dT%H:%M:%S})")

    def runs(self) -> list[Any]:
        return list(self.glue.get_job_runs(JobName=self.project.outputs("glue")["BaseTablesJobName"])["JobRuns"])

    def last_crawl(self, crawler: str) -> Any:
        found = self.glue.get_crawler(Name=crawler)["Crawler"]
        return found.get("LastCrawl") if found["State"] == "READY" else None

    def validate(self, day: str) -> None:
        """What the schedule of the validation does, for a day that a test can fill."""
        self.project.client("lambda").invoke(
            FunctionName=self.operations["ValidationFunctionName"],
            InvocationType="Event",
            Payload=json.dumps({"date": day}),
        )

    def told(self) -> Counter[str]:
        return Counter(self.webhook.titles)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    project = LocalProject.deployed(tmp_path_factory, "day")
    try:
        with serve() as webhook:
            assert project.set_webhook(webhook.url).returncode == 0
            yield Day(project, webhook)
    finally:
        project.dataops("local", "stop", check=False)


def test_the_schedule_starts_the_job_on_what_two_routes_delivered(day: Day) -> None:
    """Given files by two routes, when the schedule's time comes, then Spark runs once and the end of the alarm is told."""
    status = day.project.document("status", "--env", "local")
    assert status["next_run"]["at"].endswith("04:30:00Z") or "04:30" in status["next_run"]["at"]
    eventually(lambda: any("No run" in alarm["says"] for alarm in open_alarms(day)), seconds=20)
    day.webhook.answers = [(429, "1"), 500, HANGS]
    day.deliver("first.jsonl", "s3", {**PURCHASE, **PARTIES}, TOO_MUCH)
    day.deliver("second.jsonl", "stream", {**PURCHASE, **PARTIES, "id": "P2"})
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
    """Given the crawlers' time, when it comes, then both catalogs have what lies in the buckets, and nobody hears of drift."""
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
    """Given a source that sends a field more, when it is crawled twice, then the raw catalog has it and one message says so."""
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


def test_the_validation_tells_planted_faults_once_and_that_they_are_over(day: Day) -> None:
    """Given a refund larger than its purchase, when the day is validated twice, then one message names it; the next is its end."""
    day.webhook.only, day.webhook.answers = "Validation", [500]
    day.validate(TODAY)
    settled(lambda: day.told()[f"Validation of {TODAY}: 1 check fails"], 1)
    assert "oversized_refunds (warning): 1 row" in json.dumps(day.webhook.taken)
    assert day.project.document("status", "--env", "local")["validation"]["failing"] == ["oversized_refunds"]
    day.validate(TODAY)
    clean = f"{NOW - timedelta(days=9):%Y-%m-%d}"
    day.validate(clean)
    settled(lambda: day.told()[f"Validation of {clean}: all checks pass again"], 1)
    assert day.told()[f"Validation of {TODAY}: 1 check fails"] == 1


def test_the_month_before_is_issued(day: Day) -> None:
    """Given the day's tables, when October is issued, then its statement has the one refund that counts."""
    day.project.dataops("statement", "issue", "--env", "local", "--month", "2026-10")
    issued = day.project.document("statement", "show", "--env", "local", "--month", "2026-10")
    assert (issued["month"], issued["total_refund"]) == ("2026-10", "60.00")


def test_every_message_of_the_day_came_once_and_nothing_is_left_over(day: Day) -> None:
    """Given the whole day, then no message came twice, each has a section of the runbook, and all queues are empty."""
    assert all(count == 1 for count in day.told().values()), day.told()
    for body in day.webhook.taken:
        assert "docs/operations.md#" in json.dumps(body)
    sqs = day.project.client("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        waiting = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "0", url
