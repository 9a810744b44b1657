"""Finds stored rows by their ids in the whole history, and staged records by theirs: by hash, in Python workers.

Says what is looked for and keeps what was found in which month; how one month is looked through is for `search`. Hashes
preselect, so whoever takes the rows compares the ids.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable
from functools import partial, reduce

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from refunds_lake.raw.staging import STAGED, Piece, transactions_in
from refunds_lake.schema.columns import KINDS, ddl
from refunds_lake.spark.tasks import on_workers
from refunds_lake.storage.objects import ObjectStore
from refunds_lake.tables.month_search import Hits, Ids, Wanted, Written, ids_of, pick, search
from refunds_lake.tables.table_set import TableSet


@dataclasses.dataclass(frozen=True)
class Found:
    """Rows of a table that were found, and their ids."""

    ids: Ids
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
        """Return kind -> the ids of the staged transactions, except those of broken files."""
        objects = transactions_in(pieces)
        found = on_workers(self._spark, partial(ids_of, self._store, broken), objects)
        return {
            kind: reduce(Ids.__or__, (ids for at, ids in zip(objects, found, strict=True) if at.kind == kind), Ids())
            for kind in KINDS
        }

    def pick(self, pieces: Iterable[Piece], broken: frozenset[int], contested: np.ndarray) -> Picked:
        """Return the staged transactions whose ids have one of these hashes by kind."""
        key, prefix = self._put(Wanted(contested))
        counts: Counter[tuple[str, str]] = Counter()
        task = partial(pick, self._store, broken, key, prefix)
        for each in on_workers(self._spark, task, transactions_in(pieces)):
            counts += each
        rows = self._spark.read.schema(STAGED).parquet(self._store.uri(prefix)) if counts else None
        return Picked(counts, rows)

    def find(self, tables: TableSet, table: str, wanted: Wanted) -> Found:
        """Return the stored rows that have a wanted id or parent id, and possibly others."""
        if not wanted:
            return Found(Ids(), None)
        places = {each.prefix: each for each in tables.places(table)}
        hits: dict[str, Hits | None] = {}
        for of_table, earlier, known in self._earlier:
            if of_table == table and earlier.covers(wanted):
                hits.update({prefix: known[prefix] for prefix in places if prefix in known})
        hits.update(self._searched(tables, table, wanted, [places[each] for each in places if each not in hits]))
        self._earlier.append((table, wanted, hits))
        found = [each for each in hits.values() if each is not None]
        locations, reader = map(self._store.uri, (each.key for each in found)), self._spark.read
        rows = reader.schema(f"{ddl(table)}, month string").parquet(*locations) if found else None
        return Found(reduce(Ids.__or__, (each.ids for each in found), Ids()), rows)

    def _searched(self, tables: TableSet, table: str, wanted: Wanted, places: list[Written]) -> dict[str, Hits | None]:
        if not places:
            return {}
        task, found = partial(search, self._store, table, *self._put(wanted)), dict[str, Hits | None]()
        own = [each for each in places if tables.indexes.keys() >= {*each.indexes}]
        others = [each for each in places if each not in own]
        where: list[tuple[str | None, list[Written]]] = [(None, [each]) for each in own]
        where += [(key, others) for key in tables.packs(table) if others]
        while len(found) < len(places):
            for some in on_workers(self._spark, task, where):
                found.update(some)
            where = [(None, [each]) for each in places if each.prefix not in found]
        return found

    def _put(self, wanted: Wanted) -> tuple[str, str]:
        """Put the wanted hashes where the workers find them; return their key, and a prefix for the results."""
        body = wanted.to_bytes()
        digest = hashlib.sha256(body).hexdigest()[:32]
        self._store.put(f"{self._prefix}{digest}.npz", body)
        return f"{self._prefix}{digest}.npz", f"{self._prefix}{digest}/"
