"""Rows found by their ids: every one that is wanted, whole where it must be, and months without any are not read."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import NOW, MemoryStore
from refunds_lake.raw.staging import Piece, StagedObject
from refunds_lake.schema.columns import names
from refunds_lake.schema.id_hashes import hashed
from refunds_lake.storage.objects import parquet_files
from refunds_lake.tables.month_files import Writer, planned
from refunds_lake.tables.month_search import (
    REFERRED,
    Ids,
    Wanted,
    Written,
    ids_of,
    index_key,
    pack,
    read_indexes,
    search,
)

MONTH = "2026-09"
MOMENT = datetime(2026, 9, 5, 10, tzinfo=UTC)


class Bucket(MemoryStore):
    """A bucket in memory that notes what is read."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self.was_read: list[str] = []

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def read_range(self, key: str, first: int, last: int) -> bytes:
        self.was_read.append(key)
        return self.objects[key][first : last + 1]


def hashes_of(*ids: str) -> np.ndarray:
    return np.unique(hashed(pa.array(ids, pa.string())).to_numpy())


def place(table: str, run: str = "x") -> str:
    return f"base/{table}/month={MONTH}/run={run}/"


def month(base: Any, files: list[list[dict[str, str]]], *, table: str, has_index: bool = True) -> None:
    """A month of a table: rows with their ids, everything else the same in each."""
    for number, rows in enumerate(files):
        other = {"timestamp": MOMENT, "amount": Decimal("1.50"), "ingested_at": NOW, "source_file": "a.json", "file": 0}
        staged = pa.Table.from_pylist([{**other, **row} for row in rows])
        staged = staged.set_column(
            staged.schema.get_field_index("amount"), "amount", staged["amount"].cast(pa.decimal128(18, 2))
        )
        body = io.BytesIO()
        pq.write_table(staged, body)
        base.objects["staged"] = body.getvalue()
        piece = Piece(table, MONTH, "staged", len(body.getvalue()), 0, len(rows))
        [file] = planned(table, MONTH, place(table) + f"{number}-", [piece], [])
        Writer(base, frozenset())(file)
        if not has_index:
            del base.objects[index_key(file.key, base.get(file.key)[1])]


def purchase(id: str) -> dict[str, str]:
    return {"id": id, "customer_id": f"c-{id}", "merchant_id": "m"}


def stands(base: Any, table: str, run: str = "x") -> Written:
    """The month as a run has written it."""
    return Written(MONTH, place(table, run), tuple(parquet_files(base.listing(place(table, run)))))


def searched(base: Any, wanted: Wanted, *, table: str) -> tuple[Ids, list[dict[str, Any]]]:
    key = f"wanted/{Random().random()}"
    base.objects[key] = wanted.to_bytes()
    [hits] = search(base, table, key, "found/", (None, [stands(base, table)])).values()
    if hits is None:
        return Ids(), []
    return hits.ids, pq.read_table(io.BytesIO(base.objects[hits.key])).to_pylist()


@pytest.mark.parametrize("has_index", [True, False])
def test_the_wanted_rows_are_found_by_id_and_by_parent(has_index: bool) -> None:
    """Given a month of several files, with or without an index, then just the rows with a wanted id or parent are found."""
    base = Bucket()
    refunds = [[{"id": f"r{part}-{n}", "parent_id": f"p{n % 7}"} for n in range(30)] for part in range(3)]
    month(base, refunds, table="refund", has_index=has_index)
    ids, rows = searched(base, Wanted(hashes_of("r0-3", "r2-9", "none"), hashes_of("p5")), table="refund")
    expected = {f"r{part}-{n}" for part in range(3) for n in range(30) if n % 7 == 5} | {"r0-3", "r2-9"}
    assert {row["id"] for row in rows} == expected
    assert len(rows) == len(expected)
    assert ids.ids.tolist() == hashes_of(*expected).tolist()
    assert ids.parents.tolist() == hashes_of("p5", "p3", "p2").tolist()
    assert {(row["month"], row["amount"], row["timestamp"]) for row in rows} == {(MONTH, Decimal("1.50"), MOMENT)}
    assert set(rows[0]) == {*names("refund"), "month"}


def test_a_referred_row_has_who_and_a_wanted_one_everything() -> None:
    """Given a purchase that is wanted and others that refunds refer to, then files without the first are read in part."""
    base = Bucket()
    month(base, [[purchase("p1"), purchase("p2")], [purchase("p3"), purchase("p4")]], table="purchase")
    _, rows = searched(base, Wanted(hashes_of("p1"), referred=hashes_of("p2", "p3")), table="purchase")
    found = {row["id"]: row for row in rows}
    assert found.keys() == {"p1", "p2", "p3"}
    assert all(value is not None for value in found["p1"].values())
    assert {name for name, value in found["p3"].items() if value is not None} == {*REFERRED, "month"}
    assert {row["customer_id"] for row in rows} == {"c-p1", "c-p2", "c-p3"}


def test_files_without_anything_wanted_are_not_read() -> None:
    """Given an index of each file, then only the file that holds the wanted row is opened."""
    base = Bucket()
    month(base, [[purchase("p1")], [purchase("p2")], [purchase("p3")]], table="purchase")
    base.was_read.clear()
    for wanted in (Wanted(hashes_of("p2")), Wanted(referred=hashes_of("p2", "none"))):
        _, rows = searched(base, wanted, table="purchase")
        assert [row["id"] for row in rows] == ["p2"]
    assert set(base.was_read) == {place("purchase") + "1-part-00000.zstd.parquet"}


def test_the_index_of_a_file_that_was_replaced_hides_nothing() -> None:
    """Given a file of a month that somebody wrote anew with other rows, then these are found."""
    base = Bucket()
    month(base, [[purchase("p1")]], table="purchase")
    [first] = base.listing(place("purchase"))
    indexes = {key: body for key, body in base.objects.items() if "_ids" in key}
    month(base, [[purchase("p2")]], table="purchase")
    base.objects = {key: body for key, body in base.objects.items() if "_ids" not in key} | indexes
    assert [each.key for each in base.listing(place("purchase"))] == [first.key]
    assert [row["id"] for row in searched(base, Wanted(hashes_of("p2")), table="purchase")[1]] == ["p2"]


def test_what_one_run_wrote_is_staged_beside_what_another_wrote() -> None:
    """Given a month of two runs, when both are searched for the same, then neither's rows take the other's place."""
    base = Bucket()
    month(base, [[purchase("p1")]], table="purchase")
    base.objects["wanted/p1"] = Wanted(hashes_of("p1")).to_bytes()
    for run in ("a", "b"):
        for key in [key for key in base.objects if "run=x" in key]:
            base.objects[key.replace("run=x", f"run={run}")] = base.objects[key]
    store: Any = base
    look = partial(search, store, "purchase", "wanted/p1", "found/")
    hits = [hit for run in ("a", "b") for hit in look((None, [stands(base, "purchase", run)])).values()]
    assert len({hit.key for hit in hits if hit is not None}) == 2


def packed_months(base: Any) -> dict[str, Written]:
    """Three months of purchases, each by a run of its own."""
    month(base, [[purchase("p1"), purchase("p2")], [purchase("p3")]], table="purchase")
    for run in ("a", "b"):
        for key in [key for key in base.objects if "run=x" in key]:
            base.objects[key.replace("run=x", f"run={run}")] = base.objects[key]
    return {run: stands(base, "purchase", run) for run in ("a", "b", "x")}


def test_packed_indexes_say_what_the_files_own_ones_said() -> None:
    """Given months whose indexes were packed, then the same rows are found through the pack, and no other month is looked through."""
    base = Bucket()
    months = packed_months(base)
    keys = [key for run in "ab" for key in months[run].indexes]
    pack(base, ("pack", keys, frozenset(keys)))
    assert not base.objects.keys() & set(keys)
    base.objects["wanted"] = Wanted(hashes_of("p3")).to_bytes()
    base.was_read.clear()
    found = search(base, "purchase", "wanted", "found/", ("pack", list(months.values())))
    assert found.keys() == {months["a"].prefix, months["b"].prefix}
    for hits in found.values():
        assert hits is not None
        assert [row["id"] for row in pq.read_table(io.BytesIO(base.objects[hits.key])).to_pylist()] == ["p3"]
    assert {key.rpartition("/")[2] for key in base.was_read} == {"1-part-00000.zstd.parquet"}
    base.objects["another"] = Wanted(hashes_of("p4")).to_bytes()
    assert set(search(base, "purchase", "another", "found/", ("pack", list(months.values()))).values()) == {None}


def test_packs_are_packed_again_without_what_is_gone() -> None:
    """Given a pack and other indexes, when they are packed, then those of files that are gone are left out, the others in one object."""
    base = Bucket()
    months = packed_months(base)
    keys = {run: months[run].indexes for run in months}
    pack(base, ("first", [*keys["a"], *keys["b"]], frozenset([*keys["a"], *keys["b"]])))
    kept = frozenset([*keys["b"], *keys["x"]])
    pack(base, ("second", ["first", *keys["x"]], kept))
    assert "first" not in base.objects
    assert read_indexes(base, "second").keys() == kept
    # A task that died behind its first deletions and is tried again loses nothing.
    pack(base, ("second", ["first", *keys["x"]], kept))
    assert read_indexes(base, "second").keys() == kept


def test_markers_of_directories_are_no_files() -> None:
    """Given a marker such as some file systems leave for a directory, then it is passed over."""
    base = Bucket()
    month(base, [[purchase("p1")]], table="purchase")
    base.objects[place("purchase")] = b""
    assert len(searched(base, Wanted(hashes_of("p1")), table="purchase")[1]) == 1


def test_nothing_is_found_where_nothing_is() -> None:
    """Given a month without a wanted row, with and without an index, then nothing is staged."""
    for has_index in (True, False):
        base = Bucket()
        month(base, [[purchase("p1")]], table="purchase", has_index=has_index)
        _, rows = searched(base, Wanted(hashes_of("p2"), referred=hashes_of("p3")), table="purchase")
        assert rows == []
        assert not [key for key in base.objects if key.startswith("found/")]


def test_ids_of_staged_objects_leave_out_broken_files() -> None:
    """Given staged rows of two files of which one broke off, then the ids are those of the other."""
    base: Any = Bucket()
    rows = [
        {"file": n % 2, "id_hash": hashes_of(f"r{n}")[0], "parent_id": "p1" if n % 2 else f"p{n}"} for n in range(6)
    ]
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), body)
    base.objects["staged"] = body.getvalue()
    ids = ids_of(base, frozenset({1}), StagedObject("refund", "staged", len(body.getvalue())))
    assert ids.ids.tolist() == hashes_of("r0", "r2", "r4").tolist()
    assert ids.parents.tolist() == hashes_of("p0", "p2", "p4").tolist()


def test_what_covers_what() -> None:
    """A search serves another one when it looked for all of it, and read as much of each row."""
    a, b, none = hashes_of("a"), hashes_of("b"), hashes_of()
    both = hashes_of("a", "b")
    assert Wanted(both, both).covers(Wanted(a, b))
    assert Wanted(a, referred=b).covers(Wanted(referred=both))
    assert not Wanted(a, referred=b).covers(Wanted(both))
    assert not Wanted(a, both).covers(Wanted(b))
    assert not Wanted(both, a).covers(Wanted(parents=b))
    assert not Wanted(both).covers(Wanted(parents=a))
    assert Wanted(none).covers(Wanted())
    assert not Wanted()
    assert Wanted(a) and Wanted(parents=a) and Wanted(referred=a)
