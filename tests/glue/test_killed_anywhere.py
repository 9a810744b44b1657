"""A whole run that ends at any write of a control file or pointer: readers see old or new months, the next run repairs.

What a killed process leaves is the world between two of its writes. So one undisturbed run is recorded write by write, and
every world in between is put back and repaired; Spark is needed for few of them.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lake_fakes import DirectoryStore, MemoryCatalog
from lakehouse import NOW, Lakehouse, Worlds, purchase, refund, void
from refunds_lake.job import pipeline
from refunds_lake.job import run as job
from refunds_lake.publishing.manifests import manifest_key

Change = Callable[[], Any]
View = dict[tuple[str, str], list[dict[str, Any]]]


class WatchedStore(DirectoryStore):
    """A bucket that lets `watch` see each write; it may fail before or after it."""

    def __init__(self, root: Path, watch: Callable[[str, Change], Any]) -> None:
        super().__init__(root)
        self._watch = watch

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers get a plain bucket: what they stage is no control file."""
        return DirectoryStore, (self.root,)

    def put(self, key: str, body: bytes, **conditions: Any) -> str:
        return str(self._watch(f"put {key}", lambda: DirectoryStore.put(self, key, body, **conditions)))

    def delete(self, keys: Iterable[str]) -> None:
        names = list(keys)
        self._watch(f"delete {names}", lambda: DirectoryStore.delete(self, names))


class WatchedCatalog(MemoryCatalog):
    """A catalog that lets `watch` see each month's change, as a call for many months may break off between them."""

    def __init__(self, catalog: MemoryCatalog, watch: Callable[[str, Change], Any]) -> None:
        self.tables = catalog.tables
        self._watch = watch

    def create(self, table: str, locations: Mapping[str, str]) -> None:
        for month, location in locations.items():
            change = partial(MemoryCatalog.create, self, table, {month: location})
            self._watch(f"create {table} {month}", change)

    def update(self, table: str, locations: Mapping[str, str]) -> None:
        for month, location in locations.items():
            change = partial(MemoryCatalog.update, self, table, {month: location})
            self._watch(f"update {table} {month}", change)

    def drop(self, table: str, months: Iterable[str]) -> None:
        for month in months:
            self._watch(f"drop {table} {month}", lambda m=month: MemoryCatalog.drop(self, table, [m]))


def view(lakehouse: Lakehouse) -> View:
    """Table and month -> its rows, as a reader of the catalog sees them."""
    months: View = {}
    for table, rows in lakehouse.tables().items():
        for month in lakehouse.catalog.tables[table]:
            months[table, month] = [row for row in rows if row["month"] == month]
    return months


def is_old_or_new(seen: View, old: View, new: View) -> bool:
    return all(seen.get(month) in (old.get(month), new.get(month)) for month in {*seen, *old, *new})


def test_a_run_may_end_at_any_write(lakehouse: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given corrections that move, empty and add months, when the run is killed or fails at any write, then it is repaired."""
    worlds = Worlds(lakehouse, tmp_path)
    early = "2026-08-03T00:00:00Z"
    lakehouse.deliver(
        "a.json", [purchase("p1", timestamp=early), purchase("p2"), refund("r1", "p1"), void("v1", "p2"), "?"]
    )
    lakehouse.run()
    old = view(lakehouse)
    corrections = [
        purchase("p1"),
        refund("r1", "p1", timestamp="2026-11-03T00:00:00Z"),
        refund("r2", "p2"),
        void("v1", "r2"),
        "!",
    ]
    lakehouse.deliver("b.json", corrections, at=NOW + timedelta(seconds=9))

    # One run, undisturbed; the world is kept before each of its writes.
    steps: list[tuple[str, Any]] = []
    manifests: list[Any] = []
    publish = pipeline.publish

    def recorded(what: str, change: Change) -> Any:
        if threading.current_thread() is threading.main_thread() and "_staging/" not in what:  # no reader sees that
            steps.append((what, worlds.keep()))
        return change()

    def noted(store: Any, catalog: Any, prefix: str, manifest: Any) -> None:
        manifests.append(manifest)
        publish(store, catalog, prefix, manifest)

    with monkeypatch.context() as watched:
        watched.setattr(pipeline, "publish", noted)
        lakehouse.base = WatchedStore(lakehouse.base.root, recorded)
        lakehouse.catalog = WatchedCatalog(lakehouse.catalog, recorded)
        undisturbed = lakehouse.run()
    lakehouse.base = DirectoryStore(lakehouse.base.root)
    new, counts = view(lakehouse), undisturbed.state.counts
    names = [what for what, _ in steps]
    commit = names.index(f"put {manifest_key('base/', 2)}")
    assert ("purchase", "2026-08") in old.keys() - new.keys()
    assert {"drop purchase 2026-08", "create refund 2026-11", "update rejected 2026-11"} <= set(names)
    assert names[-2:] == ["update rejected 2026-11", "delete ['base/_runs/_lock.json']"]

    def check_repaired() -> None:
        outcome = lakehouse.run()
        assert view(lakehouse) == new
        assert outcome.state.counts == counts
        assert not [each.key for each in lakehouse.base.listing("base/_runs/_")]

    # Killed behind the commit: nothing is read again.
    for what, world in steps[commit + 1 :]:
        worlds.put_back(world)
        assert is_old_or_new(view(lakehouse), old, new), what
        check_repaired()

    # An error at any write, before or after it takes effect; what led to the publication is the same each time.
    def publishing_only(plan: Any, settings: Any, context: Any, on_record: Any) -> Any:
        if manifests[0].inputs[0].key in {key for key, _ in on_record.known}:
            return None, ()
        publish(context.base, context.catalog, settings.base_prefix, manifests[0])
        return manifests[0], ()

    monkeypatch.setattr(job, "carry_out", publishing_only)
    for at in range(len(names)):
        for after in (False, True):
            worlds.put_back(steps[0][1])
            shutil.copytree(steps[commit][1][0], lakehouse.base.root, dirs_exist_ok=True)
            (lakehouse.base.root / "base/_runs/_lock.json").unlink()
            done: list[str] = []

            def failing(what: str, change: Change, at: int = at, after: bool = after, done: list[str] = done) -> Any:
                done.append(what)
                if len(done) == at + 1 and not after:
                    raise OSError(what)
                result = change()
                if len(done) == at + 1:
                    raise OSError(what)
                return result

            catalog = lakehouse.catalog
            lakehouse.base = WatchedStore(lakehouse.base.root, failing)
            lakehouse.catalog = WatchedCatalog(catalog, failing)
            with pytest.raises(OSError) as error:
                lakehouse.run()
            assert str(error.value) == names[at]
            lakehouse.base, lakehouse.catalog = DirectoryStore(lakehouse.base.root), catalog
            assert is_old_or_new(view(lakehouse), old, new), names[at]
            check_repaired()
    monkeypatch.undo()

    # Killed before the commit, while files were being written: they are left behind, the work is done again.
    worlds.put_back(steps[commit][1])
    written = [each.key for each in lakehouse.base.listing("base/") if f"run={manifests[0].run_id}" in each.key]
    lakehouse.base.delete(written[::2])
    for key in written[1::2]:
        (lakehouse.base.root / key).write_bytes(b"PAR1")
    assert view(lakehouse) == old
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(lakehouse.base.root / "base" / "_staging")
    check_repaired()
