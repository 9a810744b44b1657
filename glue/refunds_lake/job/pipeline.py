"""The one way from raw objects to published months: read, decide, write beside the live tables, check, publish.

Every kind of run takes it; how they differ is in their plans. Nothing that readers see changes before everything has been
written and counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import pyarrow as pa

from refunds_lake.changes import agreement
from refunds_lake.changes.batch_changes import Changes, TableChange
from refunds_lake.job.context import JobContext, JobSettings
from refunds_lake.job.run_kinds import RunPlan
from refunds_lake.publishing.manifests import (
    COUNTS,
    STAGING,
    Manifest,
    Problem,
    RunKind,
    State,
    Tables,
    changes_between,
    new_run_id,
)
from refunds_lake.publishing.publish import publish
from refunds_lake.raw.batch import Batch, clear, read_batch
from refunds_lake.raw.raw_files import inspect
from refunds_lake.raw.rules import REJECTED
from refunds_lake.raw.staging import Stage
from refunds_lake.schema.columns import KINDS, TABLES
from refunds_lake.schema.months import Months
from refunds_lake.spark.settings import spread
from refunds_lake.tables.month_files import KEYS, REMOVED, Writer
from refunds_lake.tables.table_set import CheckFailed, TableSet, by_folder

CONCURRENT_WRITES: Final = 3


def carry_out(
    plan: RunPlan, settings: JobSettings, context: JobContext, on_record: State
) -> tuple[Manifest | None, tuple[Problem, ...]]:
    """Read, write and publish according to a plan; return no manifest if there was nothing to read.

    Raise CheckFailed or Overtaken; then nothing is published.
    """
    started_at = context.clock()
    run_id = new_run_id(started_at, settings.job_run_id, on_record.last_run_id)
    files, problems = inspect(plan.objects, plan.replayed)
    problems += plan.problems
    context.say(f"{len(files)} objects to read, {len(problems)} cannot be read")
    staging, months = f"{settings.base_prefix}{STAGING}{run_id}/", Months.of(settings.reporting_time_zone)
    stage = Stage(context.raw, context.base, staging, run_id, months)
    try:
        batch = read_batch(context.spark, stage, files, problems, context.say)
        if not _has_work(plan, batch, on_record, settings.raw_prefix):
            return None, batch.problems
        spread(context.spark)
        listing = by_folder(context.base.listing(settings.base_prefix) if plan.against else ())
        before = TableSet(context.spark, context.base, settings.base_prefix, plan.against, listing)
        live, counts = _make(plan, context, before, batch, on_record.live, run_id)
    finally:
        clear(context.base, staging)
    manifest = Manifest(
        number=on_record.number + 1,
        run_id=run_id,
        parent=on_record.in_force,
        job_run_id=settings.job_run_id,
        kind=plan.kind,
        started_at=started_at,
        finished_at=context.clock(),
        reporting_time_zone=settings.reporting_time_zone,
        inputs=batch.inputs() if plan.kind in (RunKind.INCREMENT, RunKind.FULL_REFRESH) else (),
        counts=counts,
        problems=batch.problems,
        waiting=plan.waiting,
        tables=live,
        changed=changes_between(on_record.live, live),
        note=plan.note,
    )
    context.say(f"publishing {len({month for months in manifest.changed.values() for month in months})} months")
    publish(context.base, context.catalog, settings.base_prefix, manifest)
    return manifest, batch.problems


def _has_work(plan: RunPlan, batch: Batch, on_record: State, raw_prefix: str) -> bool:
    """Return whether there is anything to do; raise CheckFailed if rebuilt tables would miss something."""
    if plan.kind is RunKind.FULL_REFRESH and not batch.files and on_record.live:
        raise CheckFailed(f"there is no raw object to read under {raw_prefix}; the tables stay as they are")
    if plan.kind is RunKind.BACKFILL and batch.problems:
        raise CheckFailed(f"{batch.problems[0].key} can no longer be read: {batch.problems[0].reason}")
    return bool(batch.files)


def _make(
    plan: RunPlan, context: JobContext, before: TableSet, batch: Batch, live: Tables, run_id: str
) -> tuple[Tables, dict[str, int]]:
    """Write the months and check them; return the new live state and the run's counts."""
    changes = Changes(before, batch)
    readable = {(file.key, file.stored.last_modified) for file in batch.files.values()}
    lines = {place: some for place, some in (plan.replayed or {}).items() if place in readable}
    replayed = [(*place, number, month) for place, some in lines.items() for number, month in some.items()]
    made = write(plan, context, before, batch, _changes(before, batch, changes, replayed), run_id)
    counts = add_up(before, batch, changes, made, len(replayed))
    expected = {each.table: {m: rows for m, rows in each.rows.items() if plan.publishes(m)} for each in made}
    context.say("checking what was written")
    written = dataclasses.replace(before, objects=by_folder(context.base.listing(before.prefix)))
    after = dataclasses.replace(written, live=_after(plan, live, expected, written.check_written(expected, run_id)))
    if batch.read:
        agreement.check(before, after, batch, changes.lookup)
    after.pack_indexes()
    return after.live, counts if plan.kind is not RunKind.BACKFILL else rebuilt_counts(live, after.live)


def _changes(
    before: TableSet, batch: Batch, changes: Changes, replayed: Sequence[tuple[str, datetime, int, str]]
) -> Iterator[TableChange]:
    """Yield the changes of each table as soon as they are known; `replayed` has key, time, line number and month."""
    if not batch.read:
        return
    yield from changes.transactions()
    rejected = batch.by_month(REJECTED)
    rejected.subtract(month for *_, month in replayed)
    if rejected:
        rows = {month: before.rows(REJECTED, month) + more for month, more in rejected.items()}
        leaving = pa.table([[each[place] for each in replayed] for place in range(3)], KEYS[REJECTED])
        yield TableChange(REJECTED, rows, batch.pieces_of(REJECTED), lambda _, __: {REMOVED: leaving})
    details = changes.detail()
    if details.rows:
        yield details


def write(
    plan: RunPlan, context: JobContext, before: TableSet, batch: Batch, changes: Iterator[TableChange], run_id: str
) -> list[TableChange]:
    """Write the changed months that the plan publishes beside the live ones, table by table; return all changes."""
    made = []
    with ThreadPoolExecutor(CONCURRENT_WRITES) as pool:
        writes = []
        for each in changes:
            made.append(each)
            months = [month for month, rows in each.rows.items() if rows and plan.publishes(month)]
            if months:
                context.say(f"writing {each.table} ({len(months)} months)")
                writer = Writer(context.base, batch.broken, each.decide)
                writes.append(pool.submit(before.write_months, each.table, months, each.pieces, writer, run_id))
        for done in writes:
            done.result()
    return made


def add_up(
    before: TableSet, batch: Batch, changes: Changes, made: Sequence[TableChange], replayed: int
) -> dict[str, int]:
    """Return the run's counts, each from another source; raise CheckFailed unless read is the sum of the others.

    Lines that are replayed were read before, and leave the table of rejected records.
    """
    growth = {
        each.table: sum(rows - before.rows(each.table, month) for month, rows in each.rows.items()) for each in made
    }
    counts = {
        "read": batch.read - replayed,
        "kept": sum(growth.get(kind, 0) for kind in KINDS),
        "duplicate": changes.count("duplicate"),
        "superseded": changes.count("superseded"),
        "rejected": growth.get(REJECTED, 0),
    }
    if counts["read"] != sum(counts[name] for name in COUNTS if name != "read"):
        raise CheckFailed(f"the run does not add up, nothing is published: {counts}")
    return counts


def rebuilt_counts(before: Tables, after: Tables) -> dict[str, int]:
    """Return how rebuilt months change the totals: nothing was read, and removed rows count as superseded."""

    def growth(table: str) -> int:
        rows = [sum(each.rows for each in tables.get(table, {}).values()) for tables in (before, after)]
        return rows[1] - rows[0]

    kept, rejected = sum(growth(kind) for kind in KINDS), growth(REJECTED)
    return {"read": 0, "kept": kept, "duplicate": 0, "superseded": -kept - rejected, "rejected": rejected}


def _after(plan: RunPlan, live: Tables, expected: Mapping[str, Mapping[str, int]], written: Tables) -> Tables:
    """Return what is live after a run: the months that stay, and those that it has written."""

    def stands(table: str, month: str) -> bool:
        return month not in expected.get(table, {}) and not (plan.makes_anew and plan.publishes(month))

    tables = {}
    for table in TABLES:
        standing = {month: each for month, each in live.get(table, {}).items() if stands(table, month)}
        if months := {**standing, **written.get(table, {})}:
            tables[table] = dict(sorted(months.items()))
    return tables
