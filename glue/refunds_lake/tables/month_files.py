"""What one task does to write a file of a month: staged records and stored rows in, one sorted Parquet file out.

Runs in a Python worker of Spark's. Rows come from the pieces that were staged and from the month as it stands; decisions say
which of them go and what comes instead. What is decided is for `changes`; here nothing is compared or counted.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.raw.rules import MOMENT, MONEY
from refunds_lake.raw.staging import Piece, without
from refunds_lake.schema.columns import KINDS, SORTED_BY, UNREPEATED, ZSTD_LEVEL, names
from refunds_lake.storage.objects import ObjectStore
from refunds_lake.storage.parquet_objects import AT_ONCE, ParquetObject, footer_of, parquet_bytes
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
    of = [(tuple(p for p in some if p not in stored), tuple(p for p in some if p in stored)) for some in files]
    return [
        MonthFile(table, month, f"{prefix}part-{number:05}.zstd.parquet", *pieces, number == 0)
        for number, pieces in enumerate(of)
    ]


Decisions = Mapping[str, pa.Table]
"""REPLACED, REMOVED or ADDED -> rows, of the first two the keys alone."""
Decide = Callable[[ObjectStore, MonthFile], Decisions]


def undecided(_: ObjectStore, __: MonthFile) -> Decisions:
    """Keep every row, staged or stored."""
    return {}


def decided(keys: Sequence[str], base: ObjectStore, file: MonthFile) -> Decisions:
    """Read the decisions on transactions in these objects, partitioned by DECIDED_BY."""
    parts = [key for key in keys if f"/kind={file.table}/month={file.month}/" in key]
    if not parts:
        return {}
    rows = pa.concat_tables([pq.read_table(io.BytesIO(base.get(key)[0])) for key in parts])
    chosen = {what: rows.filter(pc.equal(rows["decision"], what)) for what in (REPLACED, REMOVED, ADDED)}
    return {what: some for what, some in chosen.items() if len(some)}


def made_again(made: str, base: ObjectStore, file: MonthFile) -> Decisions:
    """Drop the stored details of refunds that have new ones, of whatever month; their ids are in one object."""
    return {REMOVED: pq.read_table(io.BytesIO(base.get(made)[0]))} if file.stored else {}


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes files of months, those of transactions with an index of their ids; travels to the workers."""

    base: ObjectStore
    broken: frozenset[int]
    """Numbers of raw files whose staged records do not count."""
    decide: Decide = undecided

    def __call__(self, file: MonthFile) -> None:
        columns, decisions = names(file.table), self.decide(self.base, file)
        sources = [(decisions.get(REPLACED), file.staged), (decisions.get(REMOVED), file.stored)]
        objects = [(leaving, *each) for leaving, pieces in sources for each in _by_object(pieces)]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = [*pool.map(lambda each: self._rows(file.table, *each), objects)]
        if file.is_first and ADDED in decisions:
            found.append(decisions[ADDED])
        rows = _together(found, columns)
        if len(rows):
            etag = self.base.put(file.key, body := _parquet(rows, SORTED_BY[file.table]))
            if file.table in KINDS:
                index = dataclasses.replace(Ids.of(rows), footer=np.frombuffer(footer_of(body), np.uint8))
                self.base.put(index_key(file.key, etag), index.to_bytes())
        pa.default_memory_pool().release_unused()

    def _rows(self, table: str, leaving: pa.Table | None, key: str, size: int, groups: list[int] | None) -> pa.Table:
        """Return the rows of an object that stay."""
        columns = [*(["file"] if self.broken else []), *names(table)]
        part = ParquetObject(self.base, key, size, repeating=[name for name in columns if name == "source_file"])
        rows = without(part.read(columns, groups), self.broken)
        return rows if leaving is None else rows.filter(pc.invert(pc.is_in(_keys(rows, table), _keys(leaving, table))))


def _by_object(pieces: Iterable[Piece]) -> list[tuple[str, int, list[int] | None]]:
    """Return each object with its size and the row groups of the pieces, None for all of them."""
    groups = [(at, [each.row_group for each in of]) for at, of in groupby(pieces, lambda each: (each.key, each.size))]
    return [(*at, [each for each in some if each is not None] or None) for at, some in groups]


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
    return parquet_bytes(
        rows,
        row_group_size=len(rows),
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        use_dictionary=[_LISTS.get(name, name) for name in rows.schema.names if name not in UNREPEATED],
        store_decimal_as_integer=True,
        store_schema=False,
    )
