"""Stored rows by their ids, out of all of history, and staged records by theirs: found by hash, in Python workers.

Says what is looked for and keeps what was found in which month; how one month is looked through is for `search`. Hashes
preselect, so whoever takes the rows compares the ids.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import reduce

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from refunds_lake.raw.staging import STAGED, Piece
from refunds_lake.schema import id_hashes
from refunds_lake.schema.columns import KINDS, ddl
from refunds_lake.spark.tasks import on_workers
from refunds_lake.storage.objects import ObjectStore
from refunds_lake.tables.month_search import NONE, Hits, Ids, IdsOf, Pick, Search, Wanted
from refunds_lake.tables.table_set import TableSet


@dataclasses.dataclass(frozen=True)
class Found:
    """Rows of a table that were found, and their ids."""

    ids: Ids
    id_hashes: np.ndarray
    """Their hashes as staged records have them."""
    rows: DataFrame | None
    """The table's columns and month; None for no row."""


@dataclasses.dataclass(frozen=True)
class Picked:
    """Some staged transactions, and how many of each kind and month."""

    counts: Counter[tuple[str, str]]
    rows: DataFrame | None
    """Columns of `staging.STAGED`, and kind; None for no row."""


class Lookup:
    """Looks up stored rows for one run; a month that was looked through for the same ids is not read again."""

    def __init__(self, spark: SparkSession, store: ObjectStore, prefix: str) -> None:
        self._spark, self._store, self._prefix = spark, store, prefix
        self._earlier: list[tuple[str, Wanted, dict[str, Hits | None]]] = []

    def of_pieces(self, pieces: Iterable[Piece], broken: frozenset[int]) -> dict[str, Ids]:
        """Kind -> the ids of the staged transactions, but for those of broken files."""
        objects = _objects(pieces)
        found = on_workers(self._spark, IdsOf(self._store, broken, id_hashes.hashed), objects)
        return {
            kind: reduce(Ids.__or__, (ids for (of, _, _), ids in zip(objects, found, strict=True) if of == kind), Ids())
            for kind in KINDS
        }

    def pick(self, pieces: Iterable[Piece], broken: frozenset[int], id_hashes: np.ndarray) -> Picked:
        """The staged transactions with one of these hashes."""
        key, prefix = self._put(Wanted(id_hashes))
        counts: Counter[tuple[str, str]] = Counter()
        for each in on_workers(self._spark, Pick(self._store, broken, key, prefix), _objects(pieces)):
            counts += each
        rows = self._spark.read.schema(STAGED).parquet(self._store.uri(prefix)) if counts else None
        return Picked(counts, rows)

    def find(self, tables: TableSet, table: str, wanted: Wanted) -> Found:
        """The stored rows that have a wanted id or a wanted parent id, and perhaps others."""
        if not wanted:
            return Found(Ids(), NONE, None)
        stored = {month: tables.location(table, month) for month in sorted(tables.months(table))}
        places = {location: month for month, location in stored.items() if location is not None}
        hits: dict[str, Hits | None] = {}
        for of_table, earlier, known in self._earlier:
            if of_table == table and earlier.covers(wanted):
                hits.update({location: known[location] for location in places if location in known})
        hits.update(self._searched(table, wanted, {each: places[each] for each in places if each not in hits}))
        self._earlier.append((table, wanted, hits))
        found = [each for each in hits.values() if each is not None]
        return Found(
            reduce(Ids.__or__, (each.ids for each in found), Ids()),
            np.concatenate([NONE, *(each.id_hashes for each in found)]),
            self._frame(table, found),
        )

    def _searched(self, table: str, wanted: Wanted, months: Mapping[str, str]) -> dict[str, Hits | None]:
        if not months:
            return {}
        key, prefix = self._put(wanted)
        bucket = self._store.uri("")
        search = Search(self._store, table, key, prefix, id_hashes.hashed)
        tasks = [(month, location.removeprefix(bucket)) for location, month in months.items()]
        return dict(zip(months, on_workers(self._spark, search, tasks), strict=True))

    def _put(self, wanted: Wanted) -> tuple[str, str]:
        """Put what is looked for where the workers find it: its key, and a prefix for what they find."""
        body = wanted.to_bytes()
        digest = hashlib.sha256(body).hexdigest()[:32]
        self._store.put(f"{self._prefix}{digest}.npz", body)
        return f"{self._prefix}{digest}.npz", f"{self._prefix}{digest}/"

    def _frame(self, table: str, found: Iterable[Hits]) -> DataFrame | None:
        locations = [self._store.uri(each.key) for each in found]
        if not locations:
            return None
        return self._spark.read.schema(f"{ddl(table)}, month string").parquet(*locations)


def _objects(pieces: Iterable[Piece]) -> list[tuple[str, str, int]]:
    """Kind, key and bytes of each staged object of transactions."""
    return sorted({(piece.kind, piece.key, piece.size) for piece in pieces if piece.kind in KINDS})
