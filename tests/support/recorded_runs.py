"""Two recorded runs, builders for more, and what a bucket and a catalog show of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lake_fakes import DirectoryStore, MemoryCatalog
from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.manifests import InputObject, Manifest, Month, RunKind, State, state_of
from refunds_lake.publishing.publish import publish

BASE = "base/"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def tables(**months: dict[str, str]) -> dict[str, dict[str, Month]]:
    """Table -> month -> a month of one row at a location."""
    return {table: {name: Month(at, 1, None) for name, at in of_table.items()} for table, of_table in months.items()}


def manifest(number: int, run_id: str, parent: str | None, **fields: Any) -> Manifest:
    defaults: dict[str, Any] = {
        "job_run_id": f"jr_{run_id}",
        "kind": RunKind.INCREMENT,
        "started_at": NOW,
        "finished_at": NOW,
        "reporting_time_zone": "UTC",
        "inputs": (InputObject(f"transactions/{run_id}.json", "e", NOW, 1, 1, 0),),
        "counts": {"read": 1, "kept": 1, "duplicate": 0, "superseded": 0, "rejected": 0},
    }
    return Manifest(number, run_id, parent, **{**defaults, **fields})


BEFORE = {"purchase": {"2026-08": "old/p8", "2026-09": "old/p9"}, "refund": {"2026-09": "old/r9"}}
AFTER = {
    "purchase": {"2026-09": "new/p9"},
    "void": {"2026-09": "new/v9"},
    "refund": {"2026-09": "new/r9", "2026-10": "new/r10"},
}
FIRST = manifest(1, "20261101T000000Z-a", None, tables=tables(**BEFORE))
SECOND = manifest(2, "20261102T000000Z-b", FIRST.run_id, tables=tables(**AFTER))


def published(store: DirectoryStore, catalog: MemoryCatalog, *manifests: Manifest) -> None:
    for each in manifests:
        publish(store, catalog, BASE, each)


def state(store: DirectoryStore) -> State:
    return state_of(read_history(store, BASE))


def locations(catalog: MemoryCatalog) -> dict[str, dict[str, str]]:
    return {table: dict(months) for table, months in catalog.tables.items() if months}
