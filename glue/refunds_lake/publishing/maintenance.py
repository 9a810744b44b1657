"""Keep the published tables in order: put the catalog right, roll back, sweep what nobody reads any more.

Everything follows from the run manifests; the commands of the CLI and the job call these functions. No import of Spark.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from refunds_lake.log_lines import JobFailure
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.publishing.history import carry_over, read_history
from refunds_lake.publishing.manifests import (
    INDEXES,
    STAGING,
    Manifest,
    RunKind,
    Tables,
    changes_between,
    in_force,
    known_inputs,
    new_run_id,
    runs_prefix,
    state_of,
)
from refunds_lake.publishing.publish import follow, publish, reconcile
from refunds_lake.schema.columns import TABLES
from refunds_lake.storage.objects import ObjectStore, parquet_files

_RUN_PREFIX: Final = re.compile(r"(?P<prefix>(?P<table>[a-z_]+)/month=[^/]+/run=[^/]+/).+")


class RollbackRefused(JobFailure):
    """The runs cannot be undone; the message says why."""


@dataclasses.dataclass(frozen=True)
class RollbackPlan:
    """What going back means: which runs lose their effect, what is live afterwards, and which months that changes."""

    undone: tuple[str, ...]
    returns_to: str | None
    tables: Tables
    changed: Mapping[str, tuple[str, ...]]
    inputs_to_read_again: int


def lock_key(base_prefix: str) -> str:
    """The lock that job runs, rollbacks and rebuilds of one table set share."""
    return f"{runs_prefix(base_prefix)}_lock.json"


def begin(store: ObjectStore, catalog: GlueCatalog, base_prefix: str) -> tuple[tuple[Manifest, ...], int]:
    """What every writer begins with: let the catalog show the newest manifest, as the run that wrote it may have died.

    Returns the manifests in the order of their numbers, and how many months had to be put right.
    """
    history = read_history(store, base_prefix)
    carry_over(store, base_prefix, history)
    moved = follow(store, catalog, base_prefix, history.manifests[-1]) if history.manifests else 0
    return history.manifests, moved


def rebuild_catalog(store: ObjectStore, catalog: GlueCatalog, base_prefix: str) -> Tables:
    """Describe every month anew, as the newest manifest names it, and drop the others; returns what is live."""
    manifests, _ = begin(store, catalog, base_prefix)
    live = state_of(manifests).live
    reconcile(catalog, live, afresh=True)
    return live


def plan_rollback(manifests: Sequence[Manifest], run_id: str) -> RollbackPlan:
    """Undo a run and every later one that is still in force; raises RollbackRefused for a run that is not in force."""
    standing = in_force(manifests)
    position = next((index for index, each in enumerate(standing) if each.run_id == run_id), None)
    if position is None:
        recorded = run_id in {each.run_id for each in manifests}
        raise RollbackRefused(f"run {run_id} is {'rolled back already' if recorded else 'not on the record'}")
    tables = standing[position - 1].tables if position else {}
    unread = known_inputs(standing).items() - known_inputs(standing[:position]).items()
    return RollbackPlan(
        undone=tuple(each.run_id for each in standing[position:]),
        returns_to=standing[position - 1].run_id if position else None,
        tables=tables,
        changed=changes_between(manifests[-1].tables, tables),
        inputs_to_read_again=len(unread),
    )


def roll_back(
    store: ObjectStore,
    catalog: GlueCatalog,
    base_prefix: str,
    run_id: str,
    *,
    clock: Callable[[], datetime],
    requested_by: str,
) -> Manifest:
    """Publish once more what was live before the run; recorded as a run of its own.

    The raw objects of the undone runs count as unread again, so the next job run takes them up.
    Raises RollbackRefused when a location that is needed has been swept, before anything changes.
    """
    started_at = clock()
    manifests, _ = begin(store, catalog, base_prefix)
    plan, state = plan_rollback(manifests, run_id), state_of(manifests)
    for table, months in plan.changed.items():
        for month in months:
            each = plan.tables.get(table, {}).get(month)
            if each is not None and not _holds_files(store, base_prefix, each.location):
                raise RollbackRefused(f"the files of {table} {month} from before {run_id} are gone: {each.location}")
    manifest = Manifest(
        number=state.number + 1,
        run_id=new_run_id(started_at, f"rollback{requested_by}", state.last_run_id),
        parent=plan.returns_to,
        job_run_id=requested_by,
        kind=RunKind.ROLLBACK,
        started_at=started_at,
        finished_at=clock(),
        reporting_time_zone=state.reporting_time_zone or "UTC",
        tables=plan.tables,
        changed=plan.changed,
        note=f"undoes {', '.join(plan.undone)}",
    )
    publish(store, catalog, base_prefix, manifest)
    return manifest


def sweepable(
    store: ObjectStore, base_prefix: str, manifests: Sequence[Manifest], *, now: datetime, keep: timedelta
) -> list[str]:
    """The keys of files and their indexes that were neither written nor live within the last `keep`.

    What the newest manifest names is never among them.
    """
    needed = _live_since(manifests, now - keep)
    keys = []
    for entry in store.listing(base_prefix):
        name = entry.key.removeprefix(base_prefix)
        match = _RUN_PREFIX.fullmatch(name.removeprefix(INDEXES))
        is_of_run = (
            match is not None and match["table"] in TABLES and store.uri(base_prefix + match["prefix"]) not in needed
        )
        if (is_of_run or name.startswith(STAGING)) and entry.last_modified < now - keep:
            keys.append(entry.key)
    return keys


def sweep(
    store: ObjectStore, base_prefix: str, manifests: Sequence[Manifest], *, now: datetime, keep: timedelta
) -> list[str]:
    """Delete what `sweepable` names; returns the keys."""
    keys = sweepable(store, base_prefix, manifests, now=now, keep=keep)
    if keys:
        store.delete(keys)
    return keys


def _live_since(manifests: Sequence[Manifest], moment: datetime) -> set[str]:
    """The locations that some manifest named which was the newest one at that moment or later."""
    ended = [each.finished_at for each in manifests[1:]]
    standing = [*(each for each, end in zip(manifests, ended, strict=False) if end >= moment), *manifests[-1:]]
    return {each.location for manifest in standing for months in manifest.tables.values() for each in months.values()}


def _holds_files(store: ObjectStore, base_prefix: str, location: str) -> bool:
    prefix = base_prefix + location.removeprefix(store.uri(base_prefix))
    return bool(parquet_files(store.listing(prefix)))
