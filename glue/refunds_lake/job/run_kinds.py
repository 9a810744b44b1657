"""The kinds of run: which objects each reads, what it compares them with, and which months it publishes.

A plan is data; `pipeline` carries out every one of them in the same way.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import assert_never

from pyspark.sql import functions as F

from refunds_lake.job.context import JobContext, JobSettings
from refunds_lake.publishing.manifests import Problem, RunKind, State, Tables
from refunds_lake.raw.raw_files import fresh, is_known, version_order, waiting
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
    objects = version_order(context.raw.versions(settings.raw_prefix))
    match settings.kind:
        case RunKind.INCREMENT:
            return RunPlan(settings.kind, fresh(objects, on_record), on_record.live, waiting=waiting(objects))
        case RunKind.FULL_REFRESH:
            vanished = _vanished(settings, on_record, objects)
            return RunPlan(settings.kind, fresh(objects, State()), {}, vanished, waiting=waiting(objects))
        case RunKind.BACKFILL:
            return _backfill(settings, on_record, objects)
        case RunKind.REPLAY:
            return _replay(settings, context, on_record, objects)
        case RunKind.ROLLBACK:
            raise ValueError("a rollback reads nothing, see deployer/lake/table_history.py")
        case _:
            assert_never(settings.kind)


def _lost(on_record: State, objects: Sequence[StoredObject]) -> list[str]:
    """Return the keys of objects that are in the tables, but no longer exist in the version that was read."""
    return sorted({key for key, _ in on_record.known - {(each.key, each.identity) for each in objects}})


def _vanished(settings: JobSettings, on_record: State, objects: Sequence[StoredObject]) -> tuple[Problem, ...]:
    """Return the missing objects below the prefix of the run, whose records a full refresh removes from the tables."""
    # What a smoke test has read is below another prefix, and still there.
    reason = "what was read of it no longer exists in the raw bucket; records that only this had have left the tables"
    return tuple(Problem(key, reason) for key in _lost(on_record, objects) if key.startswith(settings.raw_prefix))


def _backfill(settings: JobSettings, on_record: State, objects: Sequence[StoredObject]) -> RunPlan:
    """Return a full refresh from the objects that are in the tables, which publishes only some months.

    Which version stands is decided over all months, so all these objects are read, and must still be there.
    """
    assert settings.months is not None
    first, last = settings.months
    if lost := _lost(on_record, objects):
        raise CheckFailed(f"{len(lost)} raw objects that are in the tables have been deleted; the first is {lost[0]}")
    objects = [each for each in objects if is_known(each, on_record)]
    return RunPlan(settings.kind, objects, {}, first_month=first, last_month=last, note=f"{first} to {last}")


def _replay(settings: JobSettings, context: JobContext, on_record: State, objects: Sequence[StoredObject]) -> RunPlan:
    """Return an increment of lines that were rejected before, which it removes from that table; no object is new."""
    rejected = TableSet(context.spark, context.base, settings.base_prefix, on_record.live, {}).read("rejected")
    if settings.replay_reason is not None:
        rejected = rejected.where(F.array_contains("reasons", settings.replay_reason))
    lines: dict[tuple[str, datetime], dict[int, str]] = {}
    columns = ("source_file", F.unix_micros("ingested_at"), "line_number", "month")
    for key, micros, number, month in rejected.select(*columns).collect():
        lines.setdefault((key, datetime.fromtimestamp(micros / 1_000_000, UTC)), {})[number] = month
    there = [((each.key, each.last_modified), each) for each in objects if is_known(each, on_record)]
    alone = {place for place, versions in Counter(place for place, _ in there).items() if versions == 1}
    reason = "it was rejected in part, but has been deleted, or overwritten within a second: it cannot be replayed"
    lost = tuple(Problem(key, reason) for key in sorted({key for key, _ in lines.keys() - alone}))
    objects = [each for place, each in there if place in lines and place in alone]
    note = settings.replay_reason or "all reasons"
    return RunPlan(settings.kind, objects, on_record.live, lost, replayed=lines, note=note)
