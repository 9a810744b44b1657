"""What a batch changes in the tables: new rows, replaced rows, and the refunds whose detail must be made again.

Looks into history through narrow columns only (ids and parent ids); full rows are read from the few months that hold
them. Everything is computed from the published tables and the batch, before anything is written.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping
from functools import cached_property, reduce

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from refunds_lake.batch import Batch
from refunds_lake.columns import KINDS, names
from refunds_lake.detail import details
from refunds_lake.frames import BROADCAST_HASHES, BROADCAST_ROWS, few, hash_of
from refunds_lake.month_files import ADDED, DECIDED_BY, REMOVED, REPLACED
from refunds_lake.tables import TableSet
from refunds_lake.versions import VERSIONED, outcomes, removed, winners


@dataclasses.dataclass(frozen=True)
class Change:
    """New content of a table that is not one of transactions, month by month: rows that leave, rows that come, how many."""

    arriving: DataFrame
    leaving: DataFrame | None
    """Keys, under the table's column names, of stored rows that go (a replaced row arrives again); None for no rows."""
    rows: Mapping[str, int]
    """Touched month -> how many rows it has afterwards."""


class Changes:
    """The changes of one batch against the published tables; each step is computed when it is first asked for."""

    def __init__(self, tables: TableSet, batch: Batch) -> None:
        self._tables = tables
        self._batch = batch
        self._origins: list[DataFrame] = []

    def _keep(self, frame: DataFrame) -> DataFrame:
        """Compute a frame once, and cut it off from how it came about: plans that build on it stay small.

        The original is held on to, Spark complains about its metrics otherwise.
        """
        self._origins.append(frame)
        return frame.localCheckpoint(eager=False)

    # -- ids that come more than once or are stored already

    @property
    def _accepted(self) -> DataFrame:
        return self._batch.judged.where(F.col("kind").isin(*KINDS))

    def _ids_of(self, kind: str) -> DataFrame:
        return self._accepted.where(F.col("kind") == kind).select("id", "parent_id")

    def _few(self, frame: DataFrame) -> DataFrame:
        return few(frame, self._batch.read)

    def _stored_rows(self, table: str, hits: DataFrame) -> DataFrame:
        """Full rows, as VERSIONED columns, of stored ids (id, month): read from the months that hold them."""
        months = [row["month"] for row in hits.select("month").distinct().collect()]
        rows = self._tables.read(table, months).join(self._few(hits.select("id")), on="id", how="left_semi")
        missing = [F.lit(None).cast("string").alias(name) for name in VERSIONED if name not in {*rows.columns, "kind"}]
        return rows.select("*", F.lit(table).alias("kind"), *missing).select(*VERSIONED)

    @cached_property
    def _known_voids(self) -> DataFrame | None:
        return self._known("void", self._ids_of("void").select("id"))

    @cached_property
    def _refund_hits(self) -> DataFrame | None:
        """Stored refunds that the batch concerns: id, parent_id, month, is_known (the batch has a version of it)."""
        if not self._tables.months("refund"):
            return None
        touched = self._ids_of("purchase").select("id").union(self._ids_of("void").select("parent_id"))
        if self._known_voids is not None:
            touched = touched.union(self._known_voids.select("parent_id"))
        ids = self._ids_of("refund").select("id", F.lit(True).alias("is_known")).distinct()
        parents = touched.select(F.col("id").alias("parent_id"), F.lit(True).alias("is_parent")).distinct()
        voided = touched.select("id", F.lit(True).alias("is_voided")).distinct()
        return self._keep(
            self._tables.read("refund")
            .select("id", "parent_id", "month")
            .join(self._few(ids), on="id", how="left")
            .join(self._few(parents), on="parent_id", how="left")
            .join(self._few(voided), on="id", how="left")
            .where("is_known or is_parent or is_voided")
            .select("id", "parent_id", "month", F.coalesce("is_known", F.lit(False)).alias("is_known"))
        )

    @cached_property
    def _concerned_refunds(self) -> DataFrame | None:
        """The stored refunds of `_refund_hits` in full."""
        if self._refund_hits is None:
            return None
        return self._keep(self._stored_rows("refund", self._refund_hits))

    @cached_property
    def _concerned_purchases(self) -> DataFrame | None:
        """Stored purchases that the batch has versions of, or that are parents of refunds which it concerns."""
        ids = self._ids_of("purchase").select("id").union(self._ids_of("refund").select("parent_id"))
        if self._refund_hits is not None:
            ids = ids.union(self._refund_hits.select("parent_id"))
        return self._known("purchase", ids)

    def _known(self, table: str, ids: DataFrame) -> DataFrame | None:
        if not self._tables.months(table):
            return None
        stored = self._tables.read(table).select("id", "month", hash_of("id").alias("hash"))
        hits = self._keep(stored.join(self._few(ids.select(hash_of("id").alias("hash"))), on="hash", how="left_semi"))
        return self._keep(self._stored_rows(table, hits))

    @cached_property
    def _known_rows(self) -> list[DataFrame]:
        """Stored rows whose ids are in the batch, and perhaps others: `outcomes` meets no version of those."""
        found = (self._known_voids, self._concerned_refunds, self._concerned_purchases)
        return [frame for frame in found if frame is not None]

    # -- versions

    @cached_property
    def _contested(self) -> DataFrame | None:
        """The id_hash of all ids that several versions compete for (perhaps of others too), or None."""
        frames = [self._batch.repeated] if self._batch.repeated is not None else []
        for rows in self._known_rows:
            known = self._few(rows.select("kind", "id"))
            frames.append(self._accepted.join(known, on=["kind", "id"], how="left_semi").select("id_hash"))
        if not frames:
            return None
        contested = self._keep(reduce(DataFrame.union, frames).distinct())
        found = contested.count()
        if not found:
            return None
        return few(contested, found, BROADCAST_HASHES)

    @cached_property
    def _candidates(self) -> DataFrame | None:
        """The batch's records whose ids several versions compete for, as VERSIONED columns."""
        if self._contested is None:
            return None
        found = self._batch.transactions().join(self._contested, on="id_hash", how="left_semi")
        return self._keep(found.select(*VERSIONED))

    @cached_property
    def _outcomes(self) -> DataFrame | None:
        if self._candidates is None:
            return None
        candidates = self._candidates
        stored = candidates.limit(0)
        if self._known_rows:
            ids = self._few(candidates.select("kind", "id"))
            stored = reduce(DataFrame.unionByName, self._known_rows).join(ids, on=["kind", "id"], how="left_semi")
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
    def _alone(self) -> Counter[tuple[str, str]]:
        """(kind, month) -> records whose id comes once and is new."""
        alone = self._batch.transactions_by_month()
        if self._candidates is not None:
            rows = self._candidates.groupBy("kind", "month").count().collect()
            alone.subtract({(row["kind"], row["month"]): row["count"] for row in rows})
        return alone

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
        rows: Counter[str] = Counter()
        for (of_kind, month), count in self._alone.items():
            if of_kind == kind and count:
                rows[month] += count
        for entry in self._tally:
            if entry["kind"] == kind and entry["is_changed"]:
                rows[entry["to"]] += entry["ids"]
                if entry["away"] is not None:
                    rows[entry["away"]] -= entry["ids"]
        touched = set(rows)
        return {month: self._tables.rows(kind, month) + rows[month] for month in touched}

    def write_decisions(self, uri: str) -> bool:
        """Write what `month_files` must know to write the months: which records do not count, and what comes instead.

        Says whether there was anything to decide.
        """
        if self._candidates is None or self._outcomes is None:
            return False
        changed = self._outcomes.where("is_changed")
        decided = [(REPLACED, self._candidates), (REMOVED, removed(changed)), (ADDED, winners(changed))]
        decisions = reduce(DataFrame.unionByName, (rows.withColumn("decision", F.lit(what)) for what, rows in decided))
        parts = 1 if self._batch.read <= BROADCAST_ROWS else 8
        writing = decisions.repartition(parts, *DECIDED_BY).write.mode("overwrite")
        writing.partitionBy(*DECIDED_BY).parquet(uri)
        return True

    def _replaced(self, kind: str) -> int:
        return sum(row["ids"] for row in self._tally if row["kind"] == kind and row["is_changed"] and row["away"])

    def _arriving(self, kind: str) -> DataFrame:
        new = self._batch.transactions().where(F.col("kind") == kind)
        if self._contested is None or self._outcomes is None:
            return new.select(*VERSIONED)
        changed = self._outcomes.where(F.col("is_changed") & (F.col("kind") == kind))
        alone = new.join(self._contested, on="id_hash", how="left_anti").select(*VERSIONED)
        return alone.unionByName(winners(changed))

    def _leaving(self, kind: str) -> DataFrame:
        assert self._outcomes is not None
        return removed(self._outcomes.where(F.col("is_changed") & (F.col("kind") == kind)))

    # -- the derived table

    def detail(self) -> Change:
        """What changes in refund_detail: details of new and replaced refunds, and of stored ones that a batch concerns."""
        arriving = self._keep(self._changed_details())
        per_month = {row["month"]: row["count"] for row in arriving.groupBy("month").count().collect()}
        refunds = self.transactions("refund")
        touched = set(per_month) | set(refunds)
        leaving = None
        if self._tables.months("refund_detail") & touched:
            leaving = arriving.select("refund_id")
        after = {month: refunds.get(month, self._tables.rows("refund", month)) for month in touched}
        return Change(arriving=arriving, leaving=leaving, rows=after)

    def _changed_details(self) -> DataFrame:
        new = self._arriving("refund").select("id", "parent_id", "amount", "month")
        if self._concerned_refunds is None:
            return details(new, self._parents(), self._voids(new))
        stored = self._unchanged("refund", self._concerned_refunds).select("id", "parent_id", "amount", "month")
        again = details(stored, self._parents(), self._voids(stored))
        months = [row["month"] for row in stored.select("month").distinct().collect()]
        before = self._tables.read("refund_detail", months)
        ids = again.select("refund_id")
        differing = again.exceptAll(before.join(self._few(ids), on="refund_id", how="left_semi").select(*again.columns))
        return details(new, self._parents(), self._voids(new)).unionByName(differing)

    def _unchanged(self, kind: str, stored: DataFrame) -> DataFrame:
        """Stored rows without those that the batch replaces."""
        if not self._replaced(kind):
            return stored
        return stored.join(self._leaving(kind).select("id"), on="id", how="left_anti")

    def _parents(self) -> DataFrame:
        columns = ("id", "customer_id", "merchant_id", "month")
        new = self._arriving("purchase").select(*columns)
        if self._concerned_purchases is None:
            return self._with_refunds(new)
        return new.unionByName(self._unchanged("purchase", self._concerned_purchases).select(*columns))

    def _with_refunds(self, purchases: DataFrame) -> DataFrame:
        """The purchases that refunds of the batch point at, and perhaps others: what need not be sorted for a join with them."""
        if self._batch.of_kind("refund") > BROADCAST_HASHES:
            return purchases
        wanted = self._ids_of("refund").select(hash_of("parent_id").alias("id_hash"))
        hashed = purchases.withColumn("id_hash", hash_of("id"))
        return hashed.join(F.broadcast(wanted), on="id_hash", how="left_semi").drop("id_hash")

    def _voids(self, refunds: DataFrame) -> DataFrame:
        """parent_id of the voids that may concern the refunds."""
        new = self._arriving("void").select("parent_id")
        if not self._tables.months("void"):
            return new
        stored = self._unchanged("void", self._tables.read("void").select("id", "parent_id"))
        targets = refunds.select("id").union(refunds.select("parent_id")).withColumnRenamed("id", "parent_id")
        return new.union(stored.select("parent_id").join(self._few(targets), on="parent_id", how="left_semi"))


def next_content(tables: TableSet, table: str, change: Change) -> DataFrame:
    """All rows of the touched months as they will be."""
    arriving = change.arriving.select(*names(table), "month").where(F.col("month").isin(*change.rows))
    stored = tables.read(table, set(change.rows))
    if change.leaving is not None:
        stored = stored.join(change.leaving, on=change.leaving.columns, how="left_anti")
    return arriving.unionByName(stored.select(*arriving.columns))
