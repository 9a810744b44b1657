"""One run of the job from listing to manifest: gather, decide, write beside the live tables, check, publish.

The order of the steps is the design; each step is a module of its own. Nothing that readers see changes before
everything has been written and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from refunds_lake import runs
from refunds_lake.agreement import check_all, check_changes
from refunds_lake.batch import Batch, clear, read_batch
from refunds_lake.catalog import Catalog
from refunds_lake.changes import Change, Changes, next_content
from refunds_lake.columns import KINDS, TABLES
from refunds_lake.lock import Lock
from refunds_lake.objects import ObjectStore, StoredObject
from refunds_lake.publish import publish, recover
from refunds_lake.raw_files import fresh, inspect, is_known, version_order
from refunds_lake.runs import Manifest, Month, Problem, State
from refunds_lake.tables import CheckFailed, TableSet
from refunds_lake.upkeep import lock_key

CONCURRENT_WRITES: Final = 3


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a run is told."""

    raw_prefix: str
    base_prefix: str
    reporting_time_zone: str
    job_run_id: str
    full_refresh: bool = False
    months: tuple[str, str] | None = None
    """Rebuild these months, first and last, from the objects that are in the tables already."""
    replay: bool = False
    """Judge the rejected records once more, those with `replay_reason` when it is given."""
    replay_reason: str | None = None
    lock_lifetime: timedelta = timedelta(minutes=5)


@dataclasses.dataclass(frozen=True)
class World:
    """What a run works with."""

    spark: SparkSession
    raw: ObjectStore
    base: ObjectStore
    catalog: Catalog
    clock: Callable[[], datetime]
    say: Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run did: its manifest (None when there was nothing to do) and the state of the lake afterwards."""

    manifest: Manifest | None
    problems: tuple[Problem, ...]
    state: State
    recovered: str | None = None


class SettingsRefused(Exception):
    """The settings do not fit the tables; the message says which and what to do."""


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
    if zone is not None and zone != settings.reporting_time_zone and not settings.full_refresh:
        raise SettingsRefused(
            f"the tables are in months of {zone}; a run with {settings.reporting_time_zone} must be a full refresh"
        )


def _run(settings: Settings, world: World, on_record: State, lock: Lock) -> tuple[Manifest | None, tuple[Problem, ...]]:
    started_at = world.clock()
    run_id = runs.new_run_id(started_at, settings.job_run_id, on_record.last_run_id)
    if settings.months or settings.replay:
        again = _backfill if settings.months else _replay
        return again(settings, world, on_record, lock, run_id)
    base_state = State() if settings.full_refresh else on_record
    objects = fresh(world.raw.listing(settings.raw_prefix), base_state)
    files, problems = inspect(world.raw, objects, on_record.suspects)
    problems += _vanished(settings, on_record, objects)
    world.say(f"{len(files)} objects to read, {len(problems)} that cannot be read")
    staging = world.base.uri(f"{settings.base_prefix}.staging/{run_id}/")
    try:
        batch = read_batch(world.spark, world.raw, files, problems, settings.reporting_time_zone, staging)
        if not batch.files and settings.full_refresh and on_record.live:
            raise CheckFailed(
                f"there is no raw object to read under {settings.raw_prefix}; the tables stay as they are"
            )
        if not batch.files:
            return None, batch.problems
        tables = TableSet(world.spark, world.base, settings.base_prefix, base_state.live)
        changes = Changes(tables, batch)
        expected = _write(world, tables, _changed(settings, tables, batch, changes, run_id), run_id)
        published = tables.check_written(expected, run_id)
        counts = _counts(tables, batch, changes, published)
        _check_agreement(tables, tables.after(published), batch)
    finally:
        clear(world.spark, staging)
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
        tables=_replacing(on_record.live, published) if settings.full_refresh else published,
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


def _changed(settings: Settings, tables: TableSet, batch: Batch, changes: Changes, run_id: str) -> dict[str, Change]:
    """What changes in which table."""
    if not batch.read:
        return {}
    change_of = {kind: changes.transactions(kind) for kind in KINDS}
    change_of["refund_detail"] = changes.detail()
    change_of["rejected"] = _rejected(settings, tables, batch, run_id)
    return change_of


def _write(
    world: World, tables: TableSet, change_of: Mapping[str, Change], run_id: str
) -> dict[str, Mapping[str, int]]:
    """Write the touched months of all tables beside the live ones; table -> month -> rows that there must be."""

    def write(table: str) -> None:
        rows: DataFrame = next_content(tables, table, change_of[table])
        tables.write(table, rows, run_id)

    touched = [table for table in TABLES if table in change_of and change_of[table].rows]
    world.say("writing " + ", ".join(f"{table} ({len(change_of[table].rows)} months)" for table in touched))
    with ThreadPoolExecutor(CONCURRENT_WRITES) as pool:
        list(pool.map(write, touched))
    return {table: change_of[table].rows for table in touched}


def _rejected(settings: Settings, tables: TableSet, batch: Batch, run_id: str) -> Change:
    rejected = batch.rejected(run_id, settings.reporting_time_zone)
    added: dict[str, int] = {}
    if batch.of_kind("rejected"):
        added = {row["month"]: row["count"] for row in rejected.groupBy("month").count().collect()}
    return Change(rejected, None, {month: tables.rows("rejected", month) + count for month, count in added.items()})


def _counts(
    tables: TableSet,
    batch: Batch,
    changes: Changes,
    published: Mapping[str, Mapping[str, Month]],
    *,
    read: int | None = None,
) -> dict[str, int]:
    """The run's counts, each from another source; raises CheckFailed unless read is the sum of the others."""

    def growth(table: str) -> int:
        return sum(each.rows - tables.rows(table, month) for month, each in published.get(table, {}).items())

    counts = {
        "read": batch.read if read is None else read,
        "kept": sum(growth(kind) for kind in KINDS),
        "duplicate": changes.duplicate if batch.read else 0,
        "superseded": changes.superseded if batch.read else 0,
        "rejected": growth("rejected"),
    }
    if counts["read"] != sum(counts[name] for name in runs.COUNTS if name != "read"):
        raise CheckFailed(f"the run does not add up, nothing is published: {counts}")
    return counts


def _check_agreement(before: TableSet, after: TableSet, batch: Batch) -> None:
    """refund_detail and the report's definition must agree in the tables as they will be; raises CheckFailed."""
    if not batch.read:
        return
    if before.months("refund_detail"):
        check_changes(before, after, batch.judged.select("kind", "id", "parent_id"), batch.read)
    else:
        check_all(after)


def _replacing(live: runs.Tables, published: Mapping[str, Mapping[str, Month]]) -> dict[str, dict[str, Month]]:
    """The months of a full refresh: every new one with what it replaces, and every live one that is not there any more."""
    tables: dict[str, dict[str, Month]] = {}
    for table in TABLES:
        before, after = live.get(table, {}), published.get(table, {})
        for month in sorted(before.keys() | after.keys()):
            previous = before[month].location if month in before else None
            each = after.get(month, Month(None, 0, None, None))
            tables.setdefault(table, {})[month] = dataclasses.replace(each, previous_location=previous)
    return tables


def _backfill(
    settings: Settings, world: World, on_record: State, lock: Lock, run_id: str
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Make months again from the objects that are in the tables, all of which must still be there and readable.

    Which version stands is decided over all months, so all objects are read; only the months asked for are written.
    """
    assert settings.months is not None
    first, last = settings.months
    started_at = world.clock()
    zone = settings.reporting_time_zone
    objects = [each for each in version_order(world.raw.listing(settings.raw_prefix)) if is_known(each, on_record)]
    if lost := sorted(on_record.known.keys() - {each.key for each in objects}):
        raise CheckFailed(
            f"{len(lost)} raw objects that are in the tables are gone or replaced, the first is {lost[0]}"
        )
    files, problems = inspect(world.raw, objects, on_record.suspects)
    staging = world.base.uri(f"{settings.base_prefix}.staging/{run_id}/")
    try:
        batch = read_batch(world.spark, world.raw, files, problems, zone, staging)
        if batch.problems:
            raise CheckFailed(f"{batch.problems[0].key} cannot be read any more: {batch.problems[0].reason}")
        nothing = TableSet(world.spark, world.base, settings.base_prefix, {})
        changes = Changes(nothing, batch)
        change_of = _changed(settings, nothing, batch, changes, run_id)
        rows = sum(
            count for table, each in change_of.items() if table != "refund_detail" for count in each.rows.values()
        )
        if batch.read != rows + (changes.duplicate + changes.superseded if batch.read else 0):
            raise CheckFailed("the rebuilt tables do not add up, nothing is published")
        asked = {
            table: dataclasses.replace(each, rows={m: n for m, n in each.rows.items() if first <= m <= last})
            for table, each in change_of.items()
        }
        written = nothing.check_written(_write(world, nothing, asked, run_id), run_id)
        live = {t: {m: e for m, e in months.items() if first <= m <= last} for t, months in on_record.live.items()}
        tables = _replacing(live, written)
        check_all(TableSet(world.spark, world.base, settings.base_prefix, on_record.live).after(tables))
    finally:
        clear(world.spark, staging)
    growth = {
        table: sum(each.rows - (live[table][m].rows if m in live.get(table, {}) else 0) for m, each in months.items())
        for table, months in tables.items()
    }
    kept, rejected = sum(growth.get(kind, 0) for kind in KINDS), growth.get("rejected", 0)
    counts = {"read": 0, "kept": kept, "duplicate": 0, "superseded": -kept - rejected, "rejected": rejected}
    manifest = _again(settings, world, run_id, runs.BACKFILL, started_at, counts, (), tables, f"{first} to {last}")
    publish(world.base, world.catalog, settings.base_prefix, manifest, lock)
    return manifest, ()


def _replay(
    settings: Settings, world: World, on_record: State, lock: Lock, run_id: str
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Judge rejected records again, from their raw objects; nothing is read anew, so totals change by what is repaired."""
    started_at = world.clock()
    tables = TableSet(world.spark, world.base, settings.base_prefix, on_record.live)
    lines = tables.read("rejected")
    if settings.replay_reason is not None:
        lines = lines.where(F.array_contains("reasons", settings.replay_reason))
    listing = {each.key: each for each in world.raw.listing(settings.raw_prefix)}
    objects, lost = [], []
    for key in (row["source_file"] for row in lines.select("source_file").distinct().collect()):
        if key in listing and is_known(listing[key], on_record):
            objects.append(listing[key])
        else:
            lost.append(Problem(key, "it was rejected in part, and is gone or replaced now: it cannot be replayed"))
    files, problems = inspect(world.raw, version_order(objects), on_record.suspects)
    staging = world.base.uri(f"{settings.base_prefix}.staging/{run_id}/")
    try:
        batch = read_batch(world.spark, world.raw, files, [*lost, *problems], settings.reporting_time_zone, staging)
        if not batch.files:
            return None, batch.problems
        readable = F.col("source_file").isin(*(file.key for file in batch.files))
        replayed = lines.where(readable).select("source_file", "line_number", "month").localCheckpoint()
        batch = batch.only(replayed)
        changes = Changes(tables, batch)
        change_of = _changed(settings, tables, batch, changes, run_id)
        away = {row["month"]: row["count"] for row in replayed.groupBy("month").count().collect()}
        still = change_of["rejected"]
        change_of["rejected"] = Change(
            still.arriving,
            replayed.select("source_file", "line_number"),
            {month: still.rows.get(month, tables.rows("rejected", month)) - count for month, count in away.items()},
        )
        published = tables.check_written(_write(world, tables, change_of, run_id), run_id)
        counts = _counts(tables, batch, changes, published, read=0)
        _check_agreement(tables, tables.after(published), batch)
    finally:
        clear(world.spark, staging)
    note = settings.replay_reason or "all reasons"
    manifest = _again(settings, world, run_id, runs.REPLAY, started_at, counts, batch.problems, published, note)
    publish(world.base, world.catalog, settings.base_prefix, manifest, lock)
    return manifest, batch.problems


def _again(
    settings: Settings,
    world: World,
    run_id: str,
    kind: str,
    started_at: datetime,
    counts: Mapping[str, int],
    problems: tuple[Problem, ...],
    tables: runs.Tables,
    note: str,
) -> Manifest:
    """The manifest of a run that takes up no new object."""
    return Manifest(
        run_id=run_id,
        job_run_id=settings.job_run_id,
        kind=kind,
        started_at=started_at,
        finished_at=world.clock(),
        reporting_time_zone=settings.reporting_time_zone,
        counts=counts,
        problems=problems,
        tables=tables,
        note=note,
    )
