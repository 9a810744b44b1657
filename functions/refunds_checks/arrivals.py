"""The checks on what arrived: freshness, volume and rejected share of each route. Pure functions of the facts.

Each returns offending rows, or raises Skipped with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any, Final

from refunds_lake.storage.objects import utc_text

from refunds_checks.facts import WEEKS_OF_HISTORY, Facts, Volume

DAYS_BEFORE_A_BAND: Final = 28
"""A route has no usual volume before it has delivered for four weeks."""
_LEAST_SPREAD: Final = 0.1
"""A share of the median: deliveries of always the same size would otherwise have a band without width."""

Cadences = Mapping[str, float]
"""Route -> hours within which it is expected to deliver."""


def parse_cadences(text: str) -> Cadences:
    """Return the cadences that a text such as ``s3=24,sftp=6`` lists; an empty text has none."""
    return {route: float(hours) for route, _, hours in (each.partition("=") for each in text.split(",") if each)}


class Skipped(Exception):
    """A check was skipped; the message says why."""


@dataclass(frozen=True)
class Offending:
    """Rows that break a promise."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = ()


@dataclass(frozen=True)
class Band:
    """The usual volume of a route on one weekday."""

    median: float
    spread: float

    def holds(self, records: int, spreads: float) -> bool:
        """Return whether a volume is within so many spreads of the median."""
        return abs(records - self.median) <= spreads * self.spread


def stale_routes(facts: Facts, cadences: Cadences, threshold: float | None) -> Offending:
    """Return the routes whose last arrival is further before the end of the day than their cadence."""
    if not cadences:
        raise Skipped("no route has an expected cadence in dataops.yml")
    oldest = {route: facts.end - timedelta(hours=hours) for route, hours in cadences.items()}
    rows = [
        (route, utc_text(facts.latest[route]) if route in facts.latest else None, cadences[route])
        for route in sorted(cadences)
        if route not in facts.latest or facts.latest[route] < oldest[route]
    ]
    return Offending(("route", "last_arrival", "expected_every_hours"), tuple(rows))


def unusual_volumes(facts: Facts, cadences: Cadences, threshold: float | None) -> Offending:
    """Return the routes whose volume that day is further from the weekday's median than the threshold, in spreads."""
    bands = {route: band_of(days, facts.day) for route, days in facts.volumes.items() if _is_known(days, facts.day)}
    if not bands:
        raise Skipped(f"needs four weeks of history, has {_days_of_history(facts)} days")
    rows = []
    for route, band in sorted(bands.items()):
        records = facts.volumes[route].get(facts.day, Volume()).records
        if not band.holds(records, threshold or 0):
            rows.append((route, records, band.median, band.spread))
    return Offending(("route", "records", "usual_records", "spread"), tuple(rows))


def band_of(days: Mapping[date, Volume], day: date) -> Band:
    """Return the band of a weekday: the median and the median distance from it, over the weeks since the first arrival."""
    earlier = [day - timedelta(weeks=weeks) for weeks in range(1, WEEKS_OF_HISTORY + 1)]
    volumes = [days.get(each, Volume()).records for each in earlier if each >= min(days)]
    middle = median(volumes)
    return Band(middle, max(median(abs(each - middle) for each in volumes), _LEAST_SPREAD * middle, 1))


def _is_known(days: Mapping[date, Volume], day: date) -> bool:
    return (day - min(days)).days >= DAYS_BEFORE_A_BAND


def _days_of_history(facts: Facts) -> int:
    return max(((facts.day - min(days)).days for days in facts.volumes.values()), default=0)


def rejected_shares(facts: Facts, cadences: Cadences, threshold: float | None) -> Offending:
    """Return the routes with a greater share of rejected records that day than the threshold."""
    return Offending(("route", "records", "rejected", "share"), tuple(_rejections(facts, threshold or 0)))


def _rejections(facts: Facts, threshold: float) -> Iterator[tuple[Any, ...]]:
    for route, days in sorted(facts.volumes.items()):
        volume = days.get(facts.day, Volume())
        if volume.rejected > threshold * volume.records:
            yield route, volume.records, volume.rejected, round(volume.rejected / volume.records, 4)


MANIFEST_CHECKS: Final[Mapping[str, Callable[[Facts, Cadences, float | None], Offending]]] = {
    "stale_routes": stale_routes,
    "unusual_volumes": unusual_volumes,
    "rejected_shares": rejected_shares,
}
