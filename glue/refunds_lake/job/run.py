"""One run of the job: take the lock, repair the catalog, do what was requested, sweep what is no longer needed.

`run_kinds` plans the request, and `pipeline` carries it out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from refunds_lake.job.context import JobContext, JobOutcome, JobSettings, SettingsRefused
from refunds_lake.job.pipeline import carry_out
from refunds_lake.job.run_kinds import plan_run
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.publishing.maintenance import begin, lock_key, sweepable
from refunds_lake.publishing.manifests import Manifest, RunKind, State, state_of
from refunds_lake.schema.columns import TABLES
from refunds_lake.schema.months import Months, UnknownZone
from refunds_lake.storage.lock import Lock


def run(settings: JobSettings, context: JobContext) -> JobOutcome:
    """Bring the tables up to date with the raw objects.

    Raise LockHeld, SettingsRefused, CatalogError, CheckFailed or Overtaken, all before anything is published.
    """
    key = lock_key(settings.base_prefix)
    with Lock(context.base, key, settings.job_run_id, clock=context.clock, is_over=context.is_over):
        _check_catalog(context.catalog)
        manifests, moved = begin(context.base, context.catalog, settings.base_prefix)
        on_record = state_of(manifests)
        if moved:
            context.say(
                f"finished the publication of run {on_record.last_run_id}, which had been interrupted: {moved} months"
            )
        _check_time_zone(settings, on_record)
        plan = plan_run(settings, context, on_record)
        manifest, problems = carry_out(plan, settings, context, on_record)
        manifests = manifests if manifest is None else (*manifests, manifest)
        recovered = on_record.last_run_id if moved else None
        outcome = JobOutcome(manifest, problems, state_of(manifests), recovered, plan.waiting)
        return _sweep(settings, context, manifests, outcome)


def _check_catalog(catalog: GlueCatalog) -> None:
    with ThreadPoolExecutor(len(TABLES)) as pool:
        for table, found in zip(TABLES, pool.map(catalog.columns, TABLES), strict=True):
            if found != TABLES[table]:
                raise SettingsRefused(f"the catalog's columns of {table} are {found}, this job writes {TABLES[table]}")


def _check_time_zone(settings: JobSettings, state: State) -> None:
    zone = state.reporting_time_zone
    try:
        Months.of(settings.reporting_time_zone)
    except UnknownZone as error:
        raise SettingsRefused(str(error)) from error
    if zone not in (None, settings.reporting_time_zone) and settings.kind is not RunKind.FULL_REFRESH:
        raise SettingsRefused(
            f"the tables are in months of {zone}; a run with {settings.reporting_time_zone} must be a full refresh"
        )


def _sweep(
    settings: JobSettings, context: JobContext, manifests: Sequence[Manifest], outcome: JobOutcome
) -> JobOutcome:
    """Delete what has not been live for the retention period. The run is published: a failure is logged, not raised."""
    try:
        keys = sweepable(context.base, settings.base_prefix, manifests, now=context.clock(), keep=settings.retention)
        if keys:
            context.base.delete(keys)
    except Exception as error:  # noqa: BLE001 - the next run sweeps again, and whoever reads the outcome must learn of it
        return dataclasses.replace(outcome, sweep_failure=f"{type(error).__name__}: {error}")
    return dataclasses.replace(outcome, swept=len(keys))
