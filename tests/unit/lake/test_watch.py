"""What watches an environment: its alarms, and when the job runs next."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lake_fakes import DirectoryStore

from deployer.lake.watch import LastRun, last_run, last_validation, next_run, next_run_line, open_alarms, standing_lines

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


def report(store: DirectoryStore, day: str, *failing: str) -> None:
    """A report of the validation, as its function stores it."""
    document = {"date": day, "finished_at": f"{day}T06:00:00.000000Z", "errors": [], "failing": list(failing)}
    store.put(f"validation/date={day}/report.json", json.dumps(document).encode())


def test_the_newest_validation_is_shown(tmp_path: Path) -> None:
    """Given reports of some days, then that of the newest day counts, and one of long ago is not looked for."""
    store = DirectoryStore(tmp_path)
    assert last_validation(store, NOW.date()) is None
    report(store, "2026-09-01", "old")
    assert last_validation(store, NOW.date()) is None
    report(store, "2026-11-27", "stale_routes", "oversized_refunds")
    found = last_validation(store, NOW.date())
    assert list(standing_lines(None, found)) == [
        "validation of 2026-11-27: stale_routes, oversized_refunds; dataops check shows the rows"
    ]
    report(store, "2026-11-28")
    assert list(standing_lines(None, last_validation(store, NOW.date()))) == [
        "validation of 2026-11-28: all checks pass"
    ]


def test_the_last_run_is_told_with_its_counts() -> None:
    """Given a run that published, then people read its id, when it ended, and the equation of its counts."""
    assert last_run([]) is None
    counts = {"read": 3, "kept": 2, "duplicate": 1, "superseded": 0, "rejected": 0}
    (line,) = standing_lines(LastRun("r1", "increment", NOW, counts), None)
    assert line == (
        "last run r1 (increment), 2026-11-29 12:00 UTC: 3 read = 2 kept + 1 duplicate + 0 superseded + 0 rejected"
    )
