"""Looking up stored rows in all of history: a month is looked through once for what was looked for before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from lakehouse import Lakehouse, purchase, refund
from refunds_lake.publishing.manifests import Tables
from refunds_lake.schema.id_hashes import hashed
from refunds_lake.spark.tasks import on_workers
from refunds_lake.tables import lookup, table_set
from refunds_lake.tables.lookup import Lookup
from refunds_lake.tables.month_search import Wanted
from refunds_lake.tables.table_set import TableSet, by_folder


def wanted(*ids: str) -> Any:
    return np.unique(hashed(pa.array(ids)).to_numpy())


def standing(lakehouse: Lakehouse, live: Tables) -> TableSet:
    """The tables as they are."""
    return TableSet(lakehouse.spark, lakehouse.base, "base/", live, by_folder(lakehouse.base.listing("base/")))


def test_only_months_that_were_not_looked_through_are_read(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a search for two ids, then one for either reads only months written since, and another search all of them."""
    asked: list[int] = []

    def counted(spark: Any, function: Any, tasks: Sequence[Any]) -> list[Any]:
        asked.append(len(tasks))
        return on_workers(spark, function, tasks)

    monkeypatch.setattr(lookup, "on_workers", counted)
    lakehouse.deliver("a.json", [purchase("p1", timestamp="2026-08-05T00:00:00Z"), purchase("p2"), refund("r1", "p1")])
    live = lakehouse.run().state.live
    before = standing(lakehouse, live)
    asked.clear()
    look = Lookup(lakehouse.spark, lakehouse.base, "base/_staging/test/")

    def found(tables: TableSet, sought: Wanted) -> list[str]:
        rows = look.find(tables, "purchase", sought).rows
        return [] if rows is None else sorted(row["id"] for row in rows.collect())

    assert found(before, Wanted(wanted("p1", "p2", "p9"))) == ["p1", "p2"]
    assert asked == [2]
    # What was found before serves, though there is more of it.
    assert found(before, Wanted(referred=wanted("p2"))) == ["p1", "p2"]
    assert found(before, Wanted()) == []
    assert asked == [2]
    assert found(before, Wanted(wanted("p3"))) == []
    assert asked == [2, 2]
    lakehouse.deliver("b.json", [purchase("p3", timestamp="2026-10-06T00:00:00Z")])
    live = lakehouse.run().state.live
    after = standing(lakehouse, live)
    asked.clear()
    assert found(after, Wanted(wanted("p3"))) == ["p3"]
    assert asked == [1]


@pytest.mark.parametrize("kept", ["own", "packed", "none"])
def test_rows_are_found_whatever_has_become_of_their_indexes(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    """Given months with indexes of their own, packed, packed in part or without any, then the same rows are found."""
    lakehouse.deliver("a.json", [purchase(f"p{n}", timestamp=f"2026-0{n}-05T00:00:00Z") for n in range(1, 5)])
    live = lakehouse.run().state.live
    if kept == "packed":
        monkeypatch.setattr(table_set, "MOST_INDEXED", 3)
        standing(lakehouse, live).pack_indexes()
        assert len(standing(lakehouse, live).packs("purchase")) == 1
        assert len(list(lakehouse.base.listing("base/_ids/"))) == 1
    lakehouse.deliver("b.json", [purchase("p5", timestamp="2026-05-05T00:00:00Z")])
    live = lakehouse.run().state.live
    if kept == "none":
        lakehouse.base.delete([each.key for each in lakehouse.base.listing("base/_ids/")])
    tables, look = standing(lakehouse, live), Lookup(lakehouse.spark, lakehouse.base, "base/_staging/test/")
    rows = look.find(tables, "purchase", Wanted(wanted("p2", "p4", "p5", "p9"))).rows
    assert rows is not None
    assert sorted(row["id"] for row in rows.collect()) == ["p2", "p4", "p5"]
