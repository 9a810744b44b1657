"""Rows of a Parquet file as columns of texts, and as JSON where a row is rejected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.raw.blocks import Unreadable
from refunds_lake.raw.records import LoneRecord, Records, check_columns
from refunds_lake.schema.contract import FIELDS

_IS_A: Final[Mapping[str, tuple[Callable[[pa.DataType], bool], ...]]] = {
    "text": (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    ),
    "timestamp": (pa.types.is_timestamp,),
    "decimal": (pa.types.is_decimal,),
    "integer": (pa.types.is_signed_integer,),
    "null": (pa.types.is_null,),
}
_TYPES: Final = {"timestamp": ("text", "timestamp"), "amount": ("text", "decimal", "integer")}
"""What a column may be; others of the fields must be text. Any of them may have no value at all."""
_ROWS: Final = 1 << 15
_MOST_ENTRIES: Final = 10_000
"""A list in a footer, of columns or row groups, may have so many: Arrow makes room for as many as a list says, and before
version 24 columns within each other take its stack."""
_FAR_MILLIS: Final = 10**15
"""Later than any year of four digits."""
_AS_JSON: Final = json.JSONEncoder(ensure_ascii=False).encode


def open_parquet(body: IO[bytes], size: int) -> pq.ParquetFile:
    """Open a Parquet file by its footer; raise Unreadable, OSError or ArrowException if it cannot be read."""
    rows = pq.ParquetFile(body, thrift_container_size_limit=_MOST_ENTRIES)
    if (announced := rows.metadata.num_rows) > size:  # a value that is repeated takes no bytes, but each row takes time
        raise Unreadable(
            f"it announces {announced:,} rows in {size:,} bytes, too few to hold the ids of so many records"
        )
    schema = rows.schema_arrow
    check_columns([name.lower() for name in schema.names])
    for name, type_ in zip(map(str.lower, schema.names), schema.types, strict=True):
        plain = type_.value_type if pa.types.is_dictionary(type_) else type_
        wanted = _TYPES.get(name, ("text",))
        if name in FIELDS and not any(is_one(plain) for kind in (*wanted, "null") for is_one in _IS_A[kind]):
            raise Unreadable(f"column {name} is {type_}, it must be {' or '.join(wanted)}")
    return rows


def from_parquet(rows: pq.ParquetFile) -> Iterator[Records]:
    """Yield the records of Parquet rows, numbered from 1; the raw text of a row is its fields as JSON."""
    columns = [name for name in rows.schema_arrow.names if name.lower() in FIELDS]
    found = 0
    for batch in rows.iter_batches(_ROWS, columns=columns):
        yield from _records(batch, found + 1)
        found += len(batch)
    if found != rows.metadata.num_rows:
        raise Unreadable(f"the Parquet file is corrupt: {found} rows read, its footer says {rows.metadata.num_rows}")


def _records(batch: pa.RecordBatch, first: int) -> Iterator[Records]:
    numbers = pa.array(np.arange(first, first + len(batch)))
    # By place: columns that are not wanted may come along, and have one name.
    columns = {
        name.lower(): batch.column(place) for place, name in enumerate(batch.schema.names) if name.lower() in FIELDS
    }
    texts = {name: _as_text(columns[name]) if name in columns else pa.nulls(len(batch), pa.string()) for name in FIELDS}
    raw_text = _row_text(columns)
    try:
        for text in texts.values():
            text.validate(full=True)
    except pa.ArrowInvalid:
        decoded = zip(*(_decoded(text) for text in texts.values()), strict=True)
        rows = [dict(zip(texts, cells, strict=True)) for cells in decoded]
        odd = [LoneRecord(number, raw_text(row), rows[row]) for row, number in enumerate(numbers.to_pylist())]
        yield from Records.of_lone(odd)
    else:
        yield Records.of_texts(numbers, texts, raw_text)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_decimal(column.type):
        # Without the zeros that only fill up the scale; zero itself is written in powers of ten when its scale is great.
        text = column.cast(pa.string())
        plain = pc.ascii_rtrim(pc.ascii_rtrim(text, "0"), ".")
        plain = pc.if_else(pc.match_substring(text, "."), plain, text)
        return pc.if_else(pc.equal(column, pa.scalar(Decimal(0), column.type)), "0", plain)
    if pa.types.is_timestamp(column.type):
        moments = column.cast(pa.timestamp(column.type.unit))
        if column.type.unit == "ms":  # as microseconds the greatest ones would wrap around
            moments = pc.max_element_wise(-_FAR_MILLIS, moments.cast(pa.int64()), skip_nulls=False)
            moments = pc.min_element_wise(_FAR_MILLIS, moments, skip_nulls=False).cast(pa.timestamp("ms"))
        return moments.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    if pa.types.is_integer(column.type) or pa.types.is_null(column.type):
        return column.cast(pa.string())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.binary()).view(pa.string())


def _decoded(column: pa.Array) -> list[str | None]:
    cells: list[bytes | None] = column.view(pa.binary()).to_pylist()
    return [None if cell is None else cell.decode("utf-8", "surrogateescape") for cell in cells]


def _row_text(columns: Mapping[str, pa.Array]) -> Callable[[int], str]:
    @cache
    def shown(name: str) -> pa.Array:
        column = columns[name]
        if pa.types.is_timestamp(column.type):  # not every one is a datetime of Python's
            text = column.cast(pa.timestamp(column.type.unit)).cast(pa.string())
            return text if column.type.tz is None else pc.binary_join_element_wise(text, "Z", "")
        is_number = pa.types.is_decimal(column.type) or pa.types.is_integer(column.type)
        return column if is_number else _as_text(column).view(pa.binary())

    names = [name for name in FIELDS if name in columns]
    return lambda row: "{" + ",".join(f'"{name}":{_cell_as_json(shown(name)[row].as_py())}' for name in names) + "}"


def _cell_as_json(value: Any) -> str:
    """Return a cell as JSON, a number as it is."""
    if isinstance(value, Decimal):
        return str(value)
    return _AS_JSON(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
