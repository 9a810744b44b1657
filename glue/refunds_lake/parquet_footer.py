"""The footer of a Parquet file: its columns and its number of rows, without reading the data.

Spark would run a job per file to say as much. Decodes just enough of Thrift's compact protocol; the format is described at
https://parquet.apache.org/docs/file-format/metadata/.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from refunds_lake.objects import ObjectStore

_TAIL: Final = 1 << 16
_MAGIC: Final = b"PAR1"
_UTF8, _UINT, _TIMESTAMP_MILLIS, _TIMESTAMP_MICROS, _DECIMAL = 0, range(11, 15), 9, 10, 5


class NotParquet(Exception):
    """The bytes are no readable Parquet file; the message says why."""


@dataclasses.dataclass(frozen=True)
class Footer:
    """Top-level column name -> Spark type, or a description in <> when the job has no use for the type."""

    rows: int
    columns: tuple[tuple[str, str], ...]


def read_footer(store: ObjectStore, key: str, size: int) -> Footer:
    """The footer of an object of a known size; raises NotParquet, or ObjectMissing."""
    if size < 12:
        raise NotParquet(f"{size} bytes are too few for a Parquet file")
    tail = store.read_range(key, max(0, size - _TAIL), size - 1)
    if tail[-4:] != _MAGIC:
        raise NotParquet("it does not end like a Parquet file; it may be cut off or encrypted")
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > size:
        raise NotParquet("its footer is longer than the file")
    if length > len(tail):
        tail = store.read_range(key, size - length, size - 1)
    return parse_footer(tail[-length:-8])


def parse_footer(body: bytes) -> Footer:
    """The footer in its Thrift bytes; raises NotParquet."""
    try:
        metadata = _Reader(body).struct(until=3)
        elements = metadata[2]
        return Footer(rows=metadata[3], columns=tuple(_top_level(elements)))
    except (IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise NotParquet(f"its footer cannot be decoded ({error!r})") from error


def _top_level(elements: list[dict[int, Any]]) -> list[tuple[str, str]]:
    columns, position = [], 1
    for _ in range(elements[0].get(5, 0)):
        element = elements[position]
        columns.append((element[4].decode(), _spark_type(element)))
        position = _behind(elements, position)
    return columns


def _behind(elements: list[dict[int, Any]], position: int) -> int:
    """The position behind an element and everything nested in it."""
    children = elements[position].get(5, 0)
    position += 1
    for _ in range(children):
        position = _behind(elements, position)
    return position


def _spark_type(element: dict[int, Any]) -> str:
    physical, converted, logical = element.get(1), element.get(6), element.get(10, {})
    if element.get(5) or element.get(3) == 2:
        return "<nested>"
    if converted == _DECIMAL or 5 in logical:
        scale = element.get(7, logical.get(5, {}).get(1, 0))
        precision = element.get(8, logical.get(5, {}).get(2, 0))
        return f"decimal({precision},{scale})"
    match physical:
        case 6 if not logical.keys() - {1, 4, 11} and converted in (None, _UTF8, 4, 19):
            return "string"
        case 3:
            return "timestamp"
        case 2 if converted in (_TIMESTAMP_MILLIS, _TIMESTAMP_MICROS):
            return "timestamp"
        case 2 if 8 in logical:
            return "timestamp" if logical[8].get(1, True) else "timestamp_ntz"
        case 1 | 2 if converted in _UINT or 7 in logical or 6 in logical or converted in (6, 7, 8):
            return "<unsigned integer, date or time>"
        case 1:
            return "int"
        case 2:
            return "bigint"
        case 4 | 5:
            return "<float>"
        case 0:
            return "<boolean>"
        case _:
            return "<bytes>"


class _Reader:
    """Thrift compact protocol: structs become dicts from field id to value."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def struct(self, *, until: int | None = None) -> dict[int, Any]:
        """One struct; stops early behind the field `until`."""
        fields: dict[int, Any] = {}
        field = 0
        while header := self._byte():
            field = field + (header >> 4) if header >> 4 else self._zigzag()
            fields[field] = self._value(header & 0x0F)
            if field == until:
                break
        return fields

    def _value(self, kind: int) -> Any:
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._zigzag()
            case 7:
                self._at += 8
                return None
            case 8:
                length = self._varint()
                self._at += length
                return self._body[self._at - length : self._at]
            case 9 | 10:
                header = self._byte()
                size = header >> 4 if header >> 4 != 15 else self._varint()
                return [self._value(header & 0x0F) for _ in range(size)]
            case 12:
                return self.struct()
            case _:
                raise ValueError(f"type {kind}")

    def _byte(self) -> int:
        self._at += 1
        return self._body[self._at - 1]

    def _varint(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
