"""Goes back in the history of the published tables, and rebuilds the catalog from the run manifests.

The library of the job publishes; which clients it has, under which lock, is for `published_tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from refunds_earlier.manifests import carry_over
from refunds_lake.log_lines import JobFailure
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.publishing.maintenance import begin
from refunds_lake.publishing.manifests import (
    Manifest,
    RunKind,
    Tables,
    changes_between,
    in_force,
    known_inputs,
    new_run_id,
    state_of,
)
from refunds_lake.publishing.publish import publish, reconcile
from refunds_lake.storage.objects import ObjectStore, parquet_files


class RollbackRefused(JobFailure):
    """The runs cannot be undone; the message says why."""


@dataclass(frozen=True)
class RollbackPlan:
    """What going back means: which runs lose their effect, what is live afterwards, and which months that changes."""

    undone: tuple[str, ...]
    returns_to: str | None
    tables: Tables
    changed: Mapping[str, tuple[str, ...]]
    inputs_to_read_again: int


def rebuild_catalog(store: ObjectStore, catalog: GlueCatalog, base_prefix: str) -> Tables:
    """Rebuild every month's partition from the newest manifest, and drop the others; return what is live.

    What earlier versions recorded is carried over first.
    """
    carry_over(store, base_prefix)
    manifests, _ = begin(store, catalog, base_prefix)
    live = state_of(manifests).live
    reconcile(catalog, live)
    for table, months in live.items():
        catalog.update(table, {month: each.location for month, each in months.items()})
    return live


def plan_rollback(manifests: Sequence[Manifest], run_id: str) -> RollbackPlan:
    """Undo a run and every later one that is still in force; raise RollbackRefused for a run that is not in force."""
    standing = in_force(manifests)
    position = next((index for index, each in enumerate(standing) if each.run_id == run_id), None)
    if position is None:
        recorded = run_id in {each.run_id for each in manifests}
        raise RollbackRefused(f"run {run_id} is {'already rolled back' if recorded else 'not recorded'}")
    tables = standing[position - 1].tables if position else {}
    unread = known_inputs(standing) - known_inputs(standing[:position])
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
    Raise RollbackRefused when a location that is needed has been swept, before anything changes.
    """
    started_at = clock()
    manifests, _ = begin(store, catalog, base_prefix)
    plan, state = plan_rollback(manifests, run_id), state_of(manifests)
    for table, months in plan.changed.items():
        for month in months:
            each = plan.tables.get(table, {}).get(month)
            if each is not None and not _holds_files(store, base_prefix, each.location):
                raise RollbackRefused(
                    f"the files of {table} {month} from before {run_id} no longer exist: {each.location}"
                )
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


def _holds_files(store: ObjectStore, base_prefix: str, location: str) -> bool:
    prefix = base_prefix + location.removeprefix(store.uri(base_prefix))
    return bool(parquet_files(store.listing(prefix)))
