"""What one task does with some raw files: read, judge, and stage the records as Parquet by kind.

Runs in a Python worker of Spark's, without the JVM: the objects come and go through the store. Staged parts are written
once, read a few times by column, and deleted with the run.
"""

from __future__ import annotations

import dataclasses
import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.columns import KINDS
from refunds_lake.lines import Unreadable, blocks
from refunds_lake.months import Months
from refunds_lake.objects import ObjectMissing, ObjectReplaced, ObjectStore
from refunds_lake.raw_files import CSV, JSON, RawFile
from refunds_lake.records import Records, from_csv, from_json, from_parquet
from refunds_lake.rules import REJECTED, Cleaned, Rule, broken, reasons_of

PART_BYTES: Final = 32 << 20
_ROW_GROUP_BYTES: Final = 16 << 20
_PARQUET_ROWS: Final = 1 << 15
_PLACE: Final = ("file", "line_number")
_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "purchase": (*_PLACE, "month", "id", "timestamp", "amount", "customer_id", "merchant_id"),
    "void": (*_PLACE, "month", "id", "timestamp", "amount", "parent_id"),
    "refund": (*_PLACE, "month", "id", "timestamp", "amount", "parent_id"),
    REJECTED: (*_PLACE, "raw_text", "reasons"),
}
STAGED: Final = (
    "file int, line_number bigint, month string, id string, timestamp timestamp, amount decimal(18,2), "
    "parent_id string, customer_id string, merchant_id string, raw_text string, reasons array<string>"
)
"""The columns of all kinds, as a Spark schema."""

Place = tuple[int, str, str | None]
"""File, kind and month; rejected records have no month yet."""


@dataclasses.dataclass(frozen=True)
class Portion:
    """Some raw files, by the number that their records carry."""

    number: int
    files: tuple[tuple[int, RawFile], ...]


@dataclasses.dataclass(frozen=True)
class Staged:
    """What came of a portion: how many records of what, and why a file could not be read to its end."""

    counts: Counter[Place]
    problems: Mapping[int, str]


@dataclasses.dataclass(frozen=True)
class Stage:
    """Where records come from and go to, and what they are judged by. Travels to the workers."""

    raw: ObjectStore
    base: ObjectStore
    prefix: str
    months: Months
    rules: Mapping[str, Rule]

    def __call__(self, portion: Portion) -> Staged:
        """Stage a portion; whatever was staged of a file that turns out to be a problem is to be left out."""
        counts: Counter[Place] = Counter()
        problems: dict[int, str] = {}
        parts = {kind: _Part(self.base, f"{self.prefix}kind={kind}/{portion.number:05}", kind) for kind in _COLUMNS}
        for number, file in portion.files:
            found: Counter[Place] = Counter()
            try:
                for records in read(self.raw, file):
                    for kind, rows in self._judged(records, number, file):
                        parts[kind].add(rows)
                        found.update(_counted(rows, number, kind))
                _check_rows(file, found.total())
            except Unreadable as error:
                problems[number] = str(error)
            except ObjectMissing:
                problems[number] = "it disappeared between the listing and the reading"
            except ObjectReplaced:
                problems[number] = "it was replaced between the listing and the reading"
            else:
                counts += found
        for part in parts.values():
            part.close()
        pa.default_memory_pool().release_unused()
        return Staged(counts, problems)

    def _judged(self, records: Records, number: int, file: RawFile) -> Iterator[tuple[str, pa.Table]]:
        """The records by kind, as columns of their parts."""
        record = Cleaned.of(records, too_late(file.stored.last_modified))
        broken_rules = broken(record, self.rules)
        is_rejected = pc.is_valid(records.faults)
        for each in broken_rules.values():
            is_rejected = pc.or_(is_rejected, each)
        place = {"file": pa.repeat(pa.scalar(number, pa.int32()), len(records)), "line_number": records.line_numbers}
        values = {
            **place,
            **record.ids,
            "timestamp": record.timestamp,
            "amount": record.amount,
            "month": self.months.of_all(pc.if_else(is_rejected, None, record.timestamp)),
        }
        for kind in KINDS:
            rows = pc.and_not(pc.is_in(record.type, pa.array([kind])), is_rejected)
            yield kind, pa.table({name: values[name] for name in _COLUMNS[kind]}).filter(rows)
        if pc.any(is_rejected).as_py():
            reasons = reasons_of({name: each.filter(is_rejected) for name, each in broken_rules.items()})
            faults = records.faults.filter(is_rejected)
            if faults.null_count < len(faults):
                alone = pa.ListArray.from_arrays(pa.array(range(len(faults) + 1), pa.int32()), faults)
                reasons = pc.if_else(pc.is_valid(faults), alone, reasons)
            rows_rejected = pc.indices_nonzero(is_rejected).to_pylist()
            texts = pa.array([records.raw_text(row) for row in rows_rejected], pa.string())
            places = {name: each.filter(is_rejected) for name, each in place.items()}
            yield REJECTED, pa.table({**places, "raw_text": texts, "reasons": reasons})


def too_late(last_modified: datetime) -> datetime:
    """From when on a transaction is later than the day after its delivery."""
    return (last_modified + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)


def read(store: ObjectStore, file: RawFile) -> Iterator[Records]:
    """The records of a file; raises Unreadable, ObjectMissing or ObjectReplaced, perhaps after many of them."""
    chunks = store.chunks(file.key, etag=file.stored.etag)
    if file.format in (JSON, CSV):
        names = [name for name, _ in file.columns]
        for block in blocks(chunks, is_gzip=file.is_gzip):
            yield from from_json(block) if file.format == JSON else from_csv(block, names, file.header)
        return
    with tempfile.TemporaryFile() as spool:
        for chunk in chunks:
            spool.write(chunk)
        try:
            rows = pq.ParquetFile(spool)
            names = [name for name in rows.schema_arrow.names if name.lower() in dict(file.columns)]
            yield from from_parquet(rows.iter_batches(_PARQUET_ROWS, columns=names))
        except (OSError, pa.ArrowException) as error:
            raise Unreadable("the Parquet file is corrupt") from error


def _check_rows(file: RawFile, found: int) -> None:
    if file.rows is not None and found != file.rows:
        raise Unreadable(f"the Parquet file is corrupt: {found} rows read, its footer says {file.rows}")


def _counted(rows: pa.Table, number: int, kind: str) -> Counter[Place]:
    if kind == REJECTED:
        return Counter({(number, kind, None): len(rows)})
    counted = pc.value_counts(rows["month"].combine_chunks()).to_pylist()
    return Counter({(number, kind, each["values"]): each["counts"] for each in counted})


class _Part:
    """The staged records of one kind: rows are added, objects of at most about PART_BYTES come of it."""

    def __init__(self, base: ObjectStore, name: str, kind: str) -> None:
        self._base, self._name, self._kind = base, name, kind
        self._waiting: list[pa.Table] = []
        self._size = 0
        self._body: io.BytesIO | None = None
        self._writer: pq.ParquetWriter | None = None
        self._parts = 0

    def add(self, rows: pa.Table) -> None:
        if not len(rows):
            return
        self._waiting.append(rows)
        self._size += rows.nbytes
        if self._size >= _ROW_GROUP_BYTES:
            self._write()
            if self._body is not None and self._body.tell() >= PART_BYTES:
                self._put()

    def close(self) -> None:
        self._write()
        self._put()

    def _write(self) -> None:
        if not self._waiting:
            return
        rows = pa.concat_tables(self._waiting)
        if self._writer is None:
            self._body = io.BytesIO()
            self._writer = pq.ParquetWriter(
                self._body,
                rows.schema,
                compression="snappy",
                use_dictionary=[name for name in ("file", "month") if name in rows.schema.names],
                write_statistics=False,
                store_decimal_as_integer=True,
            )
        self._writer.write_table(rows, row_group_size=len(rows))
        self._waiting, self._size = [], 0

    def _put(self) -> None:
        if self._writer is None or self._body is None:
            return
        self._writer.close()
        self._base.put(f"{self._name}-{self._parts:03}.parquet", self._body.getvalue())
        self._parts += 1
        self._body = self._writer = None
