"""What watches an environment, as it is now: the alarms that are on, and when the schedule runs the job next."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deployer.aws.calls import translated
from deployer.schedule_times import WrongSchedule, next_time

SCHEDULE_OUTPUT: Final = "JobScheduleName"
_RUNBOOK: Final = re.compile(r"\s*\((docs/operations\.md#[\w-]+)\)\.?\s*$")


@dataclass(frozen=True)
class OpenAlarm:
    """An alarm that is on: what it says, since when, and the section of the runbook, "" where it names none."""

    alarm: str
    says: str
    since: dt.datetime
    reason: str
    runbook: str


@dataclass(frozen=True)
class NextRun:
    """The schedule of the job. `at` is null while it is disabled, and where nothing is due any more."""

    schedule: str
    expression: str
    time_zone: str
    enabled: bool
    at: dt.datetime | None


@translated
def open_alarms(cloudwatch: Any, prefix: str) -> tuple[OpenAlarm, ...]:
    """Return the alarms that are on and whose names begin so, the oldest first. `cloudwatch` is boto3's client."""
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
    """Return when the schedule is due next. `scheduler` is boto3's client. AWS does not say it, so it is worked out."""
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
