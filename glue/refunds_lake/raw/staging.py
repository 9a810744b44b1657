"""What one task does with some raw files: read, validate, and stage the records as Parquet by kind.

Runs in a Python worker of Spark's, without the JVM: the objects come and go through the store. Staged parts are written
once, read a few times by column, and deleted with the run.
"""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.raw import rules
from refunds_lake.raw.blocks import Unreadable
from refunds_lake.raw.raw_files import RawFile
from refunds_lake.raw.raw_records import MachineFailed, blamed, read
from refunds_lake.raw.records import Records
from refunds_lake.raw.rules import MOMENT, REJECTED, Cleaned, Rule, broken, reasons_of
from refunds_lake.schema.columns import KINDS
from refunds_lake.schema.contract import IDS, too_late
from refunds_lake.schema.id_hashes import hashed, of_kind, repeated
from refunds_lake.schema.months import Months
from refunds_lake.storage.objects import ObjectStore
from refunds_lake.storage.parquet_objects import AT_ONCE, ParquetObject

PART_BYTES: Final = 32 << 20
_ROW_GROUP_ROWS: Final = 1 << 17
_PLACE: Final = ("file", "ingested_at", "source_file", "line_number", "month")
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "purchase": (*_PLACE, "id", "id_hash", "timestamp", "amount", "customer_id", "merchant_id"),
    "void": (*_PLACE, "id", "id_hash", "timestamp", "amount", "parent_id"),
    "refund": (*_PLACE, "id", "id_hash", "timestamp", "amount", "parent_id"),
    REJECTED: (*_PLACE, "raw_text", "reasons", "run_id"),
}
WRITING: Final[Mapping[str, Any]] = {
    "compression": "none",  # Random ids hardly become smaller.
    "use_dictionary": ["file", "ingested_at", "source_file", "month", "merchant_id", "run_id"],
    "write_statistics": False,
    "store_decimal_as_integer": True,
}
"""How staged records become Parquet."""
STAGED: Final = (
    "file int, ingested_at timestamp, source_file string, month string, id string, id_hash bigint, "
    "timestamp timestamp, amount decimal(18,2), parent_id string, customer_id string, merchant_id string, line_number bigint"
)
"""The columns of transactions, as a Spark schema."""

Place = tuple[int, str, str]
"""File, kind and month: that of the transaction, of a rejected record that of its ingestion."""


@dataclasses.dataclass(frozen=True)
class Portion:
    """Some raw files, by the number that their records carry."""

    number: int
    files: tuple[tuple[int, RawFile], ...]


@dataclasses.dataclass(frozen=True)
class Piece:
    """Where rows of one table and month lie, staged or stored: a row group of an object."""

    kind: str
    month: str
    key: str
    size: int
    """Bytes of the object."""
    row_group: int | None
    """None for the whole object."""
    rows: int


class StagedObject(NamedTuple):
    """An object of staged transactions of one kind."""

    kind: str
    key: str
    size: int


def transactions_in(pieces: Iterable[Piece]) -> list[StagedObject]:
    """Return the objects that contain pieces of transactions, each once."""
    return sorted({StagedObject(piece.kind, piece.key, piece.size) for piece in pieces if piece.kind in KINDS})


@dataclasses.dataclass(frozen=True)
class Staged:
    """What came of a portion: how many records of what, where they lie, and why a file could not be read to its end."""

    counts: Counter[Place]
    pieces: tuple[Piece, ...]
    """These hold what was read of broken files, too."""
    problems: Mapping[int, str]


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where records come from and go to, and the rules for them. Travels to the workers."""

    raw: ObjectStore
    base: ObjectStore
    prefix: str
    """In the bucket of the tables, for whatever the run needs until it has published."""
    run_id: str
    months: Months
    rules: Mapping[str, Rule] = dataclasses.field(default_factory=lambda: dict(rules.RULES))

    @property
    def records(self) -> str:
        """Where the records are staged, below the prefix."""
        return f"{self.prefix}records/"

    def __call__(self, portion: Portion) -> Staged:
        """Stage a portion; whatever was staged of a file that turns out to be a problem must be left out."""
        counts: Counter[Place] = Counter()
        problems: dict[int, str] = {}
        parts = {kind: _Part(self.base, f"{self.records}kind={kind}/{portion.number:05}", kind) for kind in _COLUMNS}
        for number, file in portion.files:
            found: Counter[Place] = Counter()
            try:
                for kind, rows in self._judged_file(number, file):
                    parts[kind].add(rows)
                    found.update({(number, kind, month): count for month, count in by_month(rows).items()})
            except MachineFailed as failed:
                raise failed.args[0] from None
            except Unreadable as error:
                problems[number] = str(error)
            else:
                counts += found
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(_Part.close, parts.values()))
        pa.default_memory_pool().release_unused()
        return Staged(counts, tuple(piece for part in parts.values() for piece in part.pieces), problems)

    def _judged_file(self, number: int, file: RawFile) -> Iterator[tuple[str, pa.Table]]:
        """Yield the records of a file by kind; raise Unreadable if anything is wrong with it, possibly after many of them."""
        with blamed():
            for records in read(self.raw, file):
                for kind, rows in self._judged(records, number, file):
                    if file.only is not None:
                        rows = rows.filter(pc.is_in(rows["line_number"], pa.array(file.only, pa.int64())))
                    yield kind, rows

    def _judged(self, records: Records, number: int, file: RawFile) -> Iterator[tuple[str, pa.Table]]:
        """Yield the records by kind, as columns of their parts."""
        record = Cleaned.of(records, too_late(file.stored.last_modified))
        broken_rules = broken(record, self.rules)
        is_rejected = pc.is_valid(records.faults)
        for each in broken_rules.values():
            is_rejected = pc.or_(is_rejected, each)
        modified = file.stored.last_modified
        place = {
            "file": pa.repeat(pa.scalar(number, pa.int32()), len(records)),
            "ingested_at": pa.repeat(pa.scalar(modified, MOMENT), len(records)),
            "source_file": _constant(file.key, len(records)),
            "line_number": records.line_numbers,
        }
        values = {
            **place,
            **{name: record.texts[name] for name in IDS},
            "timestamp": record.timestamp,
            "amount": record.amount,
            "month": self.months.of_all(pc.if_else(is_rejected, None, record.timestamp)),
        }
        for kind in KINDS:
            rows = pc.and_not(record.is_kind[kind], is_rejected)
            table = pa.table({name: values[name] for name in _COLUMNS[kind] if name != "id_hash"}).filter(rows)
            yield kind, table.append_column("id_hash", hashed(table["id"].combine_chunks()))
        if pc.any(is_rejected).as_py():
            reasons = reasons_of({name: each.filter(is_rejected) for name, each in broken_rules.items()})
            faults = records.faults.filter(is_rejected)
            if faults.null_count < len(faults):
                alone = pa.ListArray.from_arrays(pa.array(range(len(faults) + 1), pa.int32()), faults)
                reasons = pc.if_else(pc.is_valid(faults), alone, reasons)
            rows_rejected = pc.indices_nonzero(is_rejected).to_pylist()
            texts = pa.array([records.raw_text(row) for row in rows_rejected], pa.string())
            places = {name: each.filter(is_rejected) for name, each in place.items()}
            month, run = (
                _constant(each, len(texts)).cast(pa.string()) for each in (self.months.month(modified), self.run_id)
            )
            yield REJECTED, pa.table({**places, "month": month, "raw_text": texts, "reasons": reasons, "run_id": run})


def _constant(text: str, rows: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), pa.array([text]))


def repeated_ids(
    base: ObjectStore, objects: Sequence[StagedObject], broken: frozenset[int], tasks: int, task: int
) -> np.ndarray:
    """Return the hashes by kind that occur more than once among staged records, each once.

    Each of some tasks takes the hashes that belong to it, so that what it holds in memory is limited.
    """

    def hashes_in(each: StagedObject) -> np.ndarray:
        hashes = of_kind(each.kind, read_staged(base, each, ["id_hash"], broken)["id_hash"].to_numpy())
        return hashes[hashes % tasks == task] if tasks > 1 else hashes

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return repeated(np.concatenate([*pool.map(hashes_in, objects)]))


def read_staged(base: ObjectStore, staged: StagedObject, columns: Sequence[str], broken: Collection[int]) -> pa.Table:
    """Return some columns of a staged object, without the records of broken files."""
    part = ParquetObject(base, staged.key, staged.size)
    return without(part.read([*(["file"] if broken else []), *columns]), broken)


def without(rows: pa.Table, broken: Collection[int]) -> pa.Table:
    """Return the rows without staged records of broken files."""
    if not broken or "file" not in rows.schema.names:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows["file"], pa.array(sorted(broken), pa.int32()))))


def by_month(rows: pa.Table) -> dict[str, int]:
    """Return month -> the number of its rows."""
    return {each["values"]: each["counts"] for each in pc.value_counts(rows["month"]).to_pylist()}


class _Part:
    """The staged records of one kind: rows are added, objects of about PART_BYTES come of it.

    Each month has row groups of its own, so that a month can be read without the others.
    """

    def __init__(self, base: ObjectStore, name: str, kind: str) -> None:
        self._base, self._name, self._kind = base, name, kind
        self._waiting: list[pa.Table] = []
        self._size = 0
        self._parts = 0
        self.pieces: list[Piece] = []

    def add(self, rows: pa.Table) -> None:
        if len(rows):
            self._waiting.append(rows)
            self._size += rows.nbytes
        if self._size >= PART_BYTES:
            self.close()

    def close(self) -> None:
        """Upload what is waiting, if anything."""
        if not self._waiting:
            return
        rows = pa.concat_tables(self._waiting).unify_dictionaries()
        self._waiting, self._size = [], 0
        counts = by_month(rows)
        if len(counts) > 1:
            rows = rows.sort_by("month")
        body, row_groups, first = io.BytesIO(), list[tuple[str, int]](), 0
        with pq.ParquetWriter(body, rows.schema, **WRITING) as writer:
            for month, count in sorted(counts.items()):
                for start in range(first, first + count, _ROW_GROUP_ROWS):
                    row_groups.append((month, min(_ROW_GROUP_ROWS, first + count - start)))
                    writer.write_table(rows.slice(start, row_groups[-1][1]))
                first += count
        key, size = f"{self._name}-{self._parts:03}.parquet", body.tell()
        self._base.put(key, body.getvalue())
        self._parts += 1
        self.pieces += [Piece(self._kind, month, key, size, place, n) for place, (month, n) in enumerate(row_groups)]
