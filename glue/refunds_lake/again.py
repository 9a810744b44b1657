"""Runs that read known objects again: months rebuilt from raw, and rejected records judged once more after a fix.

Both publish like any run and take up no new object; what is new is for `job`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources

from pyspark.sql import functions as F

from refunds_lake import runs
from refunds_lake.agreement import check_all
from refunds_lake.batch import clear, read_batch, read_or_resume
from refunds_lake.changes import Change, Changes
from refunds_lake.columns import KINDS
from refunds_lake.lock import Lock
from refunds_lake.objects import StoredObject, utc_text
from refunds_lake.publish import publish
from refunds_lake.raw_files import inspect, is_known, version_order
from refunds_lake.runs import STAGING, Manifest, Problem, State
from refunds_lake.steps import Planned, add_up, changed, check_agreement, replacing, rows_of, write
from refunds_lake.tables import CheckFailed, TableSet
from refunds_lake.world import Settings, World


def backfill(
    settings: Settings, world: World, on_record: State, lock: Lock, run_id: str
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Make months again from the objects that are in the tables, all of which must still be there and readable.

    Which version stands is decided over all months, so all objects are read; only the months asked for are written.
    A rebuild that broke off leaves what it has read, and the same one resumes from there.
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
    files, problems = inspect(world.raw, objects)
    staging = f"{settings.base_prefix}{STAGING}rebuild-{_digest(objects, zone)}/"
    try:
        batch, resumed = read_or_resume(world.spark, world.raw, files, problems, zone, world.base, staging)
        if resumed:
            world.say(f"resumed a rebuild that broke off: {len(files)} objects had been read")
        if batch.problems:
            raise CheckFailed(f"{batch.problems[0].key} cannot be read any more: {batch.problems[0].reason}")
        nothing = TableSet(world.spark, world.base, settings.base_prefix, {})
        changes = Changes(nothing, batch)
        planned_of = dict(changed(nothing, batch, changes, run_id))
        rows = sum(sum(rows_of(planned).values()) for table, planned in planned_of.items() if table != "refund_detail")
        if batch.read != rows + (changes.duplicate + changes.superseded if batch.read else 0):
            raise CheckFailed("the rebuilt tables do not add up, nothing is published")
        asked = {table: _between(planned, first, last) for table, planned in planned_of.items()}
        written = nothing.check_written(write(world, nothing, batch, changes, asked.items(), run_id), run_id)
        live = {t: {m: e for m, e in months.items() if first <= m <= last} for t, months in on_record.live.items()}
        tables = replacing(live, written)
        check_all(TableSet(world.spark, world.base, settings.base_prefix, on_record.live).after(tables))
    except CheckFailed:
        clear(world.base, staging)
        raise
    growth = {
        table: sum(each.rows - (live[table][m].rows if m in live.get(table, {}) else 0) for m, each in months.items())
        for table, months in tables.items()
    }
    kept, rejected = sum(growth.get(kind, 0) for kind in KINDS), growth.get("rejected", 0)
    counts = {"read": 0, "kept": kept, "duplicate": 0, "superseded": -kept - rejected, "rejected": rejected}
    manifest = _again(settings, world, run_id, runs.BACKFILL, started_at, counts, (), tables, f"{first} to {last}")
    publish(world.base, world.catalog, settings.base_prefix, manifest, lock)
    clear(world.base, staging)
    return manifest, ()


def _between(planned: Planned, first: str, last: str) -> Planned:
    rows = {month: count for month, count in rows_of(planned).items() if first <= month <= last}
    return rows if isinstance(planned, Mapping) else dataclasses.replace(planned, rows=rows)


def _digest(objects: Sequence[StoredObject], time_zone: str) -> str:
    """What the judged records of the objects depend on: the objects, this library, and the time zone of months."""
    digest = hashlib.sha256(time_zone.encode())
    for module in sorted(resources.files("refunds_lake").iterdir(), key=lambda each: each.name):
        if module.name.endswith(".py"):
            digest.update(module.read_bytes())
    for each in objects:
        digest.update(f"{each.key}\0{each.etag}\0{utc_text(each.last_modified)}\n".encode())
    return digest.hexdigest()[:32]


def replay(
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
    files, problems = inspect(world.raw, version_order(objects))
    staging = f"{settings.base_prefix}{STAGING}{run_id}/"
    try:
        wanted: dict[str, list[int]] = {}
        for row in lines.select("source_file", "line_number").collect():
            wanted.setdefault(row["source_file"], []).append(row["line_number"])
        batch = read_batch(
            world.spark,
            world.raw,
            files,
            [*lost, *problems],
            settings.reporting_time_zone,
            world.base,
            staging,
            only={key: tuple(numbers) for key, numbers in wanted.items()},
        )
        if not batch.files:
            return None, batch.problems
        readable = F.col("source_file").isin(*(file.key for file in batch.files.values()))
        replayed = lines.where(readable).select("source_file", "line_number", "month").localCheckpoint()
        changes = Changes(tables, batch)
        planned_of = dict(changed(tables, batch, changes, run_id))
        away = {row["month"]: row["count"] for row in replayed.groupBy("month").count().collect()}
        still = planned_of["rejected"]
        assert isinstance(still, Change)
        planned_of["rejected"] = Change(
            still.arriving,
            replayed.select("source_file", "line_number"),
            {month: still.rows.get(month, tables.rows("rejected", month)) - count for month, count in away.items()},
        )
        published = tables.check_written(write(world, tables, batch, changes, planned_of.items(), run_id), run_id)
        counts = add_up(tables, batch, changes, published, read=0)
        check_agreement(tables, tables.after(published), batch, changes.lookup)
    finally:
        clear(world.base, staging)
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
