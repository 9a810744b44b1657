"""The current content of the tables, from exactly one run.

A run may publish while the tables are read: what was read counts only if the catalog showed the months of one run
before, and no newer run has published since.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from refunds_checks.validation import Query
from refunds_lake.publishing.history import newer_than, read_history
from refunds_lake.publishing.manifests import in_force, state_of
from refunds_lake.storage.objects import ObjectStore

from refunds_statements.lines import Line

TABLE: Final = "refund_detail"
LINES_SQL: Final = """select
    refund_detail.month,
    refund_detail.customer_id,
    refund_detail.refund_id,
    refund_detail.amount
from refund_detail
where
    refund_detail.month in ({months})
    and refund_detail.counted"""
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 5.0
T = TypeVar("T")
Months = Callable[[str], Mapping[str, str]]
"""Month -> location of each published month of a table, by the catalog."""


class NothingLoaded(Exception):
    """No run is in force, so there is nothing to report."""


class Unsettled(Exception):
    """The tables are not those of one run: one publishes now, or the catalog was damaged."""


@dataclass(frozen=True)
class Source:
    """The live tables: the bucket and prefix of their files, their months in the catalog, and a way to query them."""

    store: ObjectStore
    base_prefix: str
    months: Months
    query: Query


@dataclass(frozen=True)
class Snapshot:
    """The newest run, and the locations that it gives to the months of refund_detail."""

    number: int
    run: str
    loaded_at: datetime
    reporting_time_zone: str
    locations: Mapping[str, str]


def take_snapshot(source: Source) -> Snapshot:
    """Return the live state. Raise NothingLoaded, and Unsettled if the catalog shows something else."""
    manifests = read_history(source.store, source.base_prefix)
    state, standing = state_of(manifests), in_force(manifests)
    if not standing:
        raise NothingLoaded("no run has loaded anything yet")
    locations = {month: each.location for month, each in state.live.get(TABLE, {}).items()}
    if source.months(TABLE) != locations:
        raise Unsettled(f"the catalog does not show the months of {TABLE} that the newest run published")
    run = standing[-1]
    return Snapshot(state.number, run.run_id, run.finished_at, run.reporting_time_zone, locations)


def require_unchanged(source: Source, snapshot: Snapshot) -> None:
    """Raise Unsettled if a run has published since."""
    if newer := newer_than(source.store, source.base_prefix, snapshot.number):
        raise Unsettled(f"run {newer.run_id} published while the tables were read")


def settled(attempt: Callable[[], T], *, pause_seconds: float = PAUSE_SECONDS) -> T:
    """Return what an attempt to read the tables returns; it is made again while runs publish. Raise the last Unsettled."""
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except Unsettled:
            time.sleep(pause_seconds)
    return attempt()


def changed_months(snapshot: Snapshot, locations: Mapping[str, str], through: str) -> frozenset[str]:
    """Return the months, up to one, whose files have a different location than before."""
    known = (month for month in snapshot.locations.keys() | locations.keys() if month <= through)
    return frozenset(month for month in known if snapshot.locations.get(month) != locations.get(month))


def read_lines(source: Source, snapshot: Snapshot, months: Iterable[str]) -> list[Line]:
    """Return the counted refunds of some months, as the tables are now."""
    live = sorted(snapshot.locations.keys() & set(months))
    if not live:
        return []
    answer = source.query(LINES_SQL.format(months=", ".join(f"'{month}'" for month in live)))
    return [_line(row) for row in answer.rows]


def _line(row: Sequence[Any]) -> Line:
    month, customer_id, refund_id, amount = row
    return Line(month, customer_id, refund_id, Decimal(amount))
