"""Parquet objects: what is read is right, and takes as few requests as there are places far apart."""

from __future__ import annotations

import io
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import MemoryStore
from refunds_lake.storage import parquet_objects
from refunds_lake.storage.parquet_objects import ParquetObject, footer_of

ROWS = 4_000


class Bucket(MemoryStore):
    """A bucket in memory that notes which bytes are asked for."""

    def __init__(self, table: pa.Table, **options: Any) -> None:
        super().__init__(1 << 20)
        body = io.BytesIO()
        pq.write_table(table, body, compression="none", use_dictionary=["kind"], **options)
        self.objects["a"] = body.getvalue()
        self.asked: list[tuple[int, int]] = []

    def read_range(self, key: str, first: int, last: int) -> bytes:
        self.asked.append((first, last))
        return super().read_range(key, first, last)

    def open(self) -> ParquetObject:
        store: Any = self
        return ParquetObject(store, "a", len(self.objects["a"]))


def table() -> pa.Table:
    random = Random(7)
    texts = {name: [random.randbytes(16).hex() for _ in range(ROWS)] for name in ("id", "between", "parent_id")}
    return pa.table({**texts, "kind": ["a", "b"] * (ROWS // 2), "reasons": [["x", "y"]] * ROWS})


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects of some hundred kilobytes are large ones."""
    monkeypatch.setattr(parquet_objects, "_END_BYTES", 10_000)
    monkeypatch.setattr(parquet_objects, "_GAP_BYTES", 10_000)


def test_a_small_object_takes_one_request() -> None:
    """Given an object smaller than what is fetched of any, when its footer and all its rows are read, then it is asked for once."""
    rows = table().slice(0, 100)
    bucket = Bucket(rows)
    part = bucket.open()
    assert part.file.metadata.num_rows == 100
    assert part.read().equals(rows)
    assert bucket.asked == [(0, len(bucket.objects["a"]) - 1)]


def test_columns_take_a_request_for_each_place(narrow: None) -> None:
    """Given a large object, then columns beside each other are one request, others one each, and none is asked for twice."""
    rows = table()
    bucket = Bucket(rows)
    part = bucket.open()
    assert len(bucket.asked) == 1
    assert part.read(["id", "between"]).equals(rows.select(["id", "between"]))
    assert len(bucket.asked) == 2
    assert part.read(["id", "parent_id", "none such"]).equals(rows.select(["id", "parent_id"]))
    assert len(bucket.asked) == 3
    assert part.read(["between"]).num_rows == ROWS
    assert len(bucket.asked) == 3
    part = bucket.open()
    bucket.asked.clear()
    assert part.read(["id"], also=["parent_id"]).equals(rows.select(["id"]))
    assert len(bucket.asked) == 2
    assert part.read(["parent_id", "id"]).num_rows == ROWS
    assert len(bucket.asked) == 2
    assert sum(last - first for first, last in bucket.asked) < 0.7 * len(bucket.objects["a"])


@pytest.mark.parametrize("groups", [[1], [0, 3], [2, 0], None])
def test_row_groups_are_the_rows_that_were_written_as_such(narrow: None, groups: list[int] | None) -> None:
    """Given several row groups with dictionaries and lists, then those that are named come, in their order, and no others."""
    rows = table()
    part = Bucket(rows, row_group_size=1_000).open()
    expected = pa.concat_tables([rows.slice(1_000 * group, 1_000) for group in groups or range(4)])
    assert part.read(None, groups).equals(expected)
    assert part.read(["kind", "reasons"], groups).equals(expected.select(["kind", "reasons"]))


def test_a_footer_longer_than_what_is_fetched_at_first_is_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given so many row groups that their footer is large, then the rest of it is a request of its own."""
    monkeypatch.setattr(parquet_objects, "_END_BYTES", 1_000)
    bucket = Bucket(table(), row_group_size=50)
    assert bucket.open().file.metadata.num_rows == ROWS
    assert len(bucket.asked) == 2


def test_an_object_is_opened_by_its_footer_without_a_request(narrow: None) -> None:
    """Given the end of an object from elsewhere, then nothing is asked for but the columns that are wanted."""
    rows = table()
    bucket = Bucket(rows)
    store: Any = bucket
    part = ParquetObject(store, "a", len(bucket.objects["a"]), footer=footer_of(bucket.objects["a"]))
    assert part.file.metadata.num_rows == ROWS
    assert bucket.asked == []
    assert part.read(["between"]).equals(rows.select(["between"]))
    assert len(bucket.asked) == 1
