"""The kinds of run: which objects each reads, what it compares them with, and which months it publishes.

A plan is data; `pipeline` carries out every one of them in the same way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import assert_never

from pyspark.sql import functions as F

from refunds_lake.job.context import JobContext, JobSettings
from refunds_lake.publishing.manifests import Problem, RunKind, State, Tables
from refunds_lake.raw.raw_files import WRITTEN_AGAIN, fresh, is_known, version_order, waiting
from refunds_lake.storage.objects import StoredObject
from refunds_lake.tables.table_set import CheckFailed, TableSet


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run reads, what it compares that with, and what it publishes."""

    kind: RunKind
    objects: Sequence[StoredObject]
    against: Tables
    """The live tables; none if months are rebuilt from all objects."""
    problems: tuple[Problem, ...] = ()
    first_month: str = "0000-00"
    last_month: str = "9999-99"
    replayed: Mapping[tuple[str, datetime], Mapping[int, str]] | None = None
    """Key and time of an object -> its lines that are validated again, each with the month of rejected records that it is in.

    No others are read; None where all lines are new.
    """
    waiting: tuple[str, ...] = ()
    """Keys of objects whose senders have not renamed them yet, which are not read."""
    note: str = ""

    @property
    def makes_anew(self) -> bool:
        """Whether the published months take nothing over from the live ones."""
        return self.kind in (RunKind.FULL_REFRESH, RunKind.BACKFILL)

    def publishes(self, month: str) -> bool:
        return self.first_month <= month <= self.last_month


def plan_run(settings: JobSettings, context: JobContext, on_record: State) -> RunPlan:
    """Return the plan for the settings and the lake's state; raise CheckFailed if it cannot be carried out."""
    former = context.raw.former_versions(
        settings.raw_prefix + WRITTEN_AGAIN
    )  # first, so that no version is missed between the two
    listing = list(context.raw.listing(settings.raw_prefix))
    objects = version_order([*former, *listing])
    match settings.kind:
        case RunKind.INCREMENT:
            return RunPlan(settings.kind, fresh(objects, on_record), on_record.live, waiting=waiting(listing))
        case RunKind.FULL_REFRESH:
            vanished = _vanished(settings, on_record, listing)
            return RunPlan(settings.kind, fresh(objects, State()), {}, vanished, waiting=waiting(listing))
        case RunKind.BACKFILL:
            return _backfill(settings, on_record, objects)
        case RunKind.REPLAY:
            return _replay(settings, context, on_record, objects)
        case RunKind.ROLLBACK:
            raise ValueError("a rollback reads nothing, see deployer/lake/table_history.py")
        case _:
            assert_never(settings.kind)


def _vanished(settings: JobSettings, on_record: State, listing: Sequence[StoredObject]) -> tuple[Problem, ...]:
    """Return the missing objects, whose records a full refresh removes from the tables.

    Only those below the prefix that is read: what a smoke test read under another one is still there.
    """
    missing = {key for key, _ in on_record.known} - {each.key for each in listing}
    gone = sorted(key for key in missing if key.startswith(settings.raw_prefix))
    reason = "it no longer exists in the raw bucket, and its records are no longer in the tables"
    return tuple(Problem(key, reason) for key in gone)


def _backfill(settings: JobSettings, on_record: State, objects: Sequence[StoredObject]) -> RunPlan:
    """Return a full refresh from the objects that are in the tables, which publishes only some months.

    Which version stands is decided over all months, so all these objects are read, and must still be there.
    """
    assert settings.months is not None
    first, last = settings.months
    objects = [each for each in objects if is_known(each, on_record)]
    if lost := sorted({key for key, _ in on_record.known} - {each.key for each in objects}):
        raise CheckFailed(
            f"{len(lost)} raw objects that are in the tables have been deleted or replaced; the first is {lost[0]}"
        )
    return RunPlan(settings.kind, objects, {}, first_month=first, last_month=last, note=f"{first} to {last}")


def _replay(settings: JobSettings, context: JobContext, on_record: State, objects: Sequence[StoredObject]) -> RunPlan:
    """Return an increment of lines that were rejected before, which it removes from that table; no object is new."""
    rejected = TableSet(context.spark, context.base, settings.base_prefix, on_record.live, {}).read("rejected")
    if settings.replay_reason is not None:
        rejected = rejected.where(F.array_contains("reasons", settings.replay_reason))
    lines: dict[tuple[str, datetime], dict[int, str]] = {}
    place = ("source_file", F.unix_micros("ingested_at"), "line_number", "month")
    for key, micros, number, month in rejected.select(*place).collect():
        lines.setdefault((key, datetime.fromtimestamp(micros / 1_000_000, UTC)), {})[number] = month
    objects = [each for each in objects if (each.key, each.last_modified) in lines and is_known(each, on_record)]
    reason = "it was rejected in part, but has been deleted or replaced since: it cannot be replayed"
    there = {(each.key, each.last_modified) for each in objects}
    lost = tuple(Problem(key, reason) for key in sorted({key for key, _ in lines.keys() - there}))
    note = settings.replay_reason or "all reasons"
    return RunPlan(settings.kind, objects, on_record.live, lost, replayed=lines, note=note)
