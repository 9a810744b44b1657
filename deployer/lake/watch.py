"""The current state of an environment: its last run, its last validation, alarms, and when the job runs next."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from refunds_checks.validation import newest_report
from refunds_lake.publishing.manifests import Manifest
from refunds_lake.storage.objects import ObjectStore, utc_moment

from deployer.aws.calls import translated
from deployer.lake.run_manifests import counts_text
from deployer.schedule_times import WrongSchedule, next_time

SCHEDULE_OUTPUT: Final = "JobScheduleName"
_RUNBOOK: Final = re.compile(r"\s*\((docs/operations\.md#[\w-]+)\)\.?\s*$")


@dataclass(frozen=True)
class LastRun:
    """The newest run that published."""

    run_id: str  #: its id
    kind: str  #: as in `dataops run`, or `rollback`
    finished_at: dt.datetime  #: when it ended
    counts: Mapping[str, int]  #: as in `dataops run`


@dataclass(frozen=True)
class LastValidation:
    """The newest report of the daily validation."""

    date: str  #: the day that it covers
    finished_at: dt.datetime  #: when it ended
    errors: tuple[str, ...]  #: failing checks that make the figures doubtful
    failing: tuple[str, ...]  #: all checks that fail


@dataclass(frozen=True)
class OpenAlarm:
    """An alarm that is on."""

    alarm: str  #: its name
    says: str  #: what it means
    since: dt.datetime  #: since when
    reason: str  #: the figures, as CloudWatch gives them
    runbook: str  #: what to do, a section of docs/operations.md; empty where it names none


@dataclass(frozen=True)
class NextRun:
    """The schedule of the job."""

    schedule: str  #: its name
    expression: str  #: as it is deployed
    time_zone: str  #: in which the expression is read
    enabled: bool  #: false: the job runs only when it is started by hand
    at: dt.datetime | None  #: when it is due next; null while it is disabled, and where nothing is due any more


def last_run(manifests: Sequence[Manifest]) -> LastRun | None:
    """Return the newest of the recorded runs, None before the first."""
    if not manifests:
        return None
    newest = manifests[-1]
    return LastRun(newest.run_id, str(newest.kind), newest.finished_at, newest.counts)


@translated
def last_validation(store: ObjectStore, today: dt.date) -> LastValidation | None:
    """Return the newest report in the base bucket, None if there is none of the last weeks."""
    report = newest_report(store, today)
    if report is None:
        return None
    return LastValidation(
        report["date"], utc_moment(report["finished_at"]), tuple(report["errors"]), tuple(report["failing"])
    )


def standing_lines(run: LastRun | None, validation: LastValidation | None) -> Iterator[str]:
    """Say for people how the last run and the last validation ended."""
    if run:
        yield f"last run {run.run_id} ({run.kind}), {run.finished_at:%Y-%m-%d %H:%M} UTC: {counts_text(run.counts)}"
    if validation and validation.failing:
        yield f"validation of {validation.date}: {', '.join(validation.failing)}; dataops check shows the rows"
    elif validation:
        yield f"validation of {validation.date}: all checks pass"


@translated
def open_alarms(cloudwatch: Any, prefix: str) -> tuple[OpenAlarm, ...]:
    """Return the active alarms whose names begin with a prefix, oldest first. `cloudwatch` is boto3's client."""
    pages = cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=prefix, StateValue="ALARM", AlarmTypes=["MetricAlarm"]
    )
    found = [_alarm(each) for page in pages for each in page["MetricAlarms"]]
    return tuple(sorted(found, key=lambda alarm: (alarm.since, alarm.alarm)))


def _alarm(found: Mapping[str, Any]) -> OpenAlarm:
    description = found.get("AlarmDescription", "")
    runbook = _RUNBOOK.search(description)
    return OpenAlarm(
        alarm=found["AlarmName"],
        says=_RUNBOOK.sub("", description) or found["AlarmName"],
        since=found["StateUpdatedTimestamp"].astimezone(dt.UTC),
        reason=found.get("StateReason", ""),
        runbook=runbook.group(1) if runbook else "",
    )


@translated
def next_run(scheduler: Any, name: str, now: dt.datetime) -> NextRun:
    """Return when the schedule is due next, which AWS does not report, so it is computed. `scheduler` is boto3's client."""
    found = scheduler.get_schedule(Name=name)
    expression, zone = found["ScheduleExpression"], found.get("ScheduleExpressionTimezone", "UTC")
    enabled = found["State"] == "ENABLED"
    try:
        at = next_time(expression, zone, now, created=found.get("CreationDate")) if enabled else None
    except WrongSchedule:  # a form that is newer than this program
        at = None
    return NextRun(name, expression, zone, enabled, at)


def next_run_line(found: NextRun) -> str:
    """Say it for people."""
    if not found.enabled:
        return f"the schedule of the job is disabled ({found.expression})"
    if found.at is None:
        return f"the job is not due again ({found.expression}, {found.time_zone})"
    return f"the job runs next at {found.at:%Y-%m-%d %H:%M} UTC ({found.expression}, {found.time_zone})"
