"""Manifests that earlier versions wrote are carried over once, and nothing of what they say is lost, wherever it breaks off."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from lake_fakes import DirectoryStore, MemoryCatalog
from refunds_earlier.manifests import carry_over
from refunds_lake.publishing.history import EarlierRecord, read_history
from refunds_lake.publishing.maintenance import begin
from refunds_lake.publishing.manifests import Manifest, ManifestError, RunKind, in_force, manifest_key, state_of

from deployer.lake.table_history import rebuild_catalog, roll_back

BASE = "base/"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def old(day: int, kind: str = "increment", returns_to: str | None = None, **tables: dict[str, str | None]) -> Any:
    """A run as version 1 recorded it: the months that it published, or emptied where the location is None."""
    run_id = f"202611{day:02}T000000Z-{day:08}"
    return {
        "format": 1,
        "run_id": run_id,
        "job_run_id": f"jr_{day}",
        "kind": kind,
        "full_refresh": kind == "full_refresh",
        "started_at": f"2026-11-{day:02}T00:00:00.000000Z",
        "finished_at": f"2026-11-{day:02}T00:01:00.000000Z",
        "reporting_time_zone": "UTC",
        "returns_to": returns_to,
        "note": "",
        "counts": {"read": 1, "kept": 1, "duplicate": 0, "superseded": 0, "rejected": 0},
        "problems": [{"key": "b.xyz", "reason": "unknown suffix"}],
        "inputs": []
        if kind == "rollback"
        else [
            {
                "key": f"transactions/{day}.json",
                "etag": "e",
                "last_modified": "2026-10-01T00:00:00.000000Z",
                "size": 1,
                "records": 1,
                "rejected": 0,
            }
        ],
        "tables": {
            table: {
                "months": {
                    month: {"location": at, "rows": int(at is not None), "previous_location": "x", "checksum": "c"}
                    for month, at in months.items()
                }
            }
            for table, months in tables.items()
        },
    }


A = old(1, purchase={"2026-08": "a/p8", "2026-09": "a/p9"}, void={"2026-09": "a/v9"})
B = old(2, purchase={"2026-08": None, "2026-09": "b/p9"})
UNDO_B = old(3, "rollback", A["run_id"], purchase={"2026-08": "a/p8", "2026-09": "a/p9"})
C = old(4, void={"2026-09": None}, refund={"2026-10": "c/r10"})
INTENT = old(5, purchase={"2026-09": "d/p9"})
AFTER_A = {"purchase": {"2026-08": "a/p8", "2026-09": "a/p9"}, "void": {"2026-09": "a/v9"}}
AFTER_C = {"purchase": AFTER_A["purchase"], "refund": {"2026-10": "c/r10"}}
AFTER_ALL = {"purchase": {"2026-08": "a/p8", "2026-09": "d/p9"}, "refund": {"2026-10": "c/r10"}}


def lake(root: Path, *recorded: Any, intent: Any = INTENT) -> DirectoryStore:
    """A bucket that an earlier version has left, with a publication under way."""
    store = DirectoryStore(root)
    for document in recorded or (A, B, UNDO_B, C):
        store.put(f"base/_runs/{document['run_id']}.json", json.dumps(document).encode())
    store.put("base/_runs/_checkpoint.json.gz", b"whatever")
    if intent is not None:
        store.put("base/_runs/_publishing.json", json.dumps(intent).encode())
    return store


def locations(catalog: MemoryCatalog) -> Any:
    return {table: dict(months) for table, months in catalog.tables.items() if months}


def carried(store: DirectoryStore) -> tuple[Manifest, ...]:
    """The runs on record, carried over."""
    carry_over(store, BASE)
    return read_history(store, BASE)


def live(manifest: Manifest) -> Any:
    return {table: {name: each.location for name, each in months.items()} for table, months in manifest.tables.items()}


def test_each_run_of_an_earlier_version_becomes_one_that_stands_alone(tmp_path: Path) -> None:
    """What was live after each run is worked out; who is in force, what is known and the totals are as they were."""
    manifests = carried(lake(tmp_path))
    after_b = {**AFTER_A, "purchase": {"2026-09": "b/p9"}}
    assert [live(each) for each in manifests] == [AFTER_A, after_b, AFTER_A, AFTER_C, AFTER_ALL]
    assert [each.number for each in manifests] == [1, 2, 3, 4, 5]
    assert [each.run_id for each in in_force(manifests)] == [A["run_id"], C["run_id"], INTENT["run_id"]]
    assert manifests[1].changed == {"purchase": ("2026-08", "2026-09")}
    assert manifests[0].problems[0].key == "b.xyz"
    state = state_of(manifests)
    assert {key for key, _ in state.known} == {f"transactions/{day}.json" for day in (1, 4, 5)}
    assert state.counts["kept"] == 3


def test_a_full_refresh_of_an_earlier_version_starts_anew(tmp_path: Path) -> None:
    """It named the months that it took away; what it did not name is gone as well."""
    refresh = old(5, "full_refresh", purchase={"2026-08": None, "2026-09": "f/p9"}, void={"2026-09": None})
    manifests = carried(lake(tmp_path, A, refresh, intent=refresh))
    assert live(manifests[-1]) == {"purchase": {"2026-09": "f/p9"}}
    assert (len(manifests), manifests[-1].kind) == (2, RunKind.FULL_REFRESH)
    assert {key for key, _ in state_of(manifests).known} == {"transactions/5.json"}


def test_rebuilding_the_catalog_carries_over_and_finishes_what_was_under_way(tmp_path: Path) -> None:
    """The intent's run is published, every run lies under its number, and nothing of the earlier version is left."""
    store, catalog = lake(tmp_path), MemoryCatalog()
    for table, months in AFTER_C.items():
        catalog.create(table, months)
    rebuild_catalog(store, catalog, BASE)
    assert locations(catalog) == AFTER_ALL
    assert [each.key for each in store.listing("base/_runs/")] == [manifest_key(BASE, number) for number in range(1, 6)]
    assert begin(store, catalog, BASE) == (read_history(store, BASE), 0)


def test_the_record_of_an_earlier_version_is_never_taken_for_an_empty_lake(tmp_path: Path) -> None:
    """Given manifests of an earlier version, when today's are read, then one is named, and nothing changes."""
    store, catalog = lake(tmp_path), MemoryCatalog()
    with pytest.raises(EarlierRecord, match=r"_runs/2026.*\.json: recorded by an earlier version"):
        begin(store, catalog, BASE)
    assert locations(catalog) == {}
    carry_over(store, BASE)
    store.put("base/_runs/_publishing.json", b"{}")
    with pytest.raises(EarlierRecord, match=r"_publishing\.json: recorded by an earlier version"):
        begin(store, catalog, BASE)


def test_a_run_of_an_earlier_version_can_be_undone(tmp_path: Path) -> None:
    """Going back reaches behind the change of the format."""
    store, catalog = lake(tmp_path), MemoryCatalog()
    for name in ("p8", "p9", "v9"):
        store.put(f"base/a/{name}/part.parquet", b"x")
    rebuild_catalog(store, catalog, BASE)
    roll_back(store, catalog, BASE, C["run_id"], clock=lambda: NOW, requested_by="me")
    assert locations(catalog) == AFTER_A


class Died(BaseException):
    """The process is gone."""


class MortalStore(DirectoryStore):
    """A bucket whose writer dies at the n-th object that it writes or deletes, each of them on its own."""

    def __init__(self, root: Path, at: int) -> None:
        super().__init__(root)
        self.left = at

    def put(self, key: str, body: bytes, **conditions: Any) -> str:
        self._step()
        return super().put(key, body, **conditions)

    def delete(self, keys: Iterable[str]) -> None:
        for key in sorted(keys, key=hash):  # S3 promises no order
            self._step()
            super().delete([key])

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Died


@pytest.mark.parametrize("at", range(11))
def test_carrying_over_may_break_off_anywhere(tmp_path: Path, at: int) -> None:
    """Five manifests are written, then six files deleted: after a death at any of them the next attempt ends alike."""
    store, expected = lake(tmp_path / "broken"), carried(lake(tmp_path / "whole"))
    with pytest.raises(Died):
        carry_over(MortalStore(tmp_path / "broken", at), BASE)
    assert carried(store) == expected
    assert [live(each) for each in expected[-2:]] == [AFTER_C, AFTER_ALL]


def test_runs_of_both_versions_side_by_side_are_refused(tmp_path: Path) -> None:
    """An earlier version that has recorded a run beside later ones knew nothing of them: nobody can say what is live."""
    store = lake(tmp_path)
    carry_over(store, BASE)
    store.put("base/_runs/20261201T000000Z-00000009.json", json.dumps(old(9)).encode())
    with pytest.raises(ManifestError, match="an earlier version has recorded runs beside"):
        carry_over(store, BASE)


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"format": 7}', b'{"format": 1, "run_id": "r", "kind": "increment"}'])
def test_a_file_that_is_no_manifest_is_named(tmp_path: Path, body: bytes) -> None:
    """Whoever damaged it, nothing is guessed."""
    store = lake(tmp_path)
    store.put("base/_runs/20261101T000000Z-00000001.json", body)
    with pytest.raises(ManifestError, match=r"^20261101T000000Z-00000001\.json: "):
        carry_over(store, BASE)
