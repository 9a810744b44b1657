"""When a schedule is due next: AWS's own examples of cron expressions, rates, time zones and clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.schedule_times import WrongSchedule, next_time, parse_cron

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)  # a Sunday


def due(expression: str, zone: str = "UTC", after: datetime = NOON) -> str:
    """When it is due next, as text in UTC."""
    return f"{next_time(expression, zone, after):%Y-%m-%d %H:%M}"


# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("cron(15 10 * * ? *)", "2026-11-30 10:15"),
        ("cron(0 12 * * ? *)", "2026-11-30 12:00"),
        ("cron(1 12 * * ? *)", "2026-11-29 12:01"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-30 18:00"),
        ("cron(0 8 1 * ? *)", "2026-12-01 08:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-30 00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-30 08:00"),
        ("cron(* * * * ? *)", "2026-11-29 12:01"),
        ("cron(0 9 ? * 2#1 *)", "2026-12-07 09:00"),
        ("cron(15 10 ? * 6L 2019-2027)", "2026-12-25 10:15"),
        ("cron(0 0 L * ? *)", "2026-11-30 00:00"),
        ("cron(0 0 LW * ? *)", "2026-11-30 00:00"),
        ("cron(0 0 29W * ? *)", "2026-11-30 00:00"),
        ("cron(0 0 1W AUG ? *)", "2027-08-02 00:00"),
        ("cron(0 0 31W JAN ? *)", "2027-01-29 00:00"),
        ("cron(0 6 ? * L *)", "2026-12-05 06:00"),
        ("cron(30 1,13 * * ? *)", "2026-11-29 13:30"),
        ("rate(1 hour)", "2026-11-29 13:00"),
        ("rate(5 minutes)", "2026-11-29 12:05"),
        ("at(2026-12-24T18:00:00)", "2026-12-24 18:00"),
    ],
)
def test_an_expression_is_due_when_aws_says(expression: str, expected: str) -> None:
    """Given an expression, when it is asked on a Sunday at noon, then the next time is the expected one."""
    assert due(expression) == expected


def test_what_is_over_is_never_due() -> None:
    """Given a time or a year that has passed, then there is no next time."""
    assert next_time("at(2026-11-29T12:00:00)", "UTC", NOON) is None
    assert next_time("cron(0 0 1 1 ? 2025)", "UTC", NOON) is None


def test_a_zone_is_honoured_across_clock_changes() -> None:
    """Given 02:30 in Sydney, then it is due in its wall time: not when the clock skips it, once when it comes twice."""
    expression, zone = "cron(30 2 * * ? *)", "Australia/Sydney"
    assert due(expression, zone, datetime(2026, 10, 2, 12, tzinfo=UTC)) == "2026-10-02 16:30"
    assert due(expression, zone, datetime(2026, 10, 2, 17, tzinfo=UTC)) == "2026-10-04 15:30"  # the 4th has no 02:30
    assert due(expression, zone, datetime(2027, 4, 3, 14, tzinfo=UTC)) == "2027-04-03 15:30"  # comes twice on the 4th
    assert due(expression, zone, datetime(2027, 4, 3, 15, 30, tzinfo=UTC)) == "2027-04-04 16:30"


def test_a_rate_counts_from_its_creation() -> None:
    """Given a rate, then its times are whole intervals after it was made."""
    created = NOON - timedelta(minutes=7)
    assert next_time("rate(5 minutes)", "UTC", NOON, created=created) == NOON + timedelta(minutes=3)
    assert next_time("rate(5 minutes)", "UTC", created, created=created) == NOON - timedelta(minutes=2)


@pytest.mark.parametrize(
    ("expression", "zone"),
    [
        ("cron(99 * * * ? *)", "UTC"),
        ("cron(* * * * * *)", "UTC"),
        ("cron(* * ? * ? *)", "UTC"),
        ("cron(0 6 * * ?)", "UTC"),
        ("cron(0 6 * FOO ? *)", "UTC"),
        ("cron(0 6 40W * ? *)", "UTC"),
        ("cron(5-1 6 * * ? *)", "UTC"),
        ("rate(1 minutes)", "UTC"),
        ("rate(0 minutes)", "UTC"),
        ("rate(5 minute)", "UTC"),
        ("at(2026-13-01T00:00:00)", "UTC"),
        ("every day", "UTC"),
        ("cron(0 6 * * ? *)", "Mars/Base"),
        ("cron(0 6 * * ? *)", ""),
    ],
)
def test_what_aws_refuses_is_refused(expression: str, zone: str) -> None:
    """Given an expression or a zone that AWS would refuse, then it is refused."""
    with pytest.raises(WrongSchedule):
        next_time(expression, zone, NOON)


@given(st.integers(0, 63_000_000), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_schedule_is_due_once_a_day(seconds: int, hour: int, minute: int) -> None:
    """Given any time, then a daily schedule in UTC is due within the next 24 hours, at its hour and minute."""
    moment = NOON + timedelta(seconds=seconds)
    found = next_time(f"cron({minute} {hour} * * ? *)", "UTC", moment)
    assert found is not None and timedelta() < found - moment <= timedelta(days=1)
    assert (found.hour, found.minute, found.second) == (hour, minute, 0)


def test_fields_are_read_whole() -> None:
    """Given lists, ranges and steps, then every value is there once and in order."""
    cron = parse_cron("cron(0,30,0 8-10/2 ? JAN,MAR-APR MON *)")
    assert (cron.minutes, cron.hours, cron.months) == ((0, 30), (8, 10), (1, 3, 4))
