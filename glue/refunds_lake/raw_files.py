"""Raw objects before they are read: which format, which columns, and whether they can be read at all.

A file that cannot be read becomes a named problem here, so that it does not take the others down with it.
"""

from __future__ import annotations

import csv
import dataclasses
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from refunds_lake.lines import Unreadable
from refunds_lake.objects import ObjectMissing, ObjectStore, StoredObject, utc_text
from refunds_lake.parquet_footer import NotParquet, read_footer
from refunds_lake.runs import Problem, State

JSON, CSV, PARQUET = "json", "csv", "parquet"
FORMATS: Final[Mapping[str, str]] = {
    ".json": JSON,
    ".jsonl": JSON,
    ".ndjson": JSON,
    ".json.gz": JSON,
    ".jsonl.gz": JSON,
    ".ndjson.gz": JSON,
    ".csv": CSV,
    ".csv.gz": CSV,
    ".parquet": PARQUET,
}
FIELDS: Final = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
REQUIRED: Final = FIELDS[:4]
"""Columns that a CSV or Parquet file must have; the others matter to some of the types only."""
PARQUET_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "timestamp": ("string", "timestamp", "timestamp_ntz"),
    "amount": ("string", "decimal", "int", "bigint"),
}
_HEADER_BYTES: Final = 1 << 16


@dataclasses.dataclass(frozen=True)
class RawFile:
    """An object that the run is to read; `columns` are a CSV file's header or a Parquet file's columns and types."""

    stored: StoredObject
    format: str
    columns: tuple[tuple[str, str], ...] = ()
    header: str = ""
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
        try:
            return describe(store, each)
        except Unreadable as error:
            return Problem(each.key, str(error))
        except ObjectMissing:
            return Problem(each.key, "it disappeared between the listing and the reading")

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, objects))
    return (
        [each for each in outcomes if isinstance(each, RawFile)],
        [each for each in outcomes if isinstance(each, Problem)],
    )


def describe(store: ObjectStore, stored: StoredObject) -> RawFile:
    """Format and columns of an object; raises Unreadable, or ObjectMissing."""
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
        return _describe_parquet(store, stored)
    return _describe_csv(store, stored) if format_ == CSV else RawFile(stored, JSON)


def _describe_csv(store: ObjectStore, stored: StoredObject) -> RawFile:
    head = b"".join(_head(store, stored))
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
    return RawFile(stored, CSV, columns=tuple((name, "string") for name in names), header=text)


def _head(store: ObjectStore, stored: StoredObject) -> Iterator[bytes]:
    """The beginning of a text object, decompressed; it may be in several members of a gzip."""
    body = store.read_range(stored.key, 0, _HEADER_BYTES - 1)
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


def _describe_parquet(store: ObjectStore, stored: StoredObject) -> RawFile:
    try:
        footer = read_footer(store, stored.key, stored.size)
    except NotParquet as error:
        raise Unreadable(str(error)) from error
    columns = [(name.lower(), type_) for name, type_ in footer.columns]
    _check_columns([name for name, _ in columns])
    for name, type_ in columns:
        wanted = PARQUET_TYPES.get(name, ("string",))
        if name in FIELDS and type_.partition("(")[0] not in wanted:
            raise Unreadable(f"column {name} is {type_}, it must be {' or '.join(wanted)}")
    return RawFile(stored, PARQUET, columns=tuple(columns), rows=footer.rows)


def _check_columns(names: Sequence[str]) -> None:
    if missing := [name for name in REQUIRED if name not in names]:
        raise Unreadable(f"no column {', '.join(missing)}; its columns are {', '.join(names) or '(none)'}"[:500])
    if twice := [name for name, times in Counter(names).items() if times > 1 and name in FIELDS]:
        raise Unreadable(f"column {', '.join(twice)} comes more than once")
