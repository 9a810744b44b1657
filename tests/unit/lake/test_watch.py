"""What watches an environment: its alarms, and when the job runs next."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from deployer.lake.watch import next_run, next_run_line, open_alarms

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def scheduler(**said: Any) -> Any:
    """A schedule of Scheduler's."""
    found = {
        "ScheduleExpression": "cron(30 4 * * ? *)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        **said,
    }
    return SimpleNamespace(get_schedule=lambda Name: found)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({}, "the job runs next at 2026-11-30 04:30 UTC (cron(30 4 * * ? *), UTC)"),
        (
            {"ScheduleExpressionTimezone": "Australia/Sydney"},
            "the job runs next at 2026-11-29 17:30 UTC (cron(30 4 * * ? *), Australia/Sydney)",
        ),
        ({"State": "DISABLED"}, "the schedule of the job is disabled (cron(30 4 * * ? *))"),
        ({"ScheduleExpression": "at(2026-01-01T00:00:00)"}, "the job is not due again (at(2026-01-01T00:00:00), UTC)"),
        ({"ScheduleExpression": "phase(moon)"}, "the job is not due again (phase(moon), UTC)"),
    ],
)
def test_when_the_job_runs_next(said: dict[str, str], line: str) -> None:
    """Given a schedule, when it is asked at noon, then people read when the job runs, in UTC, or why it does not."""
    assert next_run_line(next_run(scheduler(**said), "jobs", NOW)) == line


def test_alarms_are_told_with_their_section() -> None:
    """Given alarms that are on, then the oldest comes first, each with what it says and where the runbook speaks of it."""
    known = [
        {"AlarmName": "b", "AlarmDescription": "Two (docs/operations.md#two).", "StateUpdatedTimestamp": NOW},
        {"AlarmName": "a", "StateUpdatedTimestamp": NOW.replace(hour=1), "StateReason": "why"},
    ]
    asked: dict[str, Any] = {}

    def paginate(**arguments: Any) -> list[dict[str, Any]]:
        asked.update(arguments)
        return [{"MetricAlarms": known[:1]}, {"MetricAlarms": known[1:]}]

    cloudwatch = SimpleNamespace(get_paginator=lambda name: SimpleNamespace(paginate=paginate))
    first, second = open_alarms(cloudwatch, "refunds-lake-prod-")
    assert (first.alarm, first.says, first.runbook, first.reason) == ("a", "a", "", "why")
    assert (second.says, second.runbook) == ("Two", "docs/operations.md#two")
    assert (asked["AlarmNamePrefix"], asked["StateValue"]) == ("refunds-lake-prod-", "ALARM")
