"""Commands on the published tables: rebuild the catalog, roll a run back, sweep files that are no longer needed.

`table_history` and the library of the job do it, under the lock that the job takes; here are their clients and words.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from refunds_lake.publishing.catalog import CatalogError, GlueCatalog
from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.maintenance import lock_key, sweepable
from refunds_lake.publishing.manifests import Manifest
from refunds_lake.publishing.publish import Overtaken
from refunds_lake.storage.lock import GlueJobRuns, IsOver, Lock, LockHeld

from deployer.errors import DataopsError, Locked, Refused
from deployer.lake import table_history
from deployer.lake.deployed_lake import Lake
from deployer.lake.run_manifests import as_record_errors, base_store
from deployer.ledger.identity import utc_now

if TYPE_CHECKING:
    from refunds_lake.storage.objects import S3ObjectStore


@dataclass(frozen=True)
class LiveTables:
    """The live tables of an environment: their bucket, their catalog and their prefix."""

    store: S3ObjectStore
    catalog: GlueCatalog
    prefix: str
    environment: str
    is_over: IsOver

    def lock(self) -> Lock:
        """Return the lock that is shared with the job, not yet acquired."""
        holder = f"dataops-{getpass.getuser()}"
        return Lock(self.store, lock_key(self.prefix), holder, clock=utc_now, is_over=self.is_over)


def live_tables(lake: Lake) -> LiveTables:
    """Return the live tables."""
    return LiveTables(
        store=base_store(lake),
        catalog=GlueCatalog(lake.glue, lake.live.database),
        prefix=lake.live.prefix,
        environment=lake.environment,
        is_over=GlueJobRuns(lake.glue, lake.job).is_over,
    )


@contextmanager
def as_dataops_errors(environment: str) -> Iterator[None]:
    """Raise the library's errors as errors of the command line."""
    try:
        with as_record_errors(environment):
            yield
    except (LockHeld, Overtaken) as error:
        raise Locked(str(error), hint=f"dataops logs --env {environment} --follow") from error
    except table_history.RollbackRefused as error:
        raise Refused(str(error), hint=f"dataops data runs --env {environment}") from error
    except CatalogError as error:
        raise DataopsError(str(error), hint=f"dataops data rebuild-catalog --env {environment}") from error


def all_runs(tables: LiveTables) -> Sequence[Manifest]:
    """Return every recorded run, oldest first."""
    with as_dataops_errors(tables.environment):
        return read_history(tables.store, tables.prefix)


def rebuild(tables: LiveTables) -> dict[str, int]:
    """Let the catalog show what the newest manifest names; return table -> number of months."""
    with as_dataops_errors(tables.environment), tables.lock():
        live = table_history.rebuild_catalog(tables.store, tables.catalog, tables.prefix)
    return {table: len(months) for table, months in live.items()}


def plan_rollback(tables: LiveTables, run_id: str) -> table_history.RollbackPlan:
    """Return what a rollback would do. Raise Refused if it is impossible."""
    with as_dataops_errors(tables.environment):
        return table_history.plan_rollback(read_history(tables.store, tables.prefix), run_id)


def roll_back(tables: LiveTables, run_id: str) -> Manifest:
    """Undo a run and every later one."""
    with as_dataops_errors(tables.environment), tables.lock():
        return table_history.roll_back(
            tables.store, tables.catalog, tables.prefix, run_id, clock=utc_now, requested_by=getpass.getuser()
        )


def sweep(tables: LiveTables, *, keep_days: int, dry_run: bool) -> list[str]:
    """Delete, or only name, the files that have been live no more for longer than some days."""
    with as_dataops_errors(tables.environment), nullcontext() if dry_run else tables.lock():
        manifests = read_history(tables.store, tables.prefix)
        keys = sweepable(tables.store, tables.prefix, manifests, now=utc_now(), keep=timedelta(days=keep_days))
        if not dry_run:
            tables.store.delete(keys)
        return keys


def plan_lines(plan: table_history.RollbackPlan) -> list[str]:
    """Say for people what a rollback means."""
    months = sorted({month for table in plan.changed.values() for month in table})
    return [
        f"undoes {len(plan.undone)} runs: {', '.join(plan.undone)}",
        f"returns to {plan.returns_to or 'empty tables'}",
        f"{len(months)} months change: {', '.join(months)}",
        f"{plan.inputs_to_read_again:,} raw files count as unread again; the next run reads them again",
    ]
