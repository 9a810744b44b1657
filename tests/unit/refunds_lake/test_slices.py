"""Batches of a Parquet file are slices of greater columns, which several versions of Arrow do not treat like others.

Glue has an Arrow of its own: run this with the oldest one that setup.cfg allows.
"""

from __future__ import annotations

import io
import itertools
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import outcomes, staged
from refunds_lake.raw import rules
from refunds_lake.schema.id_hashes import hashed

CELLS = ["", "12", "1.5", None, "x", "2026-03-01T00:00:00Z", "2026-02-30T00:00:00", "2026-03-01T00:00:00+01:00", ""]
SLICES = [(first, size) for first, size in itertools.product(range(len(CELLS)), range(3)) if first + size <= len(CELLS)]


@pytest.mark.parametrize("what", [rules.amounts, rules.moments, rules._filled], ids=lambda what: what.__name__)
def test_a_slice_is_understood_like_a_column_of_its_own(what: Any) -> None:
    """Given some texts out of the middle of a column, cast or not, when they become values, then their surroundings do not
    matter.
    """
    column = pa.array(CELLS)
    for first, size in SLICES:
        cut = column.slice(first, size)
        for text in (cut, cut.cast(pa.binary()).view(pa.string()), cut.cast(pa.large_binary()).cast(pa.string())):
            found = what(text)
            found.validate(full=True)
            assert found.to_pylist() == what(pa.array(CELLS[first : first + size], pa.string())).to_pylist()


def test_hashes_of_a_slice_are_those_of_its_ids() -> None:
    """Given ids out of the middle of a column, when they are hashed, then each has the hash that it has alone."""
    column = pa.array(["a", "bb", "a longer one", "d", "ee"])
    for first in range(len(column)):
        alone = [hashed(pa.array([each]))[0] for each in column.slice(first).to_pylist()]
        assert hashed(column.slice(first)).to_pylist() == [each.as_py() for each in alone]


def test_a_dictionary_beside_other_columns_does_not_change_them() -> None:
    """Given a Parquet file in which one column is a dictionary, when Arrow cuts the others where it ends, then their rows stay."""
    rows = [
        {
            "id": f"id-{number}",
            "type": ["purchase", "refund", ""][number % 3],
            "timestamp": ["2026-03-01T00:00:00Z", "", "2026-02-30T00:00:00", "2026-03-01T00:00:00"][number % 4],
            "amount": ["1.50", "", "ten", "0007"][number // 3 % 4],
            "customer_id": "" if number % 5 == 0 else f"customer {number}",
            "merchant_id": f"merchant {number % 2}",
            "parent_id": "" if number % 3 == 0 else f"parent {number}",
        }
        for number in range(100)
    ]
    table = pa.Table.from_pylist(rows)

    def read(table: pa.Table) -> list[tuple[Any, ...]]:
        body = io.BytesIO()
        pq.write_table(table, body, row_group_size=5)
        found, problems = staged({"a.parquet": body.getvalue()})
        assert not problems
        return outcomes(found)

    place = table.schema.get_field_index("type")
    assert read(table.set_column(place, "type", table["type"].dictionary_encode())) == read(table)
