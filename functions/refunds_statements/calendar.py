"""Months as YYYY-MM: which follows which, and whether one is over in the reporting time zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def next_month(month: str) -> str:
    """Return the month after a month."""
    year, number = map(int, month.split("-"))
    return f"{year + number // 12:04}-{number % 12 + 1:02}"


def previous_month(month: str) -> str:
    """Return the month before a month."""
    year, number = map(int, month.split("-"))
    return f"{year - (number == 1):04}-{(number - 2) % 12 + 1:02}"


def current_month(now: datetime, zone: str) -> str:
    """Return the month of a moment in a time zone."""
    # UTC needs no time zone data, which not every system has.
    return f"{now.astimezone(UTC if zone == 'UTC' else ZoneInfo(zone)):%Y-%m}"
