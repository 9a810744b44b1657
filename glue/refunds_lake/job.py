"""One run of the job from listing to manifest: gather, decide, write beside the live tables, check, publish.

The order of the steps is the design; each step is a module of its own. Nothing that readers see changes before
everything has been written and counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from refunds_lake import runs
from refunds_lake.again import backfill, replay
from refunds_lake.batch import clear, read_batch
from refunds_lake.catalog import Catalog
from refunds_lake.changes import Changes
from refunds_lake.columns import TABLES
from refunds_lake.lock import Lock
from refunds_lake.months import Months, UnknownZone
from refunds_lake.objects import StoredObject
from refunds_lake.publish import publish, recover
from refunds_lake.raw_files import fresh, inspect
from refunds_lake.runs import STAGING, Manifest, Problem, State
from refunds_lake.steps import add_up, changed, check_agreement, replacing, write
from refunds_lake.tables import CheckFailed, TableSet
from refunds_lake.upkeep import lock_key
from refunds_lake.world import Outcome, Settings, SettingsRefused, World


def run(settings: Settings, world: World) -> Outcome:
    """Bring the tables up to date with the raw objects.

    Raises LockHeld, SettingsRefused, CatalogError or CheckFailed, all before anything is published.
    """
    lock = Lock(
        world.base,
        lock_key(settings.base_prefix),
        settings.job_run_id,
        clock=world.clock,
        lifetime=settings.lock_lifetime,
    )
    with lock:
        recovered = recover(world.base, world.catalog, settings.base_prefix, lock)
        if recovered is not None:
            world.say(f"finished the publication of run {recovered.run_id}, which had broken off")
        _check_catalog(world.catalog)
        on_record = runs.read_state(world.base, settings.base_prefix)
        _check_time_zone(settings, on_record)
        manifest, problems = _run(settings, world, on_record, lock)
        state = on_record if manifest is None else runs.read_state(world.base, settings.base_prefix)
    return Outcome(manifest, problems, state, recovered.run_id if recovered else None)


def _check_catalog(catalog: Catalog) -> None:
    for table, columns in TABLES.items():
        if (found := catalog.columns(table)) != columns:
            raise SettingsRefused(f"the catalog's columns of {table} are {found}, this job writes {columns}")


def _check_time_zone(settings: Settings, state: State) -> None:
    zone = state.reporting_time_zone
    try:
        Months.of(settings.reporting_time_zone)
    except UnknownZone as error:
        raise SettingsRefused(str(error)) from error
    if zone is not None and zone != settings.reporting_time_zone and not settings.full_refresh:
        raise SettingsRefused(
            f"the tables are in months of {zone}; a run with {settings.reporting_time_zone} must be a full refresh"
        )


def _run(settings: Settings, world: World, on_record: State, lock: Lock) -> tuple[Manifest | None, tuple[Problem, ...]]:
    started_at = world.clock()
    run_id = runs.new_run_id(started_at, settings.job_run_id, on_record.last_run_id)
    if settings.months or settings.replay:
        again = backfill if settings.months else replay
        return again(settings, world, on_record, lock, run_id)
    base_state = State() if settings.full_refresh else on_record
    objects = fresh(world.raw.listing(settings.raw_prefix), base_state)
    files, problems = inspect(world.raw, objects)
    problems += _vanished(settings, on_record, objects)
    world.say(f"{len(files)} objects to read, {len(problems)} that cannot be read")
    staging = f"{settings.base_prefix}{STAGING}{run_id}/"
    try:
        batch = read_batch(world.spark, world.raw, files, problems, settings.reporting_time_zone, world.base, staging)
        if not batch.files and settings.full_refresh and on_record.live:
            raise CheckFailed(
                f"there is no raw object to read under {settings.raw_prefix}; the tables stay as they are"
            )
        if not batch.files:
            return None, batch.problems
        tables = TableSet(world.spark, world.base, settings.base_prefix, base_state.live)
        changes = Changes(tables, batch)
        expected = write(world, tables, batch, changes, changed(tables, batch, changes, run_id), run_id)
        published = tables.check_written(expected, run_id)
        counts = add_up(tables, batch, changes, published)
        check_agreement(tables, tables.after(published), batch, changes.lookup)
    finally:
        clear(world.base, staging)
    manifest = Manifest(
        run_id=run_id,
        job_run_id=settings.job_run_id,
        kind=runs.FULL_REFRESH if settings.full_refresh else runs.INCREMENT,
        started_at=started_at,
        finished_at=world.clock(),
        reporting_time_zone=settings.reporting_time_zone,
        inputs=batch.inputs(),
        counts=counts,
        problems=batch.problems,
        tables=replacing(on_record.live, published) if settings.full_refresh else published,
    )
    publish(world.base, world.catalog, settings.base_prefix, manifest, lock)
    return manifest, batch.problems


def _vanished(settings: Settings, on_record: State, objects: Sequence[StoredObject]) -> list[Problem]:
    """The objects whose records a full refresh takes out of the tables, because they are not there any more.

    Only those below the prefix that is read: what a smoke test read under another one is still there.
    """
    if not settings.full_refresh:
        return []
    missing = on_record.known.keys() - {each.key for each in objects}
    gone = sorted(key for key in missing if key.startswith(settings.raw_prefix))
    return [Problem(key, "it is gone from the raw bucket, its records are not in the tables any more") for key in gone]
