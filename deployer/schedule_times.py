"""When a schedule of EventBridge Scheduler is due next: its expressions cron, rate and at, in a time zone.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html. AWS does not report when a schedule is due.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS: Final = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS: Final = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_UNITS: Final = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_HORIZON: Final = timedelta(days=4 * 366)
_AT: Final = re.compile(r"at\(([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})\)")
_RATE: Final = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)")

IsDay = Callable[[date], bool]


class WrongSchedule(ValueError):
    """AWS would not take the expression or the time zone; the message says why."""


def next_time(expression: str, zone: str, after: datetime, *, created: datetime | None = None) -> datetime | None:
    """Return the first time after `after` at which the schedule is due, in UTC; None if that is never, or years away.

    A rate is counted from `created`. Raise WrongSchedule.
    """
    where = zone_named(zone)
    if expression.startswith("at("):
        moment = _at(expression, where)
        return moment if moment > after else None
    if expression.startswith("rate("):
        interval, begin = _interval(expression), created or after
        return begin + interval * (max((after - begin) // interval, 0) + 1)
    cron = parse_cron(expression)
    return next((moment for moment in cron.times(after, where) if moment > after), None)


def zone_named(name: str) -> ZoneInfo:
    """Return a time zone. Raise WrongSchedule."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise WrongSchedule(f"{name} is not a time zone") from error


def _at(expression: str, zone: ZoneInfo) -> datetime:
    found = _AT.fullmatch(expression)
    try:
        return datetime.fromisoformat(found[1] if found else "").replace(tzinfo=zone).astimezone(UTC)
    except ValueError as error:
        raise WrongSchedule(f"{expression} is not at(yyyy-mm-ddThh:mm:ss)") from error


def _interval(expression: str) -> timedelta:
    found = _RATE.fullmatch(expression)
    if not found or (found[1] == "1") == bool(found[3]):
        raise WrongSchedule(f"{expression} is not rate(value unit), as in rate(1 hour) or rate(5 minutes)")
    return int(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True)
class Cron:
    """The six fields of an expression, read."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: tuple[int, ...]
    years: tuple[int, ...]
    is_day: IsDay

    def times(self, after: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Yield every time from the day of `after`, in UTC and in order. Times that a clock change skips are left out."""
        day = after.astimezone(zone).date()
        last = day + _HORIZON
        while day <= last:
            if day.year in self.years and day.month in self.months and self.is_day(day):
                for hour in self.hours:
                    for minute in self.minutes:
                        wall = datetime.combine(day, time_of_day(hour, minute), zone)
                        moment = wall.astimezone(UTC)
                        if moment.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
                            yield moment
            day += timedelta(days=1)


def parse_cron(expression: str) -> Cron:
    """Read cron(minutes hours day-of-month month day-of-week year). Raise WrongSchedule."""
    found = re.fullmatch(r"cron\((.+)\)", expression)
    fields = found[1].upper().split() if found else []
    if len(fields) != 6:
        raise WrongSchedule(f"{expression} is not cron() with six fields")
    minutes, hours, day_of_month, months, day_of_week, years = fields
    if (day_of_month == "?") == (day_of_week == "?"):
        raise WrongSchedule(f"{expression}: exactly one of day of month and day of week is ?")
    try:
        return Cron(
            minutes=_values(minutes, 0, 59),
            hours=_values(hours, 0, 23),
            months=_values(months, 1, 12, _MONTHS),
            years=_values(years, 1970, 2199),
            is_day=_day_of_week(day_of_week) if day_of_month == "?" else _day_of_month(day_of_month),
        )
    except ValueError as error:
        raise WrongSchedule(f"{expression}: {error}") from error


def _values(field: str, low: int, high: int, names: Mapping[str, int] | None = None) -> tuple[int, ...]:
    """Return the numbers of a field of numbers, names, ranges, steps and lists."""

    def number(text: str) -> int:
        value = (names or {}).get(text) or int(text)
        if not low <= value <= high:
            raise ValueError(f"{text} is not between {low} and {high}")
        return value

    found: set[int] = set()
    for part in field.split(","):
        base, _, step = part.partition("/")
        first, _, last = base.partition("-")
        begin = low if base == "*" else number(first)
        end = number(last) if last else high if base == "*" or step else begin
        found |= set(range(begin, end + 1, int(step or 1)))
    if not found:
        raise ValueError(f"{field} names no value")
    return tuple(sorted(found))


def _day_of_month(field: str) -> IsDay:
    """Read a day of the month: `L` is the last day, `LW` the last weekday, `15W` the weekday nearest to the 15th."""
    if field == "L":
        return lambda day: day.day == _length(day)
    if field.endswith("W"):
        wanted = 31 if field == "LW" else _values(field[:-1], 1, 31)[0]
        return lambda day: day.day == _nearest_weekday(day, min(wanted, _length(day)))
    days = _values(field, 1, 31)
    return lambda day: day.day in days


def _day_of_week(field: str) -> IsDay:
    """Read a day of the week: 1 is Sunday, `6L` the last Friday of the month, `6#3` the third.#3` the third."""
    if field.endswith("L") and field != "L":
        wanted = _values(field[:-1], 1, 7, _DAYS)[0]
        return lambda day: _week_day(day) == wanted and day.day > _length(day) - 7
    if "#" in field:
        name, _, which = field.partition("#")
        wanted, week = _values(name, 1, 7, _DAYS)[0], _values(which, 1, 5)[0]
        return lambda day: _week_day(day) == wanted and (day.day - 1) // 7 + 1 == week
    days = (7,) if field == "L" else _values(field, 1, 7, _DAYS)
    return lambda day: _week_day(day) in days


def _week_day(day: date) -> int:
    return day.isoweekday() % 7 + 1


def _length(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date, wanted: int) -> int:
    """Return the weekday nearest to the wanted day, in the same month."""
    in_month = (wanted + step for step in (0, -1, 1, -2, 2) if 1 <= wanted + step <= _length(day))
    return next(number for number in in_month if day.replace(day=number).isoweekday() <= 5)
