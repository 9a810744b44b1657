"""The base tables as files: read published months, write new ones beside them, and check what was written.

Spark gets explicit locations and never looks for them; which months there are is known from the run manifests.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from typing import Final

from pyspark.sql import DataFrame, SparkSession

from refunds_lake.log_lines import JobFailure
from refunds_lake.publishing.manifests import INDEXES, Month, Tables
from refunds_lake.raw.staging import Piece
from refunds_lake.schema.columns import KINDS, ddl, names
from refunds_lake.spark.frames import empty_frame
from refunds_lake.spark.tasks import on_workers
from refunds_lake.storage.objects import ObjectStore, StoredObject, parquet_files
from refunds_lake.storage.parquet_objects import AT_ONCE, ParquetObject
from refunds_lake.tables.month_files import MonthFile, Writer, planned
from refunds_lake.tables.month_search import Written, index_key, pack

MOST_INDEXED: Final = 4
"""So many months of a table may have indexes of their own; with more of them, all are packed."""
PACK_BYTES: Final = 32 << 20
"""A pack of so many bytes is full, and packed again only when a full refresh has left nothing in it that is live."""


class CheckFailed(JobFailure):
    """What was written is not what was meant to be written; nothing has been published."""


@dataclasses.dataclass(frozen=True)
class TableSet:
    """The tables under one prefix, as they are published now."""

    spark: SparkSession
    store: ObjectStore
    prefix: str
    live: Tables
    objects: Mapping[str, Sequence[StoredObject]]
    """Folder -> the objects in it, of one listing of all that lies below the prefix."""

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
        self, table: str, months: Collection[str], pieces: Iterable[Piece], writer: Writer, run_id: str
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
        rows, files = self.live[table][month].rows, self._place(table, month).files
        total = sum(each.size for each in files)
        return [Piece(table, month, each.key, each.size, None, rows * each.size // total) for each in files]

    def places(self, table: str) -> list[Written]:
        """Return the live months of a table with their files."""
        return [self._place(table, month) for month in self.live.get(table, {})]

    def _place(self, table: str, month: str) -> Written:
        prefix = self.live[table][month].location.removeprefix(self.store.uri(""))
        if prefix not in self.objects:
            raise CheckFailed(f"{prefix} is published, without files: docs/operations.md#everything-except-raw-is-lost")
        return Written(month, prefix, tuple(parquet_files(self.objects[prefix])))

    @cached_property
    def indexes(self) -> Mapping[str, int]:
        """Return the size of each object with indexes of ids."""
        top = f"{self.prefix}{INDEXES}"
        return {each.key: each.size for at, of in self.objects.items() if at.startswith(top) for each in of}

    def packs(self, table: str) -> list[str]:
        """Return the objects with packed indexes of a table's files."""
        return [key for key in self.indexes if key.rpartition("/")[0] == f"{self.prefix}{INDEXES}{table}"]

    def pack_indexes(self) -> None:
        """Pack the indexes of a table of which more than MOST_INDEXED months have their own, so that few are asked for."""
        files = [each for at, of in self.objects.items() if "/run=" in at for each in parquet_files(of)]
        kept, tasks = frozenset(index_key(each.key, each.etag) for each in files), []
        for table in KINDS:
            own = [place.indexes for place in self.places(table) if self.indexes.keys() >= {*place.indexes}]
            is_all = len(own) == len(self.months(table))
            packs = [[key] for key in self.packs(table) if is_all or self.indexes[key] < PACK_BYTES]
            groups: list[list[str]] = []
            for keys in (*own, *packs) if len(own) > MOST_INDEXED else ():
                if not groups or sum(self.indexes[key] for key in groups[-1]) >= PACK_BYTES:
                    groups.append([])
                groups[-1] += keys
            for keys in groups:
                name = hashlib.sha256("".join(keys).encode()).hexdigest()[:32]
                tasks.append((f"{self.prefix}{INDEXES}{table}/{name}.ids", keys, kept))
        on_workers(self.spark, partial(pack, self.store), tasks)

    def written_prefix(self, table: str, month: str, run_id: str) -> str:
        return f"{self.prefix}{table}/month={month}/run={run_id}/"

    def check_written(self, expected: Mapping[str, Mapping[str, int]], run_id: str) -> Tables:
        """Return the months of a run, ready to publish; raise CheckFailed unless each has its expected rows."""

        def check(place: tuple[str, str]) -> Month:
            (table, month), prefix = place, self.written_prefix(*place, run_id)
            rows, files = expected[table][month], self.objects.get(prefix, ())
            parts = [ParquetObject(self.store, each.key, each.size) for each in parquet_files(files)]
            found = sum(part.file.metadata.num_rows for part in parts)
            if found != rows:
                raise CheckFailed(f"{table} {month}: {found} rows written to {prefix}, {rows} expected")
            return Month(self.store.uri(prefix), rows, checksum(files, prefix))

        places = [(table, month) for table, months in expected.items() for month in months]
        written: dict[str, dict[str, Month]] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for (table, month), found in zip(places, pool.map(check, places), strict=True):
                if found.rows:
                    written.setdefault(table, {})[month] = found
        return written


def by_folder(listing: Iterable[StoredObject]) -> dict[str, list[StoredObject]]:
    """Return the objects of a listing by folder."""
    found: dict[str, list[StoredObject]] = {}
    for each in listing:
        found.setdefault(each.key[: each.key.rfind("/") + 1], []).append(each)
    return found


def checksum(files: Collection[StoredObject], prefix: str) -> str:
    """Return one hash over the names, sizes and ETags of a month's files."""
    lines = sorted(f"{each.key.removeprefix(prefix)} {each.size} {each.etag}" for each in files)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
