"""Keep the published tables in order: rebuild the catalog, roll back, sweep what nobody reads any more.

Everything follows from the run manifests; the commands of the CLI and the job call these functions. No import of Spark.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import chain

from refunds_lake.catalog import Catalog
from refunds_lake.columns import TABLES
from refunds_lake.lock import Lock
from refunds_lake.objects import ObjectStore, parquet_files
from refunds_lake.publish import intent_key, move_pointers, publish, recover
from refunds_lake.runs import (
    COUNTS,
    INDEXES,
    ROLLBACK,
    STAGING,
    Manifest,
    Month,
    Tables,
    fold,
    in_force,
    new_run_id,
    parse_manifest,
    read_manifests,
    runs_prefix,
)


class RollbackRefused(Exception):
    """The runs cannot be undone; the message says why."""


@dataclasses.dataclass(frozen=True)
class RollbackPlan:
    """What going back means: which runs lose their effect, and where each touched month points afterwards."""

    undone: tuple[str, ...]
    returns_to: str | None
    tables: Tables
    inputs_to_read_again: int


def lock_key(base_prefix: str) -> str:
    """The lock that job runs, rollbacks and rebuilds of one table set share."""
    return f"{runs_prefix(base_prefix)}_lock.json"


def rebuild_catalog(store: ObjectStore, catalog: Catalog, base_prefix: str, lock: Lock) -> Tables:
    """Point every month to where the manifests say it is and drop the others; returns what is published."""
    with lock:
        recover(store, catalog, base_prefix, lock)
        live = fold(read_manifests(store, base_prefix)).live
        move_pointers(catalog, live)
        for table in TABLES:
            catalog.drop(table, sorted(catalog.months(table).keys() - live.get(table, {}).keys()))
    return live


def plan_rollback(manifests: list[Manifest], run_id: str) -> RollbackPlan:
    """Undo a run and every later one that is still in force; raises RollbackRefused for a run that is not in force."""
    standing = in_force(manifests)
    position = next((index for index, each in enumerate(standing) if each.run_id == run_id), None)
    if position is None:
        recorded = run_id in {each.run_id for each in manifests}
        raise RollbackRefused(f"run {run_id} is {'rolled back already' if recorded else 'not on the record'}")
    now, then = fold(standing).live, fold(standing[:position]).live
    touched = sorted({(t, m) for each in standing[position:] for t, months in each.tables.items() for m in months})
    if standing[position].full_refresh:
        touched = sorted({(t, m) for live in (now, then) for t, months in live.items() for m in months})
    tables: dict[str, dict[str, Month]] = {}
    for table, month in touched:
        before, after = now.get(table, {}).get(month), then.get(table, {}).get(month)
        tables.setdefault(table, {})[month] = Month(
            location=after.location if after else None,
            rows=after.rows if after else 0,
            previous_location=before.location if before else None,
            checksum=after.checksum if after else None,
        )
    return RollbackPlan(
        undone=tuple(each.run_id for each in standing[position:]),
        returns_to=standing[position - 1].run_id if position else None,
        tables=tables,
        inputs_to_read_again=sum(len(each.inputs) for each in standing[position:]),
    )


def roll_back(
    store: ObjectStore,
    catalog: Catalog,
    base_prefix: str,
    run_id: str,
    lock: Lock,
    *,
    clock: Callable[[], datetime],
    requested_by: str,
) -> Manifest:
    """Point the months back to what the run, and every later one, replaced; recorded as a run of its own.

    The raw objects of the undone runs count as unread again, so the next job run takes them up.
    Raises RollbackRefused when a location that is needed has been swept, before anything changes.
    """
    with lock:
        recover(store, catalog, base_prefix, lock)
        manifests = read_manifests(store, base_prefix)
        plan = plan_rollback(manifests, run_id)
        for table, months in plan.tables.items():
            for month, each in months.items():
                if each.location is not None and not _holds_files(store, base_prefix, each.location):
                    raise RollbackRefused(
                        f"the files of {table} {month} from before {run_id} are gone: {each.location}"
                    )
        now = clock()
        standing = fold(manifests)
        manifest = Manifest(
            run_id=new_run_id(now, f"rollback{requested_by}", standing.last_run_id),
            job_run_id=requested_by,
            kind=ROLLBACK,
            started_at=now,
            finished_at=clock(),
            reporting_time_zone=standing.reporting_time_zone or "UTC",
            counts=dict.fromkeys(COUNTS, 0),
            tables=plan.tables,
            returns_to=plan.returns_to,
            note=f"undoes {', '.join(plan.undone)}",
        )
        publish(store, catalog, base_prefix, manifest, lock)
    return manifest


_RUN_PREFIX = re.compile(r"(?P<prefix>(?P<table>[a-z_]+)/month=[^/]+/run=(?P<run>[^/]+)/).+")


def sweepable(store: ObjectStore, base_prefix: str, *, now: datetime, keep: timedelta) -> list[str]:
    """The keys of files and their indexes that no reader needs and that have been superseded for longer than `keep`.

    Live prefixes, and those that a publication under way names, are never among them.
    """
    needed, superseded_at = _references(store, base_prefix)
    keys = []
    for table in TABLES:
        below = f"{base_prefix}{table}/", f"{base_prefix}{INDEXES}{table}/"
        for entry in chain.from_iterable(map(store.listing, below)):
            match = _RUN_PREFIX.fullmatch(entry.key.removeprefix(base_prefix).removeprefix(INDEXES))
            location = store.uri(base_prefix + match["prefix"]) if match else ""
            idle_since = max(entry.last_modified, superseded_at.get(location, entry.last_modified))
            if location not in needed and idle_since < now - keep:
                keys.append(entry.key)
    staged = store.listing(f"{base_prefix}{STAGING}")
    return keys + [entry.key for entry in staged if entry.last_modified < now - keep]


def sweep(store: ObjectStore, base_prefix: str, lock: Lock, *, now: datetime, keep: timedelta) -> list[str]:
    """Delete what `sweepable` names, under the lock; returns the keys."""
    with lock:
        keys = sweepable(store, base_prefix, now=now, keep=keep)
        lock.assert_held()
        store.delete(keys)
    return keys


def _references(store: ObjectStore, base_prefix: str) -> tuple[set[str], dict[str, datetime]]:
    """The locations that must stay, and when each other one was last replaced.

    A publication under way needs what it replaces as well: its readers are between the two.
    """
    manifests = read_manifests(store, base_prefix)
    needed = {each.location for months in fold(manifests).live.values() for each in months.values() if each.location}
    if under_way := list(store.listing(intent_key(base_prefix))):
        needed |= _locations(parse_manifest(store.get(under_way[0].key)[0], under_way[0].key).tables)
    superseded_at: dict[str, datetime] = {}
    for manifest in manifests:
        for months in manifest.tables.values():
            for each in months.values():
                if each.previous_location is not None:
                    superseded_at[each.previous_location] = manifest.finished_at
    return needed, superseded_at


def _locations(tables: Tables) -> set[str]:
    months: Iterable[Month] = (each for table in tables.values() for each in table.values())
    return {location for each in months for location in (each.location, each.previous_location) if location}


def _holds_files(store: ObjectStore, base_prefix: str, location: str) -> bool:
    prefix = base_prefix + location.removeprefix(store.uri(base_prefix))
    return bool(parquet_files(store.listing(prefix)))
