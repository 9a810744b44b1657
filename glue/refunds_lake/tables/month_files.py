"""What one task does to write a file of a month: staged records and stored rows in, one sorted Parquet file out.

Runs in a Python worker of Spark's. Rows come from the pieces that were staged and from the month as it stands; of
transactions a small set of decisions says which of them go and what comes instead, details stand until they are made
again, rejected records until they are judged again. Which ones is for `changes`; here nothing is compared or counted. Files of transactions get an index of their ids,
for `search`.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.raw.rules import MOMENT, MONEY
from refunds_lake.raw.staging import Piece, without
from refunds_lake.schema.columns import SORTED_BY, UNREPEATED, ZSTD_LEVEL, names
from refunds_lake.storage.objects import ObjectStore, RangeReader, StoredObject, parquet_files
from refunds_lake.tables.month_search import Hashed, Ids, index_key

FILE_ROWS: Final = 500_000
"""A file of a month has about so many rows at most; a task holds a few times as many in memory."""
REPLACED, REMOVED, ADDED = "replaced", "removed", "added"
"""Decisions: staged records of this id are not taken, the stored row of this id goes, this row comes."""
DETAIL_OF: Final = "refund_id"
DECIDED_BY: Final = ("kind", "month")
_TYPES: Final[Mapping[str, pa.DataType]] = {
    "timestamp": MOMENT,
    "ingested_at": MOMENT,
    "amount": MONEY,
    "counted": pa.bool_(),
    "source_file": pa.dictionary(pa.int32(), pa.string()),
    "reasons": pa.list_(pa.string()),
    "line_number": pa.int64(),
}
_PLAIN: Final = {"source_file": pa.string()}
"""What Arrow does not sort by as it is."""
_LISTS: Final[Mapping[str, str]] = {"reasons": "reasons.list.element"}
"""How the file's own schema names the values of a list."""


@dataclasses.dataclass(frozen=True)
class MonthFile:
    """One file to write: where to, and which staged pieces and stored objects its rows come from."""

    table: str
    month: str
    key: str
    pieces: tuple[Piece, ...]
    stored: tuple[StoredObject, ...]
    is_first: bool
    """The first file of a month takes the rows that decisions add."""


def planned(
    table: str, month: str, prefix: str, pieces: Iterable[Piece], stored: Mapping[StoredObject, int]
) -> list[MonthFile]:
    """The files of a month of about FILE_ROWS rows each, from its pieces and its stored objects with their rows."""
    units = [
        *(((), (each,), rows) for each, rows in stored.items()),
        *(((each,), (), each.rows) for each in pieces),
    ]
    files: list[tuple[list[Piece], list[StoredObject]]] = [([], [])]
    filled = 0
    for some_pieces, some_stored, rows in units:
        if filled and filled + rows > FILE_ROWS:
            files.append(([], []))
            filled = 0
        files[-1][0].extend(some_pieces)
        files[-1][1].extend(some_stored)
        filled += rows
    return [
        MonthFile(table, month, f"{prefix}part-{number:05}.zstd.parquet", tuple(one), tuple(other), number == 0)
        for number, (one, other) in enumerate(files)
    ]


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes files of months, each with its index; travels to the workers."""

    base: ObjectStore
    broken: frozenset[int]
    """Numbers of raw files whose staged records do not count."""
    decided: str | None
    """Prefix of the decisions, partitioned by DECIDED_BY; None when there are none."""
    hashed: Hashed

    def __call__(self, file: MonthFile) -> None:
        decisions = self._decisions(file)
        columns = names(file.table)
        staged = _without(_staged(self.base, file.pieces, columns, self.broken), decisions.get(REPLACED))
        stored = _without(_stored(self.base, file.stored, columns), decisions.get(REMOVED))
        added = [decisions[ADDED]] if file.is_first and ADDED in decisions else []
        rows = _together((*staged, *stored, *added), columns)
        if len(rows):
            etag = self.base.put(file.key, _parquet(rows, SORTED_BY[file.table]))
            self.base.put(index_key(file.key, etag), Ids.of(rows, self.hashed).to_bytes())
        pa.default_memory_pool().release_unused()

    def _decisions(self, file: MonthFile) -> dict[str, pa.Table]:
        if self.decided is None:
            return {}
        prefix = f"{self.decided}kind={file.table}/month={file.month}/"
        parts = parquet_files(self.base.listing(prefix))
        tables = [pq.read_table(io.BytesIO(self.base.get(each.key)[0])) for each in parts]
        if not tables:
            return {}
        decisions = pa.concat_tables(tables)
        chosen = {what: decisions.filter(pc.equal(decisions["decision"], what)) for what in (REPLACED, REMOVED, ADDED)}
        return {what: rows for what, rows in chosen.items() if len(rows)}


@dataclasses.dataclass(frozen=True)
class DetailWriter:
    """Writes files of months of refund_detail; travels to the workers."""

    base: ObjectStore
    made: tuple[Piece, ...]
    """The details that were made, of all months: what stands of their refunds goes, wherever it is."""

    def __call__(self, file: MonthFile) -> None:
        columns = names(file.table)
        staged = _objects(self.base, [(piece.key, piece.size) for piece in file.pieces], columns)
        stored: Iterable[pa.Table] = ()
        if file.stored:
            ids = _objects(self.base, [(piece.key, piece.size) for piece in self.made], [DETAIL_OF])
            made = pa.concat_tables([pa.schema([(DETAIL_OF, pa.string())]).empty_table(), *ids])
            stored = _without(_stored(self.base, file.stored, columns), made, DETAIL_OF)
        rows = _together((*staged, *stored), columns)
        if len(rows):
            self.base.put(file.key, _parquet(rows, SORTED_BY[file.table]))
        pa.default_memory_pool().release_unused()


@dataclasses.dataclass(frozen=True)
class RejectedWriter:
    """Writes files of months of rejected records; travels to the workers."""

    base: ObjectStore
    broken: frozenset[int]
    """Numbers of raw files whose staged records do not count."""
    run_id: str
    """Of the run that rejects what was staged."""
    replayed: Mapping[str, tuple[int, ...]]
    """Key of an object -> its lines that were judged again: what stands of them goes."""

    def __call__(self, file: MonthFile) -> None:
        columns = names(file.table)
        staged_columns = [name for name in columns if name != "run_id"]
        staged = (
            rows.append_column("run_id", pa.repeat(self.run_id, len(rows)))
            for rows in _staged(self.base, file.pieces, staged_columns, self.broken)
        )
        rows = _together((*staged, *map(self._standing, _stored(self.base, file.stored, columns))), columns)
        if len(rows):
            self.base.put(file.key, _parquet(rows, SORTED_BY[file.table]))

    def _standing(self, stored: pa.Table) -> pa.Table:
        lines = zip(stored["source_file"].to_pylist(), stored["line_number"].to_pylist(), strict=True)
        again = {key: frozenset(numbers) for key, numbers in self.replayed.items()}
        return stored.filter(pa.array([number not in again.get(key, ()) for key, number in lines], pa.bool_()))


def _staged(
    base: ObjectStore, pieces: Sequence[Piece], columns: Sequence[str], broken: frozenset[int]
) -> Iterator[pa.Table]:
    row_groups: dict[tuple[str, int], list[int]] = {}
    for piece in pieces:
        row_groups.setdefault((piece.key, piece.size), []).append(piece.row_group)
    for (key, size), groups in row_groups.items():
        with RangeReader(base, key, size) as body:
            part = pq.ParquetFile(body, read_dictionary=["source_file"], pre_buffer=True)
            rows = part.read_row_groups(groups, columns=["file", *columns], use_threads=False)
        yield without(rows, broken)


def count_rows(base: ObjectStore, key: str, size: int) -> int:
    """The rows of a Parquet object as its footer says, with one request."""
    with RangeReader(base, key, size) as body:
        rows: int = pq.ParquetFile(body).metadata.num_rows
    return rows


def _stored(base: ObjectStore, objects: Iterable[StoredObject], columns: Collection[str]) -> Iterator[pa.Table]:
    return _objects(base, [(each.key, each.size) for each in objects], columns)


def _objects(base: ObjectStore, objects: Iterable[tuple[str, int]], columns: Collection[str]) -> Iterator[pa.Table]:
    repeating = [name for name in columns if name == "source_file"]
    for key, size in objects:
        with RangeReader(base, key, size) as body:
            part = pq.ParquetFile(body, read_dictionary=repeating, pre_buffer=True)
            yield part.read(columns=list(columns), use_threads=False)


def _without(tables: Iterable[pa.Table], leaving: pa.Table | None, key: str = "id") -> Iterator[pa.Table]:
    for table in tables:
        yield (
            table if leaving is None else table.filter(pc.invert(pc.is_in(table[key], leaving[key].combine_chunks())))
        )


def _together(tables: Iterable[pa.Table], columns: Collection[str]) -> pa.Table:
    schema = _schema(columns)
    return pa.concat_tables([schema.empty_table(), *(table.select(list(columns)).cast(schema) for table in tables)])


def _schema(columns: Collection[str]) -> pa.Schema:
    return pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])


def _parquet(rows: pa.Table, order: Sequence[str]) -> bytes:
    rows = rows.unify_dictionaries().combine_chunks()
    keys = {name: pc.cast(rows[name], _PLAIN.get(name, rows.schema.field(name).type)) for name in order}
    rows = rows.take(pc.sort_indices(pa.table(keys), [(name, "ascending") for name in order]))
    body = io.BytesIO()
    pq.write_table(
        rows,
        body,
        row_group_size=len(rows),
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[_LISTS.get(name, name) for name in rows.schema.names if name not in UNREPEATED],
        store_decimal_as_integer=True,
        store_schema=False,
    )
    return body.getvalue()
