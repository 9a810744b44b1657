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
from refunds_lake.lock import Lock, LockHeld, LockLost
from refunds_lake.publish import publish, recover
from refunds_lake.runs import (
    FULL_REFRESH,
    INCREMENT,
    InputObject,
    Manifest,
    Month,
    fold,
    live_partitions,
    new_run_id,
    parse_manifest,
    read_manifests,
    read_state,
    write_checkpoint,
)
from refunds_lake.upkeep import RollbackRefused, lock_key, plan_rollback, rebuild_catalog, roll_back, sweep, sweepable

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
        if key.endswith("_lock.json"):
            return super().put(key, body, **conditions)
        return str(self._death.step(lambda: DirectoryStore.put(self, key, body, **conditions)))

    def delete(self, keys: Iterable[str]) -> None:
        self._death.step(lambda: DirectoryStore.delete(self, keys))


class MortalCatalog(MemoryCatalog):
    """A catalog whose caller may die, also between two months of one table."""

    def __init__(self, catalog: MemoryCatalog, death: Death) -> None:
        self.tables = catalog.tables
        self._death = death

    def point(self, table: str, locations: Mapping[str, str]) -> None:
        for month, location in locations.items():
            self._death.step(lambda m=month, at=location: MemoryCatalog.point(self, table, {m: at}))

    def drop(self, table: str, months: Iterable[str]) -> None:
        for month in months:
            self._death.step(lambda m=month: MemoryCatalog.drop(self, table, [m]))


def month(location: str | None, previous: str | None = None, rows: int = 1) -> Month:
    return Month(location, rows, previous, None)


def manifest(run_id: str, kind: str = INCREMENT, **fields: Any) -> Manifest:
    defaults: dict[str, Any] = {
        "run_id": run_id,
        "job_run_id": f"jr_{run_id}",
        "kind": kind,
        "started_at": NOW,
        "finished_at": NOW,
        "reporting_time_zone": "UTC",
        "inputs": (InputObject(f"transactions/{run_id}.json", "e", NOW, 1, 1, 0),),
        "counts": {"read": 1, "kept": 1, "duplicate": 0, "superseded": 0, "rejected": 0},
    }
    return Manifest(**{**defaults, **fields})


FIRST = manifest(
    "20261101T000000Z-a",
    tables={
        "purchase": {"2026-08": month("old/p8"), "2026-09": month("old/p9")},
        "refund": {"2026-09": month("old/r9")},
    },
)
SECOND = manifest(
    "20261102T000000Z-b",
    tables={
        "purchase": {"2026-08": month(None, "old/p8", 0), "2026-09": month("new/p9", "old/p9")},
        "void": {"2026-09": month("new/v9")},
        "refund": {"2026-09": month("new/r9", "old/r9"), "2026-10": month("new/r10")},
    },
)


def lock(store: DirectoryStore, holder: str = "jr_test", now: datetime = NOW) -> Lock:
    return Lock(store, lock_key(BASE), holder, clock=lambda: now)


def published(store: DirectoryStore, catalog: MemoryCatalog, *manifests: Manifest) -> None:
    with lock(store) as held:
        for each in manifests:
            publish(store, catalog, BASE, each, held)


def locations(catalog: MemoryCatalog) -> dict[str, dict[str, str]]:
    return {table: dict(months) for table, months in catalog.tables.items() if months}


BEFORE = {"purchase": {"2026-08": "old/p8", "2026-09": "old/p9"}, "refund": {"2026-09": "old/r9"}}
AFTER = {
    "purchase": {"2026-09": "new/p9"},
    "void": {"2026-09": "new/v9"},
    "refund": {"2026-09": "new/r9", "2026-10": "new/r10"},
}


def walk(tmp_path: Path, at: int, after: bool) -> tuple[Death, DirectoryStore, MemoryCatalog]:
    """The first run is published, the second one dies at its n-th step."""
    store, catalog, death = DirectoryStore(tmp_path / "base"), MemoryCatalog(), Death(at, after)
    published(store, catalog, FIRST)
    held = lock(store)
    held.__enter__()
    held._stop.set()  # the heartbeat dies with the process
    with contextlib.suppress(Died):
        publish(MortalStore(store.root, death), MortalCatalog(catalog, death), BASE, SECOND, held)
    return death, store, catalog


STEPS = 8


def test_the_walk_covers_every_step(tmp_path: Path) -> None:
    """Intent, five pointers, manifest, end of the intent: a publication that nothing disturbs takes so many steps."""
    death, _, catalog = walk(tmp_path, 99, after=False)
    assert death.steps == STEPS
    assert locations(catalog) == AFTER


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_death_at_any_step_leaves_old_or_new_months_and_the_next_run_finishes(
    tmp_path: Path, at: int, after: bool
) -> None:
    """Every month is the old or the new one; then the next run, once the dead one's lock has expired, completes it."""
    _, store, catalog = walk(tmp_path, at, after)
    for table, months in locations(catalog).items():
        for name, location in months.items():
            assert location in {BEFORE.get(table, {}).get(name), AFTER.get(table, {}).get(name)}
    with pytest.raises(LockHeld, match="jr_test"), lock(store, "jr_next"):
        pass
    with lock(store, "jr_next", NOW + timedelta(minutes=6)) as held:
        finished = recover(store, catalog, BASE, held)
        is_on_record = read_state(store, BASE).last_run_id == SECOND.run_id
        assert recover(store, catalog, BASE, held) is None
    nothing_begun = at == 1 and not after
    assert is_on_record != nothing_begun
    assert finished is None or finished.run_id == SECOND.run_id
    assert locations(catalog) == (BEFORE if nothing_begun else AFTER)
    assert [each.key for each in store.listing("base/_runs/_")] == []


def test_a_run_whose_lock_was_taken_publishes_nothing(tmp_path: Path) -> None:
    """A run that slept through its lock's life notices before it moves a pointer."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    slept = lock(store, "jr_slept").__enter__()
    with lock(store, "jr_other", NOW + timedelta(minutes=6)):
        with pytest.raises(LockLost):
            publish(store, catalog, BASE, FIRST, slept)
        slept.__exit__(None, None, None)
        assert [each.key for each in store.listing("base/_runs/")] == [lock_key(BASE)]
    assert locations(catalog) == {}


def test_a_retry_of_the_same_job_run_takes_its_own_lock(tmp_path: Path) -> None:
    """Glue's automatic retry need not wait for the lock of the attempt that died."""
    store = DirectoryStore(tmp_path)
    lock(store, "jr_1").__enter__()._stop.set()
    with lock(store, "jr_1_attempt_1"):
        pass


def test_manifests_survive_writing_and_reading() -> None:
    """What is written is what is read."""
    assert parse_manifest(SECOND.as_json(), "key") == SECOND


def test_state_is_the_same_with_and_without_checkpoint(tmp_path: Path) -> None:
    """The checkpoint is a cache: with it, without it and with a broken one the state is the same."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    state = read_state(store, BASE)
    assert state.counts["kept"] == 2
    assert set(state.known) == {"transactions/20261101T000000Z-a.json", "transactions/20261102T000000Z-b.json"}
    write_checkpoint(store, BASE, always=True)
    assert read_state(store, BASE) == state
    store.put("base/_runs/_checkpoint.json.gz", b"broken")
    assert read_state(store, BASE) == state


def test_rolling_back_returns_to_what_the_run_replaced(tmp_path: Path) -> None:
    """Pointers, counts and inputs are those from before; the undone objects count as unread."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST)
    before = read_state(store, BASE)
    published(store, catalog, SECOND)
    for name in ("p8", "p9", "r9"):
        store.put(f"base/old/{name}/file.parquet", b"x")
    done = roll_back(store, catalog, BASE, SECOND.run_id, lock(store), clock=lambda: NOW, requested_by="me")
    assert locations(catalog) == BEFORE
    after = read_state(store, BASE)
    assert (after.known, after.counts, after.in_force) == (before.known, before.counts, FIRST.run_id)
    assert after.last_run_id == done.run_id
    with pytest.raises(RollbackRefused, match="rolled back already"):
        plan_rollback(read_manifests(store, BASE), SECOND.run_id)


def test_rolling_back_is_refused_when_files_are_gone(tmp_path: Path) -> None:
    """Nothing changes when a needed prefix was swept, or holds no file of the table."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    for name in ("p8", "p9", "r9"):
        store.put(f"base/old/{name}/_marker", b"x")
    with pytest.raises(RollbackRefused, match="are gone"):
        roll_back(store, catalog, BASE, SECOND.run_id, lock(store), clock=lambda: NOW, requested_by="me")
    assert locations(catalog) == AFTER


def test_rolling_back_a_run_undoes_the_later_ones_too() -> None:
    """Later runs build on it: the plan names them."""
    third = manifest("20261103T000000Z-c", tables={"void": {"2026-09": month("third/v9", "new/v9")}})
    plan = plan_rollback([FIRST, SECOND, third], SECOND.run_id)
    assert plan.undone == (SECOND.run_id, third.run_id)
    assert plan.returns_to == FIRST.run_id
    assert plan.tables["void"]["2026-09"].location is None


def test_a_full_refresh_starts_the_counts_and_inputs_anew() -> None:
    """Totals are those since the last full refresh; months that it does not name are gone."""
    refresh = manifest("20261103T000000Z-c", FULL_REFRESH, tables={"purchase": {"2026-09": month("fresh/p9")}})
    state = fold([FIRST, SECOND, refresh])
    assert state.counts["read"] == 1
    assert {table: set(months) for table, months in state.live.items()} == {"purchase": {"2026-09"}}


def test_the_catalog_can_be_rebuilt_from_the_manifests(tmp_path: Path) -> None:
    """Lost pointers come back, strange ones go."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    catalog.tables = {table: {} for table in catalog.tables}
    catalog.tables["refund"]["1999-01"] = "elsewhere"
    rebuild_catalog(store, catalog, BASE, lock(store))
    assert locations(catalog) == AFTER == {
        table: {name: each.location for name, each in months.items()}
        for table, months in live_partitions(read_manifests(store, BASE)).items()
    }  # fmt: skip


def test_the_sweep_takes_old_superseded_files_and_never_live_ones(tmp_path: Path) -> None:
    """What is live, or young, or only just superseded stays; the rest goes."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()

    def at(run: str) -> str:
        return store.uri(f"base/void/month=2026-09/run={run}/")

    def files(run: str) -> list[str]:
        return [f"base/{above}void/month=2026-09/run={run}/part" for above in ("_ids/", "")]

    for run in ("one", "two", "crashed"):
        for key in files(run):
            store.put(key, b"x")
    one = manifest("20261101T000000Z-a", tables={"void": {"2026-09": month(at("one"))}})
    two = manifest("20261102T000000Z-b", tables={"void": {"2026-09": month(at("two"), at("one"))}})
    published(store, catalog, one, two)
    written = max(each.last_modified for each in store.listing("base/"))
    keep = timedelta(days=30)
    assert sweepable(store, BASE, now=max(written, NOW) + timedelta(days=29), keep=keep) == []
    gone = sweep(store, BASE, lock(store), now=max(written, NOW) + timedelta(days=31), keep=keep)
    assert sorted(gone) == sorted([*files("crashed"), *files("one")])
    left = [each.key for each in store.listing("base/")]
    assert [key for key in left if "/void/" in key] == files("two")


def test_run_ids_grow_even_when_the_clock_does_not() -> None:
    """Ids order the runs, so a clock that stands still or was set back must not matter."""
    first = new_run_id(NOW, "jr_zzzzzzzzzzzz", None)
    second = new_run_id(NOW, "jr_aaaaaaaaaaaa", first)
    third = new_run_id(NOW - timedelta(days=1), "jr_0", second)
    assert first < second < third
