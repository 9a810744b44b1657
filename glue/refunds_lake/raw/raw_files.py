"""Raw objects before they are read: which format, which columns, and whether they can be read at all.

A file that cannot be read becomes a named problem here, so that it does not take the others down with it.
"""

from __future__ import annotations

import csv
import dataclasses
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa

from refunds_lake.publishing.manifests import Problem, State
from refunds_lake.raw.blocks import Unreadable
from refunds_lake.raw.parquet_rows import open_parquet
from refunds_lake.raw.raw_source import RawSource
from refunds_lake.schema.contract import CSV, FIELDS, FORMATS, JSON, PARQUET, REQUIRED
from refunds_lake.storage.objects import ObjectStore, StoredObject, utc_text

_TEXT, _TIMESTAMP, _DECIMAL, _INTEGER, _NULL = "text", "timestamp", "decimal", "integer", "null"
PARQUET_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": (_TEXT, _TIMESTAMP),
    "amount": (_TEXT, _DECIMAL, _INTEGER),
}
"""What a column of a Parquet file may be; others of the fields must be text. Any of them may have no value at all."""
_IS_A: Final[Mapping[str, tuple[Callable[[pa.DataType], bool], ...]]] = {
    _TEXT: (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    ),
    _TIMESTAMP: (pa.types.is_timestamp,),
    _DECIMAL: (pa.types.is_decimal,),
    _INTEGER: (pa.types.is_signed_integer,),
    _NULL: (pa.types.is_null,),
}
_HEADER_BYTES: Final = 1 << 16


@dataclasses.dataclass(frozen=True)
class RawFile:
    """An object that the run is to read."""

    stored: StoredObject
    format: str
    columns: tuple[str, ...] = ()
    """Those of a CSV file, in lower case."""
    header: str = ""
    """The line that says so."""
    rows: int | None = None
    """How many records there must be, where the file itself says it."""

    @property
    def key(self) -> str:
        return self.stored.key

    @property
    def is_gzip(self) -> bool:
        return self.key.endswith(".gz")


def is_known(stored: StoredObject, state: State) -> bool:
    """Whether a run in force has read this very delivery of the key."""
    return state.known.get(stored.key) == (stored.etag, utc_text(stored.last_modified))


def version_order(objects: Iterable[StoredObject]) -> list[StoredObject]:
    """By modification time, then key: the order in which later versions win."""
    return sorted(objects, key=lambda each: (each.last_modified, each.key.encode()))


def fresh(listing: Iterable[StoredObject], state: State) -> list[StoredObject]:
    """The objects that no run in force has read, in version order; markers of folders are none."""
    return version_order(each for each in listing if not each.key.endswith("/") and not is_known(each, state))


def inspect(store: ObjectStore, objects: Sequence[StoredObject]) -> tuple[list[RawFile], list[Problem]]:
    """Sort the objects into files to read and problems."""

    def outcome(each: StoredObject) -> RawFile | Problem:
        source = RawSource(store, each)
        try:
            with source.blamed():
                return describe(source, each)
        except Unreadable as error:
            return Problem(each.key, str(error))

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, objects))
    return (
        [each for each in outcomes if isinstance(each, RawFile)],
        [each for each in outcomes if isinstance(each, Problem)],
    )


def describe(source: RawSource, stored: StoredObject) -> RawFile:
    """Format and columns of an object; raises Unreadable, or what is wrong with the bytes or the bucket."""
    name = stored.key.rpartition("/")[2]
    format_ = next((format_ for suffix, format_ in FORMATS.items() if name.endswith(suffix)), None)
    if format_ is None:
        raise Unreadable(f"unknown suffix; known are {', '.join(FORMATS)} in lower case")
    if name.startswith(("_", ".")):
        raise Unreadable(
            "a name that begins with _ or . is hidden from Athena and crawlers; deliver it under another name"
        )
    if stored.size == 0:
        raise Unreadable("the object is empty (0 bytes)")
    if format_ == PARQUET:
        return _describe_parquet(source, stored)
    return _describe_csv(source, stored) if format_ == CSV else RawFile(stored, JSON)


def _describe_csv(source: RawSource, stored: StoredObject) -> RawFile:
    head = b"".join(_head(source, stored))
    line, newline, _ = head.partition(b"\n")
    if not newline and len(head) >= _HEADER_BYTES:
        raise Unreadable(f"the header line is longer than {_HEADER_BYTES} bytes")
    try:
        text = line.removesuffix(b"\r").decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Unreadable("the header line is not UTF-8") from error
    try:
        names = [name.strip().lower() for name in next(csv.reader([text], strict=True), [])]
    except csv.Error as error:
        raise Unreadable(f"the header line is not CSV: {error}") from error
    _check_columns(names)
    return RawFile(stored, CSV, columns=tuple(names), header=text)


def _head(source: RawSource, stored: StoredObject) -> Iterator[bytes]:
    """The beginning of a text object, decompressed; it may be in several members of a gzip."""
    body = source.head(_HEADER_BYTES)
    if not stored.key.endswith(".gz"):
        yield body
        return
    size, decompressor = 0, zlib.decompressobj(31)
    try:
        while body and size < _HEADER_BYTES:
            piece = decompressor.decompress(body, _HEADER_BYTES - size)
            yield piece
            size += len(piece)
            body = decompressor.unconsumed_tail or decompressor.unused_data
            if decompressor.eof:
                decompressor = zlib.decompressobj(31)
    except zlib.error as error:
        raise Unreadable(f"not a readable gzip file: {error}") from error


def _describe_parquet(source: RawSource, stored: StoredObject) -> RawFile:
    with source.blamed("its footer cannot be read"):
        file = open_parquet(source.ranges())
        schema, rows = file.schema_arrow, file.metadata.num_rows
    _check_columns([name.lower() for name in schema.names])
    for name, type_ in zip(schema.names, schema.types, strict=True):
        wanted = PARQUET_TYPES.get(name.lower(), (_TEXT,))
        if name.lower() in FIELDS and not any(_is_a(type_, kind) for kind in (*wanted, _NULL)):
            raise Unreadable(f"column {name.lower()} is {type_}, it must be {' or '.join(wanted)}")
    return RawFile(stored, PARQUET, rows=rows)


def _is_a(type_: pa.DataType, kind: str) -> bool:
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    return any(holds(plain) for holds in _IS_A[kind])


def _check_columns(names: Sequence[str]) -> None:
    if missing := [name for name in REQUIRED if name not in names]:
        raise Unreadable(f"no column {', '.join(missing)}; its columns are {', '.join(names) or '(none)'}"[:500])
    if twice := [name for name, times in Counter(names).items() if times > 1 and name in FIELDS]:
        raise Unreadable(f"column {', '.join(twice)} comes more than once")
