"""Validates yesterday's ingest once a day: a report in S3, a metric for each check, and a message when one fails.

refunds_checks decides what is checked and how; notify decides who is notified, and how often.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from refunds_alerts.links import object_link
from refunds_alerts.message import Message, State, publish
from refunds_checks.arrivals import Cadences, parse_cadences
from refunds_checks.athena import Workgroup
from refunds_checks.facts import Facts, Volume, read_facts, unowned_records
from refunds_checks.registry import Check, Severity, load_checks
from refunds_checks.validation import CheckVerdict, Query, Report, report_key, summary, validate
from refunds_lake.storage.objects import ObjectStore, S3ObjectStore

CHECKS = Path(__file__).parents[1] / "checks"
NAMESPACE = "RefundsLake"
SECONDS_FOR_THE_REPORT = 20
"""Queries end this long before the function's own time is up."""


@dataclass(frozen=True)
class Settings:
    """What the template gives the function; `topic_arn` is None if no one is to be notified."""

    environment: str
    function: str
    region: str
    base_bucket: str
    base_prefix: str
    database: str
    workgroup: str
    cadences: Cadences
    topic_arn: str | None

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Settings:
        """Read the settings from the environment variables."""
        return cls(
            environment=variables["ENVIRONMENT"],
            function=variables["AWS_LAMBDA_FUNCTION_NAME"],
            region=variables["AWS_REGION"],
            base_bucket=variables["BASE_BUCKET"],
            base_prefix=variables["BASE_PREFIX"],
            database=variables["DATABASE"],
            workgroup=variables["WORKGROUP"],
            cadences=parse_cadences(variables["ROUTE_CADENCES"]),
            topic_arn=variables.get("TOPIC_ARN") or None,
        )


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Validate the day before today in UTC, or the event's `date`; the answer has the same content as the alert."""
    until = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SECONDS_FOR_THE_REPORT
    settings = Settings.of(os.environ)
    store = S3ObjectStore(boto3.client("s3"), settings.base_bucket)
    workgroup = Workgroup(boto3.client("athena"), settings.workgroup, settings.database, until)
    told = run(day_of(event, now()), settings, store, workgroup.query)
    if settings.topic_arn:
        publish(boto3.client("sns"), settings.topic_arn, message_of(told))
    return told


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def day_of(event: Mapping[str, Any], moment: datetime) -> date:
    """Return the day to validate."""
    return date.fromisoformat(event["date"]) if event.get("date") else moment.date() - timedelta(days=1)


def run(
    day: date, settings: Settings, store: ObjectStore, query: Query, checks: Sequence[Check] | None = None
) -> dict[str, Any]:
    """Validate a day, write its report and print its metrics; a report of the same day replaces the previous one."""
    facts = read_facts(store, settings.base_prefix, day)
    report = validate(checks or load_checks(CHECKS), facts, settings.cadences, query, clock=now)
    store.put(report_key(day), json.dumps(report.document(), indent=1).encode())
    counted = metrics(report, settings, unowned_records=unowned_records(facts))
    for line in (counted, *route_metrics(facts, settings, report.finished_at)):
        print(json.dumps(line), flush=True)
    link = object_link(settings.region, settings.base_bucket, report_key(day))
    return {"kind": "validation", "environment": settings.environment, **summary(report), "report": link}


def metrics(report: Report, settings: Settings, *, unowned_records: int) -> dict[str, Any]:
    """Return the rows of each check, and how many checks fail, in CloudWatch's embedded metric format.

    `unowned_records` were read that day from folders that no route owns.
    """
    values = {
        **{
            each.check.name: each.rows
            for each in report.results
            if each.verdict in (CheckVerdict.PASSED, CheckVerdict.FAILED)
        },
        "failing_errors": len(report.errors),
        "failing_warnings": sum(
            each.verdict is CheckVerdict.FAILED and each.check.severity is Severity.WARNING for each in report.results
        ),
        "unowned_records": unowned_records,
        "validations": 1,
    }
    return metrics_line(values, report.finished_at, unit="Count", Function=settings.function)


def route_metrics(facts: Facts, settings: Settings, at: datetime) -> Iterator[dict[str, Any]]:
    """Yield what each route delivered on the day, and how long before the end of the day it last delivered."""
    for route, latest in sorted(facts.latest.items()):
        volume = facts.volumes.get(route, {}).get(facts.day, Volume())
        values = {
            "records": volume.records,
            "rejected_records": volume.rejected,
            "hours_since_delivery": round((facts.end - latest).total_seconds() / 3600, 1),
        }
        yield metrics_line(values, at, Function=settings.function, Route=route)


def metrics_line(values: Mapping[str, float], at: datetime, *, unit: str = "None", **dimensions: str) -> dict[str, Any]:
    """Return values as a log line that CloudWatch reads as metrics: the embedded metric format."""
    declared = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name in values],
    }
    about = {"Timestamp": int(at.timestamp() * 1000), "CloudWatchMetrics": [declared]}
    return {"_aws": about, **dimensions, **values}


def message_of(told: Mapping[str, Any]) -> Message:
    """Return the message: the failing checks with their runbook sections; without any, it ends an earlier message."""
    failing = told["failing"]
    found = ",".join(f"{each['name']}:{each['rows']}" for each in failing)
    return Message(
        kind="validation",
        title=title(told),
        lines=tuple(line_of(each) for each in failing),
        link=told["report"],
        anchor="the-validation-fails",
        state=State.PROBLEM if failing else State.RECOVERED,
        id=f"validation/{told['date']}/{found}",
    )


def title(told: Mapping[str, Any]) -> str:
    """Return the headline of the message."""
    match len(told["failing"]):
        case 0:
            said = "all checks pass again"
        case 1:
            said = "1 check fails"
        case count:
            said = f"{count} checks fail"
    return f"Validation of {told['date']}: {said}"


def line_of(each: Mapping[str, Any]) -> str:
    """Return a failing check: its rows, or why it could not be run, and the section of the runbook."""
    found = each["note"] or f"{each['rows']:,} {'row' if each['rows'] == 1 else 'rows'}"
    return f"{each['name']} ({each['severity']}): {found}, see {each['runbook']}"
