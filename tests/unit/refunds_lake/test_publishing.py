"""Publishing survives a death at every step: readers see each month old or new, and the next run finishes the work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lake_fakes import DirectoryStore, MemoryCatalog
from refunds_lake.publishing.history import newer_than, read_history
from refunds_lake.publishing.maintenance import (
    RollbackRefused,
    begin,
    lock_key,
    plan_rollback,
    rebuild_catalog,
    roll_back,
    sweep,
    sweepable,
)
from refunds_lake.publishing.manifests import (
    InputObject,
    Manifest,
    ManifestError,
    Month,
    RunKind,
    State,
    changes_between,
    in_force,
    manifest_key,
    new_run_id,
    parse_manifest,
    state_of,
)
from refunds_lake.publishing.publish import Overtaken, follow, publish, reconcile
from refunds_lake.storage.lock import Lock, LockHeld

BASE = "base/"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Died(BaseException):
    """The process is gone: nothing may catch it."""


@dataclasses.dataclass
class Death:
    """Dies at the n-th change of the world, before or after it has happened."""

    at: int
    after: bool
    steps: int = 0

    def step(self, change: Any) -> Any:
        self.steps += 1
        if self.steps == self.at and not self.after:
            raise Died
        result = change()
        if self.steps == self.at:
            raise Died
        return result


class MortalStore(DirectoryStore):
    """A bucket whose writer may die."""

    def __init__(self, root: Path, death: Death) -> None:
        super().__init__(root)
        self._death = death

    def put(self, key: str, body: bytes, **conditions: Any) -> str:
        return str(self._death.step(lambda: DirectoryStore.put(self, key, body, **conditions)))

    def delete(self, keys: Iterable[str]) -> None:
        self._death.step(lambda: DirectoryStore.delete(self, keys))


class MortalCatalog(MemoryCatalog):
    """A catalog whose caller may die, also between two months of one table."""

    def __init__(self, catalog: MemoryCatalog, death: Death) -> None:
        self.tables = catalog.tables
        self._death = death

    def create(self, table: str, locations: Mapping[str, str]) -> None:
        for month, location in locations.items():
            self._death.step(lambda m=month, at=location: MemoryCatalog.create(self, table, {m: at}))

    def update(self, table: str, locations: Mapping[str, str]) -> None:
        for month, location in locations.items():
            self._death.step(lambda m=month, at=location: MemoryCatalog.update(self, table, {m: at}))

    def drop(self, table: str, months: Iterable[str]) -> None:
        for month in months:
            self._death.step(lambda m=month: MemoryCatalog.drop(self, table, [m]))


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


def lock(store: DirectoryStore, holder: str = "jr_test", now: datetime = NOW, over: bool | None = None) -> Lock:
    """A lock; `over` is what Glue says of whoever holds it."""
    return Lock(store, lock_key(BASE), holder, clock=lambda: now, is_over=lambda run_id: over)


def published(store: DirectoryStore, catalog: MemoryCatalog, *manifests: Manifest) -> None:
    for each in manifests:
        publish(store, catalog, BASE, each)


def state(store: DirectoryStore) -> State:
    return state_of(read_history(store, BASE).manifests)


def locations(catalog: MemoryCatalog) -> dict[str, dict[str, str]]:
    return {table: dict(months) for table, months in catalog.tables.items() if months}


def walk(tmp_path: Path, at: int, after: bool) -> tuple[Death, DirectoryStore, MemoryCatalog]:
    """The first run is published, the second one dies at its n-th step."""
    store, catalog, death = DirectoryStore(tmp_path / "base"), MemoryCatalog(), Death(at, after)
    published(store, catalog, FIRST)
    with contextlib.suppress(Died):
        publish(MortalStore(store.root, death), MortalCatalog(catalog, death), BASE, SECOND)
    return death, store, catalog


STEPS = 6


def test_the_walk_covers_every_step(tmp_path: Path) -> None:
    """The manifest and five pointers: a publication that nothing disturbs takes so many steps."""
    death, _, catalog = walk(tmp_path, 99, after=False)
    assert death.steps == STEPS
    assert locations(catalog) == AFTER


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_death_at_any_step_leaves_old_or_new_months_and_the_next_run_finishes(
    tmp_path: Path, at: int, after: bool
) -> None:
    """Every month is the old or the new one; then whoever comes next completes what was committed."""
    _, store, catalog = walk(tmp_path, at, after)
    for table, months in locations(catalog).items():
        for name, location in months.items():
            assert location in {BEFORE.get(table, {}).get(name), AFTER.get(table, {}).get(name)}
    manifests, _ = begin(store, catalog, BASE)
    is_committed = at > 1 or after
    assert manifests == ((FIRST, SECOND) if is_committed else (FIRST,))
    assert locations(catalog) == (AFTER if is_committed else BEFORE)
    assert begin(store, catalog, BASE) == (manifests, 0)


def test_of_two_runs_that_began_alike_one_publishes_and_the_other_is_told(tmp_path: Path) -> None:
    """Two writers decided on the same tables: the number lets one through, and nothing of the other is to be seen."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    rival = manifest(2, "20261102T000000Z-r", FIRST.run_id, tables=tables(void={"2026-09": "rival/v9"}))
    with pytest.raises(Overtaken, match=r"published as number 2 while run 20261102T000000Z-r .* Start it again"):
        publish(store, catalog, BASE, rival)
    assert locations(catalog) == AFTER
    assert read_history(store, BASE).manifests == (FIRST, SECOND)


class Forgetful(DirectoryStore):
    """A bucket whose answer to a first write gets lost, so that the client asks again."""

    def put(self, key: str, body: bytes, **conditions: Any) -> str:
        super().put(key, body, **conditions)
        return super().put(key, body, **conditions)


def test_an_answer_that_gets_lost_is_no_rival(tmp_path: Path) -> None:
    """The client repeats a write of which it has heard nothing: the manifest that it finds there is its own."""
    catalog = MemoryCatalog()
    publish(Forgetful(tmp_path), catalog, BASE, FIRST)
    assert locations(catalog) == BEFORE


def test_a_run_that_slept_while_another_one_published_lets_the_catalog_follow_the_newest(tmp_path: Path) -> None:
    """Paused between its commit and its pointers, it moves them late; then it looks again, and nothing old is left."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    assert follow(store, catalog, BASE, FIRST) > 0
    assert locations(catalog) == AFTER
    assert newer_than(store, BASE, 1) == SECOND
    assert newer_than(store, BASE, 2) is None


def test_a_catalog_is_left_alone_while_nothing_is_on_record(tmp_path: Path) -> None:
    """Without any manifest nothing is known about the tables: what the catalog shows may be of value to somebody."""
    catalog = MemoryCatalog()
    catalog.tables["void"]["2026-09"] = "elsewhere"
    assert begin(DirectoryStore(tmp_path), catalog, BASE) == ((), 0)
    assert locations(catalog) == {"void": {"2026-09": "elsewhere"}}


# -- the lock


def test_a_lock_speaks_of_the_run_that_is_at_work(tmp_path: Path) -> None:
    """Glue knows a run that goes on: it is waited for however long it takes; then its lock is gone."""
    store = DirectoryStore(tmp_path)
    with lock(store, "jr_1"):
        late = NOW + timedelta(hours=7)
        with (
            pytest.raises(LockHeld, match=r"run jr_1 is at work on these tables"),
            lock(store, "jr_2", late, over=False),
        ):
            pass
    assert list(store.listing("")) == []


def test_the_lock_of_a_dead_run_blocks_nobody(tmp_path: Path) -> None:
    """Glue knows that the run which holds it has ended; what it left behind neither stops the next one nor is taken away late."""
    store = DirectoryStore(tmp_path)
    dead = lock(store, "jr_1").__enter__()
    with lock(store, "jr_2", over=True):
        dead.__exit__(None, None, None)
        with pytest.raises(LockHeld, match="run jr_2"), lock(store, "jr_3", over=False):
            pass


def test_the_lock_of_a_person_expires(tmp_path: Path) -> None:
    """Nobody can say what became of a command on somebody's machine, so its lock is short."""
    store = DirectoryStore(tmp_path)
    lock(store, "dataops-ann").__enter__()
    with pytest.raises(LockHeld, match=r"run dataops-ann .* holds until 2026-11-20T12:05"), lock(store, "jr_1"):
        pass
    with lock(store, "jr_1", NOW + timedelta(minutes=6)):
        pass


def test_a_retry_of_the_same_job_run_takes_its_own_lock(tmp_path: Path) -> None:
    """Glue's automatic retry need not wait for the lock of the attempt that died."""
    store = DirectoryStore(tmp_path)
    lock(store, "jr_1").__enter__()
    with lock(store, "jr_1_attempt_1", over=False):
        pass


# -- manifests and what they add up to


def test_manifests_survive_writing_and_reading() -> None:
    """What is written is what is read."""
    written = dataclasses.replace(SECOND, changed=changes_between(FIRST.tables, SECOND.tables))
    assert parse_manifest(written.as_json(), "key") == written
    assert written.changed == {
        "purchase": ("2026-08", "2026-09"),
        "void": ("2026-09",),
        "refund": ("2026-09", "2026-10"),
    }


def test_the_state_is_the_newest_manifest_and_what_those_before_it_have_read(tmp_path: Path) -> None:
    """Live months stand in one manifest alone, counts and raw objects in all of them."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    found = state(store)
    assert (found.number, found.in_force, found.live) == (2, SECOND.run_id, SECOND.tables)
    assert found.counts["kept"] == 2
    assert set(found.known) == {"transactions/20261101T000000Z-a.json", "transactions/20261102T000000Z-b.json"}


def test_a_manifest_that_is_missing_is_named(tmp_path: Path) -> None:
    """Without it nobody knows which raw objects are in the tables, and nothing may be read or published."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    store.delete([manifest_key(BASE, 1)])
    with pytest.raises(ManifestError, match=f"{FIRST.run_id} is not there, on which {SECOND.run_id} builds"):
        state(store)


def test_manifests_before_a_full_refresh_may_be_gone(tmp_path: Path) -> None:
    """A bucket's lifecycle deletes those of the smoke test's tables by age: a full refresh builds on nothing before it."""
    live = tables(purchase={"2026-09": "fresh/p9"})
    refresh = manifest(3, "20261103T000000Z-c", SECOND.run_id, kind=RunKind.FULL_REFRESH, tables=live)
    assert state_of([refresh]) == state_of([FIRST, SECOND, refresh])
    with pytest.raises(ManifestError, match=f"{FIRST.run_id} is not there"):
        in_force([SECOND])


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
    with pytest.raises(RollbackRefused, match="rolled back already"):
        plan_rollback(read_history(store, BASE).manifests, SECOND.run_id)


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
    assert (found.known, found.live, found.in_force, found.reporting_time_zone) == ({}, {}, None, None)


def test_rolling_back_is_refused_when_files_are_gone(tmp_path: Path) -> None:
    """Nothing changes when a needed prefix was swept, or holds no file of the table."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    for name in ("p8", "p9", "r9"):
        store.put(f"base/old/{name}/_marker", b"x")
    with pytest.raises(RollbackRefused, match="are gone"):
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


def test_a_full_refresh_starts_the_counts_and_inputs_anew() -> None:
    """Totals are those since the last full refresh, and so are the raw objects that are known."""
    live = tables(purchase={"2026-09": "fresh/p9"})
    refresh = manifest(3, "20261103T000000Z-c", SECOND.run_id, kind=RunKind.FULL_REFRESH, tables=live)
    found = state_of([FIRST, SECOND, refresh])
    assert (found.counts["read"], set(found.known), found.live) == (1, {f"transactions/{refresh.run_id}.json"}, live)
    assert in_force([FIRST, SECOND, refresh]) == [FIRST, SECOND, refresh]


def test_the_catalog_can_be_rebuilt_from_the_newest_manifest(tmp_path: Path) -> None:
    """Lost pointers come back, strange ones go, and those that are right are described anew."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    catalog.tables = {table: {} for table in catalog.tables}
    catalog.tables["refund"]["1999-01"] = "elsewhere"
    rebuild_catalog(store, catalog, BASE)
    assert locations(catalog) == AFTER
    assert reconcile(catalog, SECOND.tables) == 0
    assert reconcile(catalog, SECOND.tables, afresh=True) == 4


# -- the sweep


def test_the_sweep_takes_files_that_were_live_long_ago_and_never_live_ones(tmp_path: Path) -> None:
    """What is live, or was so within the retention, or is young stays; the rest goes, with its index."""
    store = DirectoryStore(tmp_path)

    def at(run: str) -> str:
        return store.uri(f"base/void/month=2026-09/run={run}/")

    def files(run: str) -> list[str]:
        return [f"base/{above}void/month=2026-09/run={run}/part" for above in ("_ids/", "")]

    for run in ("one", "two", "crashed"):
        for key in files(run):
            store.put(key, b"x")
    store.put("base/_staging/dead/part", b"x")
    store.put("base/elsewhere/month=2026-09/run=one/part", b"x")
    written = max(each.last_modified for each in store.listing("base/"))
    one = manifest(1, "20261101T000000Z-a", None, tables=tables(void={"2026-09": at("one")}))
    two = manifest(2, "20261102T000000Z-b", one.run_id, tables=tables(void={"2026-09": at("two")}))
    two = dataclasses.replace(two, finished_at=written + timedelta(days=100))
    keep, dead = timedelta(days=30), [*files("crashed"), "base/_staging/dead/part"]
    assert sweepable(store, BASE, [one], now=written + timedelta(days=29), keep=keep) == []
    assert sorted(sweepable(store, BASE, [one, two], now=written + timedelta(days=129), keep=keep)) == sorted(dead)
    gone = sweep(store, BASE, [one, two], now=written + timedelta(days=131), keep=keep)
    assert sorted(gone) == sorted([*dead, *files("one")])
    left = {each.key for each in store.listing("base/")}
    assert left == {*files("two"), "base/elsewhere/month=2026-09/run=one/part"}


def test_run_ids_grow_even_when_the_clock_does_not() -> None:
    """Ids order the runs, so a clock that stands still or was set back must not matter."""
    first = new_run_id(NOW, "jr_zzzzzzzzzzzz", None)
    second = new_run_id(NOW, "jr_aaaaaaaaaaaa", first)
    third = new_run_id(NOW - timedelta(days=1), "jr_0", second)
    assert first < second < third
