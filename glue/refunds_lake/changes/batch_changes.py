"""What a batch changes in the tables: new rows, replaced rows, and the refunds whose detail must be made again.

Stored rows are found by `lookup`, history itself is never joined. Everything is computed from the published tables and
the batch; what is written goes to the staging prefix, for `month_files` to make months of.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial, reduce
from typing import Final

import numpy as np
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from refunds_lake.changes.refund_detail import details
from refunds_lake.changes.versions import VERSIONED, outcomes, removed, winners
from refunds_lake.raw.batch import Batch
from refunds_lake.raw.staging import Piece
from refunds_lake.schema.columns import KINDS, UNREPEATED
from refunds_lake.spark.frames import BROADCAST_HASHES, BROADCAST_ROWS, few, hash_of
from refunds_lake.storage.objects import ObjectStore, StoredObject, parquet_files
from refunds_lake.tables.lookup import Found, Lookup, Picked
from refunds_lake.tables.month_files import ADDED, DECIDED_BY, REMOVED, REPLACED, count_rows
from refunds_lake.tables.month_search import REFERRED, Ids, Wanted
from refunds_lake.tables.table_set import TableSet

_CONCURRENT_READS: Final = 8
_STAGING: Final = {
    "compression": "snappy",
    **{f"parquet.enable.dictionary#{name}": "false" for name in (*UNREPEATED, "customer_id")},
}
"""Details are staged in many small files: even customers hardly come twice in one."""


@dataclasses.dataclass(frozen=True)
class Details:
    """What changes in refund_detail."""

    pieces: tuple[Piece, ...]
    """The details that were made: those of new refunds, and of others that they replace."""
    rows: Mapping[str, int]
    """Touched month -> how many rows it has afterwards."""


class Changes:
    """The changes of one batch against the published tables; each step is computed when it is first asked for."""

    def __init__(self, tables: TableSet, batch: Batch) -> None:
        self._tables = tables
        self._batch = batch
        self.lookup = Lookup(tables.spark, tables.store, f"{batch.staging}found/")
        self._origins: list[DataFrame] = []

    def _keep(self, frame: DataFrame) -> DataFrame:
        """Compute a frame once, and cut it off from how it came about: plans that build on it stay small.

        The original is held on to, Spark complains about its metrics otherwise.
        """
        self._origins.append(frame)
        return frame.localCheckpoint(eager=False)

    # -- ids that come more than once or are stored already

    def _few(self, frame: DataFrame) -> DataFrame:
        return few(frame, self._batch.read)

    @cached_property
    def _ids(self) -> Mapping[str, Ids]:
        """Kind -> the ids in the batch; looked up nowhere while the tables are empty."""
        is_first = not any(self._tables.months(kind) for kind in KINDS)
        if is_first:
            return {kind: Ids() for kind in KINDS}
        return self.lookup.of_pieces(self._batch.pieces, self._batch.broken)

    @cached_property
    def _known_voids(self) -> Found:
        return self.lookup.find(self._tables, "void", Wanted(self._ids["void"].ids))

    @cached_property
    def _concerned_refunds(self) -> Found:
        """Stored refunds that the batch has versions of, or of whose purchase or void it says something."""
        voids = self._ids["void"].parents, self._known_voids.ids.parents
        concerning = reduce(np.union1d, voids, np.union1d(self._ids["purchase"].ids, self._ids["refund"].ids))
        return self.lookup.find(self._tables, "refund", Wanted(concerning, concerning))

    @cached_property
    def _concerned_purchases(self) -> Found:
        """Stored purchases that the batch has versions of, or that are parents of refunds which it concerns."""
        parents = np.union1d(self._ids["refund"].parents, self._concerned_refunds.ids.parents)
        return self.lookup.find(self._tables, "purchase", Wanted(self._ids["purchase"].ids, referred=parents))

    @cached_property
    def _concerning_voids(self) -> Found:
        """Stored voids of refunds that the batch concerns, or of their purchases."""
        refunds = self._ids["refund"] | self._concerned_refunds.ids
        return self.lookup.find(self._tables, "void", Wanted(parents=np.union1d(refunds.ids, refunds.parents)))

    @cached_property
    def _known(self) -> Mapping[str, Found]:
        """Kind -> stored rows whose ids are in the batch, and perhaps others."""
        return {"void": self._known_voids, "refund": self._concerned_refunds, "purchase": self._concerned_purchases}

    # -- versions

    @cached_property
    def _picked(self) -> Picked:
        """The batch's records whose ids several versions compete for, and perhaps others."""
        contested = np.concatenate([self._batch.repeated, *(each.id_hashes for each in self._known.values())])
        if not len(contested):
            return Picked(Counter(), None)
        return self.lookup.pick(self._batch.pieces, self._batch.broken, contested)

    @cached_property
    def _candidates(self) -> DataFrame | None:
        """These records as VERSIONED columns."""
        return None if self._picked.rows is None else self._picked.rows.select(*VERSIONED)

    @cached_property
    def _outcomes(self) -> DataFrame | None:
        if self._candidates is None:
            return None
        candidates = self._candidates
        known = [_versioned(kind, each.rows) for kind, each in self._known.items() if each.rows is not None]
        stored = candidates.limit(0)
        if known:
            ids = self._few(candidates.select("kind", "id"))
            stored = reduce(DataFrame.unionByName, known).join(ids, on=["kind", "id"], how="left_semi")
        return self._keep(outcomes(candidates, stored.select(*VERSIONED)))

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

    @cached_property
    def duplicate(self) -> int:
        """Records with the content that stands already."""
        return sum(row["duplicate"] for row in self._tally)

    @cached_property
    def superseded(self) -> int:
        """Versions, new or stored, that a later one beats."""
        return sum(row["superseded"] for row in self._tally)

    # -- the tables of transactions

    def transactions(self, kind: str) -> Mapping[str, int]:
        """Touched month of purchase, void or refund -> how many rows it has afterwards."""
        picked = {month: count for (of_kind, month), count in self._picked.counts.items() if of_kind == kind}
        alone = self._batch.by_month(kind)
        alone.subtract(picked)
        rows = Counter({month: count for month, count in alone.items() if count})
        for entry in self._tally:
            if entry["kind"] == kind and entry["is_changed"]:
                rows[entry["to"]] += entry["ids"]
                if entry["away"] is not None:
                    rows[entry["away"]] -= entry["ids"]
        return {month: self._tables.rows(kind, month) + count for month, count in rows.items()}

    def write_decisions(self, uri: str) -> bool:
        """Write what `month_files` must know to write the months: which records do not count, and what comes instead.

        Says whether there was anything to decide.
        """
        if self._candidates is None or self._outcomes is None:
            return False
        changed = self._outcomes.where("is_changed")
        going = [(REPLACED, self._candidates), (REMOVED, removed(changed))]
        decided = [(ADDED, winners(changed)), *((what, rows.select("id", *DECIDED_BY)) for what, rows in going)]
        named = (rows.withColumn("decision", F.lit(what)) for what, rows in decided)
        decisions = reduce(partial(DataFrame.unionByName, allowMissingColumns=True), named)
        parts = 1 if self._batch.read <= BROADCAST_ROWS else 8
        writing = decisions.repartition(parts, *DECIDED_BY).write.mode("overwrite")
        writing.partitionBy(*DECIDED_BY).parquet(uri)
        return True

    def _replaced(self, kind: str) -> int:
        return sum(row["ids"] for row in self._tally if row["kind"] == kind and row["is_changed"] and row["away"])

    def _arriving(self, kind: str) -> DataFrame:
        """The rows of a kind that are new in their month."""
        new = self._batch.judged.where(F.col("kind") == kind).select(*VERSIONED, "id_hash")
        if self._picked.rows is None or self._outcomes is None:
            return new.select(*VERSIONED)
        changed = self._outcomes.where(F.col("is_changed") & (F.col("kind") == kind))
        picked = few(self._picked.rows.select("id_hash"), sum(self._picked.counts.values()), BROADCAST_HASHES)
        alone = new.join(picked, on="id_hash", how="left_anti").select(*VERSIONED)
        return alone.unionByName(winners(changed))

    def _leaving(self, kind: str) -> DataFrame:
        assert self._outcomes is not None
        return removed(self._outcomes.where(F.col("is_changed") & (F.col("kind") == kind)))

    # -- the derived table

    def detail(self) -> Details:
        """What changes in refund_detail: details of new and replaced refunds, and of stored ones that a batch concerns."""
        store, prefix = self._tables.store, f"{self._batch.staging}detail/"
        made = self._changed_details().write.mode("overwrite").options(**_STAGING)
        made.partitionBy("month").parquet(store.uri(prefix))
        with ThreadPoolExecutor(_CONCURRENT_READS) as pool:
            pieces = tuple(pool.map(partial(_piece, store), parquet_files(store.listing(prefix))))
        refunds = self.transactions("refund")
        touched = {piece.month for piece in pieces} | set(refunds)
        return Details(pieces, {month: refunds.get(month, self._tables.rows("refund", month)) for month in touched})

    def _changed_details(self) -> DataFrame:
        new = self._arriving("refund").select("id", "parent_id", "amount", "month")
        if self._concerned_refunds.rows is None:
            return details(new, self._parents(), self._voids())
        stored = self._unchanged("refund", self._concerned_refunds.rows).select("id", "parent_id", "amount", "month")
        again = details(stored, self._parents(), self._voids())
        months = [row["month"] for row in stored.select("month").distinct().collect()]
        before = self._tables.read("refund_detail", months)
        ids = again.select("refund_id")
        differing = again.exceptAll(before.join(self._few(ids), on="refund_id", how="left_semi").select(*again.columns))
        return details(new, self._parents(), self._voids()).unionByName(differing)

    def _unchanged(self, kind: str, stored: DataFrame) -> DataFrame:
        """Stored rows without those that the batch replaces."""
        if not self._replaced(kind):
            return stored
        return stored.join(self._leaving(kind).select("id"), on="id", how="left_anti")

    def _parents(self) -> DataFrame:
        """The purchases of refunds of the batch, or of stored ones that it concerns, and perhaps others."""
        columns = (*REFERRED, "month")
        new = self._arriving("purchase").select(*columns)
        if self._concerned_purchases.rows is not None:
            return new.unionByName(self._unchanged("purchase", self._concerned_purchases.rows).select(*columns))
        return self._with_refunds(new) if self._concerned_refunds.rows is None else new

    def _with_refunds(self, purchases: DataFrame) -> DataFrame:
        """The purchases that refunds of the batch point at, and perhaps others: what need not be sorted for a join with them."""
        if self._batch.of_kind("refund") > BROADCAST_HASHES:
            return purchases
        refunds = self._batch.judged.where(F.col("kind") == "refund")
        wanted = refunds.select(hash_of("parent_id").alias("id_hash"))
        hashed = purchases.withColumn("id_hash", hash_of("id"))
        return hashed.join(F.broadcast(wanted), on="id_hash", how="left_semi").drop("id_hash")

    def _voids(self) -> DataFrame:
        """parent_id of the voids that may concern the refunds of the batch, or stored ones that it concerns; each once."""
        voids = self._arriving("void").select("parent_id")
        stored = self._concerning_voids
        if stored.rows is not None:
            voids = voids.union(self._unchanged("void", stored.rows).select("parent_id"))
        return few(voids.distinct(), self._batch.of_kind("void") + len(stored.id_hashes))


def _piece(store: ObjectStore, staged: StoredObject) -> Piece:
    """A file of details, as Spark has staged it."""
    month = staged.key.rpartition("/")[0].rpartition("month=")[2]
    rows = count_rows(store, staged.key, staged.size)
    return Piece("refund_detail", month, staged.key, staged.size, 0, rows)


def _versioned(kind: str, rows: DataFrame) -> DataFrame:
    """Stored rows of a table as VERSIONED columns."""
    missing = [F.lit(None).cast("string").alias(name) for name in VERSIONED if name not in {*rows.columns, "kind"}]
    return rows.select("*", F.lit(kind).alias("kind"), *missing).select(*VERSIONED)
