"""What one task does to write a file of a month: staged records and stored rows in, one sorted Parquet file out.

Runs in a Python worker of Spark's. Rows come from the pieces that were staged and from the month as it stands; decisions say
which of them go and what comes instead. What is decided is for `changes`; here nothing is compared or counted.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.raw.rules import MOMENT, MONEY
from refunds_lake.raw.staging import Piece, without
from refunds_lake.schema.columns import KINDS, SORTED_BY, UNREPEATED, ZSTD_LEVEL, names
from refunds_lake.storage.objects import ObjectStore, RangeReader, parquet_files
from refunds_lake.tables.month_search import Ids, index_key

FILE_ROWS: Final = 500_000
"""A file of a month has about so many rows at most; a task holds a few times as many in memory."""
REPLACED, REMOVED, ADDED = "replaced", "removed", "added"
"""Decisions: staged records with this key are not taken, the stored row with this key goes, this row comes."""
KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(KINDS, ("id",)),
    "refund_detail": ("refund_id",),
    "rejected": ("source_file", "ingested_at", "line_number"),
}
"""What identifies the rows of a table."""
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
_LISTS: Final[Mapping[str, str]] = {"reasons": "reasons.list.element"}
"""How the file's own schema names the values of a list."""


@dataclasses.dataclass(frozen=True)
class MonthFile:
    """One file to write: where to, and which staged and stored pieces its rows come from."""

    table: str
    month: str
    key: str
    staged: tuple[Piece, ...]
    stored: tuple[Piece, ...]
    is_first: bool
    """The first file of a month takes the rows that decisions add."""


def planned(
    table: str, month: str, prefix: str, staged: Collection[Piece], stored: Collection[Piece]
) -> list[MonthFile]:
    """Divide a month into files of about FILE_ROWS rows each, from its staged and stored pieces."""
    files: list[list[Piece]] = [[]]
    filled = 0
    for piece in (*stored, *staged):
        if filled and filled + piece.rows > FILE_ROWS:
            files.append([])
            filled = 0
        files[-1].append(piece)
        filled += piece.rows
    return [
        MonthFile(
            table,
            month,
            f"{prefix}part-{number:05}.zstd.parquet",
            tuple(piece for piece in pieces if piece not in stored),
            tuple(piece for piece in pieces if piece in stored),
            number == 0,
        )
        for number, pieces in enumerate(files)
    ]


Decisions = Mapping[str, pa.Table]
"""REPLACED, REMOVED or ADDED -> rows, of the first two the keys alone."""
Decide = Callable[[ObjectStore, MonthFile], Decisions]


def undecided(_: ObjectStore, __: MonthFile) -> Decisions:
    """Keep every row, staged or stored."""
    return {}


def decided(prefix: str, base: ObjectStore, file: MonthFile) -> Decisions:
    """Read the decisions on transactions below a prefix, partitioned by DECIDED_BY."""
    parts = parquet_files(base.listing(f"{prefix}kind={file.table}/month={file.month}/"))
    if not parts:
        return {}
    rows = pa.concat_tables([pq.read_table(io.BytesIO(base.get(each.key)[0])) for each in parts])
    chosen = {what: rows.filter(pc.equal(rows["decision"], what)) for what in (REPLACED, REMOVED, ADDED)}
    return {what: some for what, some in chosen.items() if len(some)}


def made_again(made: Sequence[Piece], base: ObjectStore, file: MonthFile) -> Decisions:
    """Drop the stored details of refunds that have new ones, of whatever month."""
    return {REMOVED: _together(_rows(base, made, KEYS[file.table]), KEYS[file.table])} if file.stored else {}


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes files of months, those of transactions with an index of their ids; travels to the workers."""

    base: ObjectStore
    broken: frozenset[int]
    """Numbers of raw files whose staged records do not count."""
    decide: Decide = undecided

    def __call__(self, file: MonthFile) -> None:
        columns, decisions = names(file.table), self.decide(self.base, file)
        rows = _together(
            (
                *_without(_rows(self.base, file.staged, columns, self.broken), decisions.get(REPLACED), file.table),
                *_without(_rows(self.base, file.stored, columns), decisions.get(REMOVED), file.table),
                *([decisions[ADDED]] if file.is_first and ADDED in decisions else []),
            ),
            columns,
        )
        if len(rows):
            etag = self.base.put(file.key, _parquet(rows, SORTED_BY[file.table]))
            if file.table in KINDS:
                self.base.put(index_key(file.key, etag), Ids.of(rows).to_bytes())
        pa.default_memory_pool().release_unused()


def _rows(
    base: ObjectStore, pieces: Iterable[Piece], columns: Sequence[str], broken: Collection[int] = ()
) -> Iterator[pa.Table]:
    """Yield the rows of some pieces, each object opened once."""
    row_groups: dict[tuple[str, int], list[int | None]] = {}
    for piece in pieces:
        row_groups.setdefault((piece.key, piece.size), []).append(piece.row_group)
    for (key, size), groups in row_groups.items():
        with RangeReader(base, key, size) as body:
            repeating = [name for name in columns if name == "source_file"]
            part = pq.ParquetFile(body, read_dictionary=repeating, pre_buffer=True)
            chosen = range(part.num_row_groups) if None in groups else groups
            rows = part.read_row_groups(chosen, columns=["file", *columns], use_threads=False)
        yield without(rows, broken)


def count_rows(base: ObjectStore, key: str, size: int) -> int:
    """Return the number of rows in a Parquet object's footer, with one request."""
    with RangeReader(base, key, size) as body:
        rows: int = pq.ParquetFile(body).metadata.num_rows
    return rows


def _without(tables: Iterable[pa.Table], leaving: pa.Table | None, table: str) -> Iterator[pa.Table]:
    for rows in tables:
        yield rows if leaving is None else rows.filter(pc.invert(pc.is_in(_keys(rows, table), _keys(leaving, table))))


def _keys(rows: pa.Table, table: str) -> pa.Array:
    """Return the key of each row as one text."""
    columns = [rows[name].cast(pa.string()).combine_chunks() for name in KEYS[table]]
    return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "\n")


def _together(tables: Iterable[pa.Table], columns: Collection[str]) -> pa.Table:
    schema = pa.schema([(name, _TYPES.get(name, pa.string())) for name in columns])
    return pa.concat_tables([schema.empty_table(), *(table.select(list(columns)).cast(schema) for table in tables)])


def _parquet(rows: pa.Table, order: Sequence[str]) -> bytes:
    rows = rows.unify_dictionaries().combine_chunks()
    # Arrow does not sort by a dictionary as it is.
    keys = {name: rows[name].cast(pa.string()) if name == "source_file" else rows[name] for name in order}
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
