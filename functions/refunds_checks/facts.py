"""What the run manifests say about a day: arrivals by route, the months written, the rows of every live month.

SQL cannot see any of it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.manifests import InputObject, Manifest, in_force, state_of
from refunds_lake.storage.objects import ObjectStore

WEEKS_OF_HISTORY: Final = 8
"""The number of earlier days of the same weekday."""
ROUTES: Final = ("s3", "sftp", "stream", "third-party")
"""Folders below transactions/source= that a route owns; records of the API arrive by the stream."""
_ROUTE: Final = re.compile(r"source=([^/]+)/")


@dataclass(frozen=True)
class Volume:
    """What a route delivered on a day, in records."""

    records: int = 0
    rejected: int = 0

    def __add__(self, other: Volume) -> Volume:
        return Volume(self.records + other.records, self.rejected + other.rejected)


@dataclass(frozen=True)
class Facts:
    """A day in UTC and what is known of it without a query.

    `volumes`: route -> day of arrival -> what arrived; days without an arrival are absent. `latest`: route -> its last
    arrival by the end of the day. `months`: the months that the checks cover. `published`: table and month -> rows.
    """

    day: date
    volumes: Mapping[str, Mapping[date, Volume]] = field(default_factory=dict)
    latest: Mapping[str, datetime] = field(default_factory=dict)
    months: tuple[str, ...] = ()
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    reporting_time_zone: str | None = None

    @property
    def end(self) -> datetime:
        """The first moment after the day."""
        return start_of(self.day + timedelta(days=1))


def start_of(day: date) -> datetime:
    """Return the first moment of a day, in UTC."""
    return datetime.combine(day, time(), UTC)


def read_facts(store: ObjectStore, base_prefix: str, day: date, *, all_months: bool = False) -> Facts:
    """Return the facts of a day. `all_months`: the checks cover every live month instead of those of the day."""
    manifests = read_history(store, base_prefix)
    runs, state = in_force(manifests), state_of(manifests)
    published = {(table, month): each.rows for table, months in state.live.items() for month, each in months.items()}
    end = start_of(day + timedelta(days=1))
    arrivals = [each for each in deliveries(runs) if each.last_modified < end]
    return Facts(
        day=day,
        volumes=_volumes(arrivals),
        latest=_latest(arrivals),
        months=tuple(sorted({month for _, month in published})) if all_months else _months_of_the_day(runs, day),
        published=published,
        reporting_time_zone=state.reporting_time_zone,
    )


def unowned_records(facts: Facts) -> int:
    """Return the number of the day's records that were read although they belong to no route."""
    unowned = (days for route, days in facts.volumes.items() if route not in ROUTES)
    return sum(days.get(facts.day, Volume()).records for days in unowned)


def deliveries(runs: Iterable[Manifest]) -> Collection[InputObject]:
    """Return the inputs of runs in force, each delivery once, however many runs have read it."""
    return {(each.key, each.identity): each for run in runs for each in run.inputs}.values()


def route_of(key: str) -> str:
    """Return the route of an object: the folder below transactions/, or unknown."""
    found = _ROUTE.search(key)
    return found[1] if found else "unknown"


def _volumes(arrivals: Iterable[InputObject]) -> Mapping[str, Mapping[date, Volume]]:
    volumes: dict[str, dict[date, Volume]] = defaultdict(lambda: defaultdict(Volume))
    for each in arrivals:
        volumes[route_of(each.key)][each.last_modified.date()] += Volume(each.records, each.rejected)
    return {route: dict(days) for route, days in volumes.items()}


def _latest(arrivals: Iterable[InputObject]) -> Mapping[str, datetime]:
    latest: dict[str, datetime] = {}
    for each in sorted(arrivals, key=lambda each: each.last_modified):
        latest[route_of(each.key)] = each.last_modified
    return latest


def _months_of_the_day(runs: Iterable[Manifest], day: date) -> tuple[str, ...]:
    """Return the months of transactions written by runs that read something of the day, or ended on it."""
    concerned = [
        run
        for run in runs
        if run.finished_at.date() == day or any(each.last_modified.date() == day for each in run.inputs)
    ]
    changed = {m for run in concerned for table, months in run.changed.items() if table != "rejected" for m in months}
    return tuple(sorted(changed))
