"""A run can be undone, and the catalog described anew, from what the run manifests say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from lake_fakes import DirectoryStore, MemoryCatalog
from recorded_runs import AFTER, BASE, BEFORE, FIRST, NOW, SECOND, locations, manifest, published, state, tables
from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.manifests import InputObject, RunKind, in_force

from deployer.lake.table_history import RollbackRefused, plan_rollback, rebuild_catalog, roll_back


def test_rolling_back_returns_to_what_the_run_replaced(tmp_path: Path) -> None:
    """Pointers, counts and inputs are those from before; the undone objects count as unread."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST)
    before = state(store)
    published(store, catalog, SECOND)
    for name in ("p8", "p9", "r9"):
        store.put(f"base/old/{name}/file.parquet", b"x")
    done = roll_back(store, catalog, BASE, SECOND.run_id, clock=lambda: NOW, requested_by="me")
    assert locations(catalog) == BEFORE
    after = state(store)
    assert (after.known, after.counts, after.in_force) == (before.known, before.counts, FIRST.run_id)
    assert (after.number, after.last_run_id) == (3, done.run_id)
    with pytest.raises(RollbackRefused, match="already rolled back"):
        plan_rollback(read_history(store, BASE), SECOND.run_id)


def test_a_run_behind_a_rollback_builds_on_the_run_that_was_returned_to(tmp_path: Path) -> None:
    """The undone run and the rollback drop out of what is in force, and the next undoing goes past both."""
    back = manifest(3, "20261103T000000Z-c", FIRST.run_id, kind=RunKind.ROLLBACK, inputs=(), tables=FIRST.tables)
    third = manifest(4, "20261104T000000Z-d", FIRST.run_id, tables=tables(void={"2026-09": "third/v9"}))
    assert in_force([FIRST, SECOND, back, third]) == [FIRST, third]
    plan = plan_rollback([FIRST, SECOND, back, third], third.run_id)
    assert (plan.undone, plan.returns_to, plan.tables) == ((third.run_id,), FIRST.run_id, FIRST.tables)


def test_everything_can_be_rolled_back(tmp_path: Path) -> None:
    """Before the first run there was nothing: no month is live, nothing is known, any time zone will do."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    roll_back(store, catalog, BASE, FIRST.run_id, clock=lambda: NOW, requested_by="me")
    assert locations(catalog) == {}
    found = state(store)
    assert (found.known, found.live, found.in_force, found.reporting_time_zone) == (set(), {}, None, None)


def test_rolling_back_is_refused_when_files_are_gone(tmp_path: Path) -> None:
    """Nothing changes when a needed prefix was swept, or holds no file of the table."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    for name in ("p8", "p9", "r9"):
        store.put(f"base/old/{name}/_marker", b"x")
    with pytest.raises(RollbackRefused, match="no longer exist"):
        roll_back(store, catalog, BASE, SECOND.run_id, clock=lambda: NOW, requested_by="me")
    assert locations(catalog) == AFTER


def test_rolling_back_a_run_undoes_the_later_ones_too() -> None:
    """Later runs build on it: the plan names them, and the months that change."""
    third = manifest(
        3, "20261103T000000Z-c", SECOND.run_id, tables=tables(**{**AFTER, "void": {"2026-09": "third/v9"}})
    )
    plan = plan_rollback([FIRST, SECOND, third], SECOND.run_id)
    assert plan.undone == (SECOND.run_id, third.run_id)
    assert plan.returns_to == FIRST.run_id
    assert plan.tables == FIRST.tables
    assert plan.changed["void"] == ("2026-09",)
    assert plan.inputs_to_read_again == 2


def test_only_raw_files_that_no_earlier_run_has_read_are_read_again() -> None:
    """A full refresh reads what earlier runs have read: undone, only those that came new with it are unread again."""
    new = InputObject("transactions/new.json", "e", NOW, 1, 1, 0)
    refresh = manifest(
        3, "20261103T000000Z-c", SECOND.run_id, kind=RunKind.FULL_REFRESH, inputs=(*FIRST.inputs, *SECOND.inputs, new)
    )
    assert plan_rollback([FIRST, SECOND, refresh], refresh.run_id).inputs_to_read_again == 1
    assert plan_rollback([FIRST, SECOND, refresh], SECOND.run_id).inputs_to_read_again == 2


class Watched(MemoryCatalog):
    """A catalog that remembers which months were described anew."""

    def __init__(self) -> None:
        super().__init__()
        self.described: list[tuple[str, str]] = []

    def update(self, table: str, locations: Mapping[str, str]) -> None:
        self.described += [(table, month) for month in locations]
        super().update(table, locations)


def test_the_catalog_can_be_rebuilt_from_the_newest_manifest(tmp_path: Path) -> None:
    """Lost pointers come back, strange ones go, and those that are right are described anew."""
    store, catalog = DirectoryStore(tmp_path), Watched()
    published(store, catalog, FIRST, SECOND)
    catalog.tables = {table: {} for table in catalog.tables}
    catalog.tables["refund"]["1999-01"] = "elsewhere"
    catalog.described.clear()
    rebuild_catalog(store, catalog, BASE)
    assert locations(catalog) == AFTER
    assert sorted(catalog.described) == sorted((table, month) for table, months in AFTER.items() for month in months)
