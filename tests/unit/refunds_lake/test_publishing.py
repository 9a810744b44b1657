"""Publishing survives a death at every step: readers see each month old or new, and the next run finishes the work."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lake_fakes import DirectoryStore, MemoryCatalog
from recorded_runs import AFTER, BASE, BEFORE, FIRST, NOW, SECOND, locations, manifest, published, state, tables
from refunds_lake.publishing.history import newer_than, read_history
from refunds_lake.publishing.maintenance import begin, lock_key, sweepable
from refunds_lake.publishing.manifests import (
    ManifestError,
    RunKind,
    changes_between,
    in_force,
    manifest_key,
    new_run_id,
    parse_manifest,
    state_of,
)
from refunds_lake.publishing.publish import Overtaken, follow, publish
from refunds_lake.storage.lock import Lock, LockHeld


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


def lock(store: DirectoryStore, holder: str = "jr_test", now: datetime = NOW, over: bool | None = None) -> Lock:
    """A lock; `over` is what Glue says of whoever holds it."""
    return Lock(store, lock_key(BASE), holder, clock=lambda: now, is_over=lambda run_id: over)


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
    assert read_history(store, BASE) == (FIRST, SECOND)


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
    assert {key for key, _ in found.known} == {
        "transactions/20261101T000000Z-a.json",
        "transactions/20261102T000000Z-b.json",
    }


def test_a_manifest_that_is_missing_is_named(tmp_path: Path) -> None:
    """Without it nobody knows which raw objects are in the tables, and nothing may be read or published."""
    store, catalog = DirectoryStore(tmp_path), MemoryCatalog()
    published(store, catalog, FIRST, SECOND)
    store.delete([manifest_key(BASE, 1)])
    with pytest.raises(ManifestError, match=f"{FIRST.run_id} is missing, but run {SECOND.run_id} is based on it"):
        state(store)


def test_manifests_before_a_full_refresh_may_be_gone(tmp_path: Path) -> None:
    """A bucket's lifecycle deletes those of the smoke test's tables by age: a full refresh builds on nothing before it."""
    live = tables(purchase={"2026-09": "fresh/p9"})
    refresh = manifest(3, "20261103T000000Z-c", SECOND.run_id, kind=RunKind.FULL_REFRESH, tables=live)
    assert state_of([refresh]) == state_of([FIRST, SECOND, refresh])
    with pytest.raises(ManifestError, match=f"{FIRST.run_id} is missing"):
        in_force([SECOND])


def test_a_full_refresh_starts_the_counts_and_inputs_anew() -> None:
    """Totals are those since the last full refresh, and so are the raw objects that are known."""
    live = tables(purchase={"2026-09": "fresh/p9"})
    refresh = manifest(3, "20261103T000000Z-c", SECOND.run_id, kind=RunKind.FULL_REFRESH, tables=live)
    found = state_of([FIRST, SECOND, refresh])
    assert {key for key, _ in found.known} == {f"transactions/{refresh.run_id}.json"}
    assert (found.counts["read"], found.live) == (1, live)
    assert in_force([FIRST, SECOND, refresh]) == [FIRST, SECOND, refresh]


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
    gone = sweepable(store, BASE, [one, two], now=written + timedelta(days=131), keep=keep)
    assert sorted(gone) == sorted([*dead, *files("one")])


def test_run_ids_grow_even_when_the_clock_does_not() -> None:
    """Ids order the runs, so a clock that stands still or was set back must not matter."""
    first = new_run_id(NOW, "jr_zzzzzzzzzzzz", None)
    second = new_run_id(NOW, "jr_aaaaaaaaaaaa", first)
    third = new_run_id(NOW - timedelta(days=1), "jr_0", second)
    assert first < second < third
