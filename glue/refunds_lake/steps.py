"""The steps that every kind of run takes between reading and publishing: decide, write, add up, compare.

A first load, a batch, a rebuild and a replay put them together differently, in `job` and `again`; nothing here publishes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

from refunds_lake import hashes, runs
from refunds_lake.agreement import check_all, check_changes
from refunds_lake.batch import Batch
from refunds_lake.changes import Change, Changes, Details, next_content
from refunds_lake.columns import KINDS, TABLES
from refunds_lake.lookup import Lookup
from refunds_lake.month_files import DetailWriter, Writer
from refunds_lake.runs import Month
from refunds_lake.tables import CheckFailed, TableSet
from refunds_lake.world import World

CONCURRENT_WRITES: Final = 3


Planned = Mapping[str, int] | Details | Change
"""Of a table of transactions: touched month -> rows that it will have; of another one also where they come from."""


def changed(tables: TableSet, batch: Batch, changes: Changes, run_id: str) -> Iterator[tuple[str, Planned]]:
    """What changes in which table, each as soon as it is known."""
    if not batch.read:
        return
    for kind in KINDS:
        yield kind, changes.transactions(kind)
    yield "rejected", _rejected(tables, batch, run_id)
    yield "refund_detail", changes.detail()


def rows_of(planned: Planned) -> Mapping[str, int]:
    """Touched month -> rows that it will have."""
    return planned if isinstance(planned, Mapping) else planned.rows


def write(
    world: World,
    tables: TableSet,
    batch: Batch,
    changes: Changes,
    planned_tables: Iterable[tuple[str, Planned]],
    run_id: str,
) -> dict[str, Mapping[str, int]]:
    """Write the touched months beside the live ones, of each table as it comes; table -> month -> rows that there must be."""

    def write_table(table: str, planned: Planned) -> None:
        months = [month for month, rows in rows_of(planned).items() if rows]
        if isinstance(planned, Change):
            tables.write(table, next_content(tables, table, planned), run_id)
        elif isinstance(planned, Mapping):
            pieces = [piece for piece in batch.pieces if piece.kind == table]
            tables.write_months(table, months, pieces, writer(), run_id)
        else:
            tables.write_months(table, months, planned.pieces, DetailWriter(world.base, planned.pieces), run_id)

    @cache
    def writer() -> Writer:
        prefix = f"{batch.staging}decided/"
        has_decisions = changes.write_decisions(world.base.uri(prefix))
        return Writer(world.base, batch.broken, prefix if has_decisions else None, hashes.hashed)

    expected: dict[str, Mapping[str, int]] = {}
    with ThreadPoolExecutor(CONCURRENT_WRITES) as pool:
        writes = []
        for table, planned in planned_tables:
            rows = rows_of(planned)
            if rows:
                world.say(f"writing {table} ({len(rows)} months)")
                writer()
                writes.append(pool.submit(write_table, table, planned))
                expected[table] = rows
        for each in writes:
            each.result()
    return expected


def _rejected(tables: TableSet, batch: Batch, run_id: str) -> Change:
    added = batch.rejected_by_month()
    rows = {month: tables.rows("rejected", month) + count for month, count in added.items()}
    return Change(batch.rejected(run_id), None, rows)


def add_up(
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


def check_agreement(before: TableSet, after: TableSet, batch: Batch, lookup: Lookup) -> None:
    """refund_detail and the report's definition must agree in the tables as they will be; raises CheckFailed."""
    if not batch.read:
        return
    if before.months("refund_detail"):
        check_changes(before, after, lookup.of_pieces(batch.pieces, batch.broken), lookup)
    else:
        check_all(after)


def replacing(live: runs.Tables, published: Mapping[str, Mapping[str, Month]]) -> dict[str, dict[str, Month]]:
    """The months of a full refresh: every new one with what it replaces, and every live one that is not there any more."""
    tables: dict[str, dict[str, Month]] = {}
    for table in TABLES:
        before, after = live.get(table, {}), published.get(table, {})
        for month in sorted(before.keys() | after.keys()):
            previous = before[month].location if month in before else None
            each = after.get(month, Month(None, 0, None, None))
            tables.setdefault(table, {})[month] = dataclasses.replace(each, previous_location=previous)
    return tables
