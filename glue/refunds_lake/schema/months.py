"""Calendar months of a time zone: which month an instant belongs to, for one and for millions of instants."""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

FIRST_YEAR, LAST_YEAR = 1999, 2199
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_QUARTER: Final = timedelta(minutes=15)
_AROUND: Final = 26 * 4
"""Quarters of an hour before and after a month's beginning in UTC, within which it begins in every zone."""


class UnknownZone(ValueError):
    """There is no time zone of this name."""


@dataclasses.dataclass(frozen=True)
class Months:
    """The instants at which the month changes, as microseconds since 1970, and the month (YYYY-MM) from each on."""

    changes: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    @cache
    def of(cls, zone: str) -> Months:
        """Return the months of an IANA time zone; raise UnknownZone."""
        found = tuple(_changes(_zone(zone)))
        return cls(tuple((moment - _EPOCH) // _MICROSECOND for moment, _ in found), tuple(name for _, name in found))

    def month(self, moment: datetime) -> str:
        return self.names[bisect.bisect_right(self.changes, (moment - _EPOCH) // _MICROSECOND) - 1]

    def of_all(self, moments: pa.Array) -> pa.Array:
        """Return the months of UTC timestamps from FIRST_YEAR on, null for null."""
        micros = pc.fill_null(moments.cast(pa.int64()), self.changes[0]).to_numpy(zero_copy_only=False)
        places = np.searchsorted(np.array(self.changes), micros, side="right") - 1
        return pa.array(self.names).take(pa.array(places, mask=pc.is_null(moments).to_numpy(zero_copy_only=False)))


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UnknownZone(f"there is no time zone {name!r}") from error


def _changes(zone: tzinfo) -> Iterator[tuple[datetime, str]]:
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        for month in range(1, 13):
            start = datetime(year, month, 1, tzinfo=UTC)
            earliest, latest = start - _AROUND * _QUARTER, start + _AROUND * _QUARTER
            offset = earliest.astimezone(zone).utcoffset()
            if offset == latest.astimezone(zone).utcoffset():
                yield start - (offset or timedelta()), f"{year:04}-{month:02}"
            else:  # the clock is set back or forward about here, perhaps across midnight
                yield from _changes_between(earliest, zone)


def _changes_between(earliest: datetime, zone: tzinfo) -> Iterator[tuple[datetime, str]]:
    """Yield quarter by quarter: since 1999 no zone changes its clock in between."""
    before = f"{earliest.astimezone(zone):%Y-%m}"
    for quarter in range(1, 2 * _AROUND + 1):
        moment = earliest + quarter * _QUARTER
        month = f"{moment.astimezone(zone):%Y-%m}"
        if month != before:
            yield moment, month
        before = month
