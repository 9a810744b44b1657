"""What a batch changes in the tables: new rows, replaced rows, and the refunds that need a new detail.

Stored rows are found by `lookup`, history itself is never joined. Everything is computed from the published tables and
the batch; what is written goes to the staging prefix, for `month_files` to make months of.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial, reduce
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from refunds_lake.changes.refund_detail import details
from refunds_lake.changes.versions import VERSIONED, outcomes, removed, winners
from refunds_lake.raw.batch import Batch
from refunds_lake.raw.staging import Piece
from refunds_lake.schema.columns import KINDS, UNREPEATED
from refunds_lake.schema.id_hashes import of_kind
from refunds_lake.spark.frames import BROADCAST_HASHES, BROADCAST_ROWS, few
from refunds_lake.storage.objects import ObjectStore, StoredObject, parquet_files
from refunds_lake.storage.parquet_objects import AT_ONCE, ParquetObject, parquet_bytes
from refunds_lake.tables.lookup import Found, Lookup, Picked
from refunds_lake.tables.month_files import ADDED, DECIDED_BY, REMOVED, REPLACED, Decide, decided, made_again, undecided
from refunds_lake.tables.month_search import REFERRED, Ids, Wanted
from refunds_lake.tables.table_set import TableSet

LAST_FILE: Final = 2**31 - 1
_STAGING: Final = {
    "compression": "snappy",
    **{f"parquet.enable.dictionary#{name}": "false" for name in (*UNREPEATED, "customer_id")},
}
"""Details are staged in many small files: even customers hardly come twice in one."""


@dataclasses.dataclass(frozen=True)
class TableChange:
    """What changes in one table."""

    table: str
    rows: Mapping[str, int]
    """Touched month -> how many rows it has afterwards."""
    pieces: tuple[Piece, ...]
    """The rows that come."""
    decide: Decide
    """What goes, and what comes instead."""


class Changes:
    """The changes of one batch against the published tables; each step is computed when it is first used."""

    def __init__(self, tables: TableSet, batch: Batch) -> None:
        self._tables = tables
        self._batch = batch
        self.lookup = Lookup(tables.spark, tables.store, f"{batch.staging}found/")

    # -- ids that come more than once or are stored already

    @cached_property
    def _ids(self) -> Mapping[str, Ids]:
        """Kind -> the ids in the batch; not looked up while the tables are empty."""
        is_first = not any(self._tables.months(kind) for kind in KINDS)
        if is_first:
            return {kind: Ids() for kind in KINDS}
        return self.lookup.of_pieces(self._batch.pieces, self._batch.broken)

    @cached_property
    def _known(self) -> Mapping[str, Found]:
        """Kind -> stored rows whose ids are in the batch, and possibly others.

        Among them are all refunds of whose purchase or void the batch says something, and the purchases of these.
        """
        ids, find = self._ids, partial(self.lookup.find, self._tables)
        voids = find("void", Wanted(ids["void"].ids))
        voided = np.union1d(ids["void"].parents, voids.ids.parents)
        concerning = reduce(np.union1d, (ids["purchase"].ids, ids["refund"].ids, voided))
        refunds = find("refund", Wanted(concerning, concerning))
        parents = np.union1d(ids["refund"].parents, refunds.ids.parents)
        purchases = find("purchase", Wanted(ids["purchase"].ids, referred=parents))
        return {"void": voids, "refund": refunds, "purchase": purchases}

    @cached_property
    def _concerning_voids(self) -> Found:
        """Stored voids of refunds that the batch affects, or of their purchases."""
        refunds = self._ids["refund"] | self._known["refund"].ids
        return self.lookup.find(self._tables, "void", Wanted(parents=np.union1d(refunds.ids, refunds.parents)))

    # -- versions

    @cached_property
    def _picked(self) -> Picked:
        """The batch's records of ids with several versions, and possibly others."""
        known = [of_kind(kind, each.ids.ids) for kind, each in self._known.items()]
        contested = np.concatenate([self._batch.repeated, *known])
        if not len(contested):
            return Picked(Counter(), None)
        return self.lookup.pick(self._batch.pieces, self._batch.broken, contested)

    @cached_property
    def _outcomes(self) -> DataFrame | None:
        if self._picked.rows is None:
            return None
        candidates = self._picked.rows.select(*VERSIONED)
        # A stored row's file and line are not on record. A new delivery of its object is later; of lines that are replayed,
        # most were corrected by a later one of the same object.
        file = LAST_FILE if self._batch.is_replay else None
        known = [_versioned(kind, each.rows, file) for kind, each in self._known.items() if each.rows is not None]
        stored = candidates.limit(0)
        if known:
            ids = few(candidates.select("kind", "id"), self._batch.read)
            stored = reduce(DataFrame.unionByName, known).join(ids, on=["kind", "id"], how="left_semi")
        self._origin = outcomes(candidates, stored.select(*VERSIONED))  # Spark complains of its metrics if it is gone.
        return self._origin.localCheckpoint(eager=False)  # Plans that build on it stay small.

    @cached_property
    def _tally(self) -> list[Row]:
        """The outcomes by kind, month of the winner and of the stored row, and whether the row changes."""
        if self._outcomes is None:
            return []
        return (
            self._outcomes.groupBy(
                "kind", F.col("winner.month").alias("to"), F.col("stored.month").alias("away"), "is_changed"
            )
            .agg(F.count("*").alias("ids"), *(F.sum(name).alias(name) for name in ("duplicate", "superseded", "kept")))
            .collect()
        )

    def count(self, what: str) -> int:
        """Return how many of the batch's records are `duplicate`, or how many versions, new or stored, are `superseded`."""
        return sum(row[what] for row in self._tally)

    # -- the tables of transactions

    def transactions(self) -> Iterator[TableChange]:
        """Yield what changes in the tables of purchases, voids and refunds."""
        for kind in KINDS:
            if self._rows[kind]:
                rows = {month: self._tables.rows(kind, month) + more for month, more in self._rows[kind].items()}
                yield TableChange(kind, rows, self._batch.pieces_of(kind), self._decide)

    @cached_property
    def _rows(self) -> Mapping[str, Counter[str]]:
        """Kind -> changed month -> the number of rows by which it grows."""
        rows = {kind: self._batch.by_month(kind) for kind in KINDS}
        for (kind, month), picked in self._picked.counts.items():
            rows[kind][month] -= picked
        grown = {
            kind: Counter({month: more for month, more in of_kind.items() if more}) for kind, of_kind in rows.items()
        }
        for entry in self._tally:
            if entry["is_changed"]:
                grown[entry["kind"]][entry["to"]] += entry["ids"]
                if entry["away"] is not None:
                    grown[entry["kind"]][entry["away"]] -= entry["ids"]
        return grown

    @cached_property
    def _decide(self) -> Decide:
        """Which staged and stored transactions are dropped, and what replaces them, for the tasks that write the months."""
        if self._picked.rows is None or self._outcomes is None:
            return undecided
        prefix = f"{self._batch.staging}decided/"
        changed = self._outcomes.where("is_changed")
        going = [(REPLACED, self._picked.rows), (REMOVED, removed(changed))]
        come = [(ADDED, winners(changed)), *((what, rows.select("id", *DECIDED_BY)) for what, rows in going)]
        named = (rows.withColumn("decision", F.lit(what)) for what, rows in come)
        decisions = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), named)
        one = (1,) if self._batch.read <= BROADCAST_ROWS else ()
        writing = decisions.repartition(*one, *DECIDED_BY).write.mode("overwrite")
        writing.partitionBy(*DECIDED_BY).parquet(self._tables.store.uri(prefix))
        return partial(decided, [each.key for each in parquet_files(self._tables.store.listing(prefix))])

    def _arriving(self, kind: str) -> DataFrame:
        """Return the rows of a kind that are new in their month."""
        new = self._batch.judged.where(F.col("kind") == kind).select(*VERSIONED, "id_hash")
        if self._picked.rows is None or self._outcomes is None:
            return new.select(*VERSIONED)
        changed = self._outcomes.where(F.col("is_changed") & (F.col("kind") == kind))
        picked = self._picked.rows.where(F.col("kind") == kind).select("id_hash")
        picked = few(picked, self._picked.counts.total(), BROADCAST_HASHES)
        alone = new.join(picked, on="id_hash", how="left_anti").select(*VERSIONED)
        return alone.unionByName(winners(changed))

    # -- the derived table

    def detail(self) -> TableChange:
        """Return what changes in refund_detail: details of new and replaced refunds, and of stored ones that a batch affects."""
        store, prefix = self._tables.store, f"{self._batch.staging}detail/"
        made = self._changed_details().write.mode("overwrite").options(**_STAGING)
        made.partitionBy("month").parquet(store.uri(prefix))
        ids = ["refund_id"] if self._tables.months("refund_detail") else []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [*pool.map(partial(_piece, store, ids), parquet_files(store.listing(prefix)))]
        pieces, going = tuple(piece for piece, _ in found), f"{prefix}ids.parquet"
        if ids:
            none = pa.table({name: pa.array([], pa.string()) for name in ids})
            store.put(going, parquet_bytes(pa.concat_tables([none, *(rows.cast(none.schema) for _, rows in found)])))
        refunds = self._rows["refund"]
        touched = {piece.month for piece in pieces} | set(refunds)
        rows = {month: self._tables.rows("refund", month) + refunds[month] for month in touched}
        return TableChange("refund_detail", rows, pieces, partial(made_again, going))

    def _changed_details(self) -> DataFrame:
        columns, known = ("id", "parent_id", "amount", "month"), self._known["refund"].rows
        made = details(self._arriving("refund").select(*columns), self._parents(), self._voids())
        if known is None:
            return made
        stored = self._unchanged("refund", known).select(*columns)
        again = details(stored, self._parents(), self._voids())
        ids = few(again.select("refund_id"), self._batch.read)
        months = [row["month"] for row in stored.select("month").distinct().collect()]
        before = self._tables.read("refund_detail", months).join(ids, on="refund_id", how="left_semi")
        return made.unionByName(again.exceptAll(before.select(*again.columns)))

    def _unchanged(self, kind: str, stored: DataFrame) -> DataFrame:
        """Return the stored rows without those that the batch replaces."""
        is_any_replaced = any(row["kind"] == kind and row["is_changed"] and row["away"] for row in self._tally)
        if not is_any_replaced or self._outcomes is None:
            return stored
        leaving = removed(self._outcomes.where(F.col("is_changed") & (F.col("kind") == kind)))
        return stored.join(leaving.select("id"), on="id", how="left_anti")

    def _parents(self) -> DataFrame:
        """Return the purchases of refunds of the batch, or of stored ones that it affects, and possibly others."""
        columns = (*REFERRED, "month")
        new = self._arriving("purchase").select(*columns)
        if self._known["purchase"].rows is not None:
            return new.unionByName(self._unchanged("purchase", self._known["purchase"].rows).select(*columns))
        return self._with_refunds(new) if self._known["refund"].rows is None else new

    def _with_refunds(self, purchases: DataFrame) -> DataFrame:
        """Return the purchases that refunds of the batch point to, and possibly others: the rest need not be sorted for the join."""
        if self._batch.of_kind("refund") > BROADCAST_HASHES:
            return purchases
        refunds = self._batch.judged.where(F.col("kind") == "refund")
        wanted = refunds.select(F.xxhash64("parent_id").alias("id_hash"))
        hashed = purchases.withColumn("id_hash", F.xxhash64("id"))
        return hashed.join(F.broadcast(wanted), on="id_hash", how="left_semi").drop("id_hash")

    def _voids(self) -> DataFrame:
        """Return parent_id of the voids that may affect refunds of the batch, or stored ones that it affects; each once."""
        voids = self._arriving("void").select("parent_id")
        stored = self._concerning_voids
        if stored.rows is not None:
            voids = voids.union(self._unchanged("void", stored.rows).select("parent_id"))
        return few(voids.distinct(), self._batch.of_kind("void") + len(stored.ids.ids))


def _piece(store: ObjectStore, columns: Sequence[str], staged: StoredObject) -> tuple[Piece, pa.Table]:
    """Return a file of details that Spark has staged, and some columns of it."""
    month = staged.key.rpartition("/")[0].rpartition("month=")[2]
    part = ParquetObject(store, staged.key, staged.size)
    return Piece("refund_detail", month, staged.key, staged.size, None, part.file.metadata.num_rows), part.read(columns)


def _versioned(kind: str, rows: DataFrame, file: int | None) -> DataFrame:
    """Return the stored rows of a table as VERSIONED columns, all from one file."""
    known = {"kind": F.lit(kind), "file": F.lit(file).cast("int"), "line_number": F.lit(None).cast("long")}
    missing = {name: F.lit(None).cast("string") for name in VERSIONED if name not in rows.columns}
    return rows.withColumns({**missing, **known}).select(*VERSIONED)
