"""Months of a time zone against the time zone itself: the tables that the job looks months up in have no other content."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from refunds_lake.schema.months import LAST_YEAR, Months, UnknownZone

ZONES = [
    "UTC", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Kolkata", "America/St_Johns", "America/New_York",
    "Europe/London", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Kwajalein", "Pacific/Chatham", "Pacific/Niue", "Asia/Gaza",
    "Africa/Casablanca", "America/Asuncion", "Asia/Pyongyang", "America/Caracas", "Antarctica/Troll", "Etc/GMT-14", "Etc/GMT+12",
]  # fmt: skip
"""Offsets of whole hours and others, clocks that change at a month's end, a zone that skipped 30 December 2011."""


def around_month_ends(random: Random, zone: str, count: int) -> list[datetime]:
    """Instants within two days of a month's beginning, most within a second of it there."""
    found = []
    for _ in range(count):
        year, month = random.randrange(2000, LAST_YEAR + 1), random.randrange(1, 13)
        if random.random() < 0.5:
            year = random.randrange(2000, 2030)
        start = datetime(year, month, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
        seconds = random.choice([0, 0, 0, 900, -900, 3600, -3600, random.randrange(-172_800, 172_800)])
        found.append(start + timedelta(seconds=seconds, microseconds=random.choice([-1, 0, 1])))
    return found


@pytest.mark.parametrize("zone", ZONES)
def test_instants_around_month_ends_are_in_the_month_of_the_clock_on_the_wall(zone: str) -> None:
    """Given random instants, when their months are looked up one by one or all at once, then they are the zone's."""
    moments = around_month_ends(Random(zone), zone, 2_000)
    expected = [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m}" for moment in moments]
    months = Months.of(zone)
    assert months.of_all(pa.array(moments, pa.timestamp("us", "UTC"))).to_pylist() == expected
    assert [months.month(moment) for moment in moments] == expected


def test_every_quarter_of_an_hour_of_the_years_when_zones_were_moved() -> None:
    """Given zones that crossed the date line, or changed their clocks at a month's end, then no quarter is in another month."""
    for zone, first, last in (
        ("Pacific/Apia", datetime(2011, 12, 28, tzinfo=UTC), datetime(2012, 1, 3, tzinfo=UTC)),
        ("Asia/Gaza", datetime(2011, 7, 28, tzinfo=UTC), datetime(2011, 10, 3, tzinfo=UTC)),
        ("America/Caracas", datetime(2016, 4, 28, tzinfo=UTC), datetime(2016, 5, 3, tzinfo=UTC)),
        ("Australia/Sydney", datetime(2006, 3, 30, tzinfo=UTC), datetime(2006, 4, 4, tzinfo=UTC)),
    ):
        moments = [
            first + timedelta(minutes=15 * quarter) for quarter in range((last - first) // timedelta(minutes=15))
        ]
        found = Months.of(zone).of_all(pa.array(moments, pa.timestamp("us", "UTC"))).to_pylist()
        assert found == [f"{moment.astimezone(ZoneInfo(zone)):%Y-%m}" for moment in moments]


def test_no_instant_has_no_month() -> None:
    """Given rejected records among others, then theirs is null."""
    moments = pa.array([None, datetime(2026, 9, 30, 23, tzinfo=UTC), None], pa.timestamp("us", "UTC"))
    assert Months.of("Asia/Tokyo").of_all(moments).to_pylist() == [None, "2026-10", None]


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../UTC", "/etc/localtime", "utc+1", "a\0b"])
def test_a_zone_that_is_none_is_refused(name: str) -> None:
    """Given what is no name of a zone, then the error says so."""
    with pytest.raises(UnknownZone, match="there is no time zone"):
        Months.of(name)
