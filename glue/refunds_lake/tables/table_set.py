"""The base tables as files: read published months, write new ones beside them, and check what was written.

Spark gets explicit locations and never looks for them; which months there are is known from the run manifests.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from pyspark.sql import DataFrame, SparkSession

from refunds_lake.log_lines import JobFailure
from refunds_lake.publishing.manifests import Month, Tables
from refunds_lake.raw.staging import Piece
from refunds_lake.schema.columns import ddl, names
from refunds_lake.spark.frames import empty_frame
from refunds_lake.spark.tasks import on_workers
from refunds_lake.storage.objects import ObjectStore, StoredObject, parquet_files
from refunds_lake.tables.month_files import MonthFile, count_rows, planned


class CheckFailed(JobFailure):
    """What was written is not what was meant to be written; nothing has been published."""


@dataclasses.dataclass(frozen=True)
class TableSet:
    """The tables under one prefix, as they are published now."""

    spark: SparkSession
    store: ObjectStore
    prefix: str
    live: Tables

    def months(self, table: str) -> set[str]:
        """Return the published months of a table."""
        return set(self.live.get(table, {}))

    def rows(self, table: str, month: str) -> int:
        """Return how many rows a month has now."""
        return self.live[table][month].rows if month in self.months(table) else 0

    def read(self, table: str, months: Collection[str] | None = None) -> DataFrame:
        """Return the rows of the given months, or of all, with their month."""
        wanted = sorted(self.months(table) if months is None else self.months(table) & set(months))
        if not wanted:
            return empty_frame(self.spark, f"{ddl(table)}, month string")
        locations = [self.live[table][month].location for month in wanted]
        reader = self.spark.read.schema(ddl(table)).option("basePath", self.store.uri(f"{self.prefix}{table}/"))
        return reader.parquet(*locations).select(*names(table), "month")

    def write_months(
        self,
        table: str,
        months: Collection[str],
        pieces: Iterable[Piece],
        writer: Callable[[MonthFile], None],
        run_id: str,
    ) -> None:
        """Write months to the run's own prefix: staged pieces, and stored rows as far as the writer keeps them."""
        staged: dict[str, list[Piece]] = {month: [] for month in months}
        for piece in pieces:
            if piece.month in staged:
                staged[piece.month].append(piece)
        files: list[MonthFile] = []
        for month, some in sorted(staged.items(), key=lambda each: -sum(piece.rows for piece in each[1])):
            prefix = self.written_prefix(table, month, run_id)
            files += planned(table, month, prefix, some, self._stored(table, month))
        on_workers(self.spark, writer, files)

    def _stored(self, table: str, month: str) -> list[Piece]:
        """Return the objects of a month as it is now, with about how many rows each has."""
        if month not in self.months(table):
            return []
        stands = self.live[table][month]
        objects = parquet_files(
            self.store.listing(self.prefix + stands.location.removeprefix(self.store.uri(self.prefix)))
        )
        total = sum(each.size for each in objects)
        return [Piece(table, month, each.key, each.size, None, stands.rows * each.size // total) for each in objects]

    def written_prefix(self, table: str, month: str, run_id: str) -> str:
        return f"{self.prefix}{table}/month={month}/run={run_id}/"

    def check_written(self, expected: Mapping[str, Mapping[str, int]], run_id: str) -> Tables:
        """Return the months of a run, ready to publish; raise CheckFailed unless each has its expected rows.

        Files are listed and their footers read from the bucket, as a reader of the table would find them.
        """

        def check(place: tuple[str, str]) -> Month:
            (table, month), prefix = place, self.written_prefix(*place, run_id)
            rows, files = expected[table][month], list(self.store.listing(prefix))
            found = sum(count_rows(self.store, each.key, each.size) for each in parquet_files(files))
            if found != rows:
                raise CheckFailed(f"{table} {month}: {found} rows written to {prefix}, {rows} expected")
            return Month(self.store.uri(prefix), rows, checksum(files, prefix))

        places = [(table, month) for table, months in expected.items() for month in months]
        written: dict[str, dict[str, Month]] = {}
        with ThreadPoolExecutor(8) as pool:
            for (table, month), found in zip(places, pool.map(check, places), strict=True):
                if found.rows:
                    written.setdefault(table, {})[month] = found
        return written


def checksum(files: Collection[StoredObject], prefix: str) -> str:
    """Return one hash over the names, sizes and ETags of a month's files."""
    lines = sorted(f"{each.key.removeprefix(prefix)} {each.size} {each.etag}" for each in files)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
