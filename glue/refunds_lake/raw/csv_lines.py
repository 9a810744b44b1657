"""Lines of CSV as columns of texts: lines without quotes in bulk by Arrow, others one by one in Python, with the same result."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from refunds_lake.raw.blocks import Block, Unreadable
from refunds_lake.raw.records import (
    BYTE_ORDER_MARK,
    LINE_BYTES,
    Lines,
    LoneRecord,
    Records,
    Texts,
    check_columns,
    text_of,
)
from refunds_lake.schema.contract import CSV_MALFORMED, FIELDS

_HEADER_BYTES: Final = 1 << 16
_WELL_QUOTED: Final = re.compile(r'(?:"(?:[^"]++|"")*+"|[^",\r]*+)(?:,(?:"(?:[^"]++|"")*+"|[^",\r]*+))*+')


def from_csv(blocks: Iterator[Block]) -> Iterator[Records]:
    """Yield the records of CSV lines below the header in the first one; skip blank lines and repeated headers.

    A quoted field may hold commas and doubled quotes, but no line break. Raise Unreadable for a header that is none.
    """
    first = next(blocks, Block(1, b""))
    header, names = _header(first.text.partition(b"\n")[0])
    for block in itertools.chain([first], blocks):
        yield from _records(block, names, header)


def _header(line: bytes) -> tuple[str, list[str]]:
    """Return the header as text, and the names of the columns in lower case."""
    if len(line) > _HEADER_BYTES:
        raise Unreadable(f"the header line is longer than {_HEADER_BYTES} bytes")
    try:
        header = line.removesuffix(b"\r").decode().removeprefix(BYTE_ORDER_MARK)
        names = [name.strip().lower() for name in next(csv.reader([header], strict=True), [])]
    except UnicodeDecodeError as error:
        raise Unreadable("the header line is not UTF-8") from error
    except csv.Error as error:
        raise Unreadable(f"the header line is not CSV: {error}") from error
    check_columns(names)
    return header, names


def _records(block: Block, names: Sequence[str], header: str) -> Iterator[Records]:
    lines = Lines.of(block)
    usual = lines.usual() & (lines.sizes > 0)
    if BYTE_ORDER_MARK.encode() in block.text:
        usual &= ~lines.matching(f"^{BYTE_ORDER_MARK}")
    usual &= ~lines.matching(r"^[ \t\r\n]*\z")
    if b'"' in block.text:
        usual &= ~lines.matching('"')
    if b"\r" in block.text:
        usual &= ~lines.matching(r"\r[^\n]")
    headers = pa.array([f"{header}{end}".encode() for end in ("", "\r", "\n", "\r\n")], pa.binary())
    usual &= ~pc.is_in(lines.array, headers).to_numpy(zero_copy_only=False)
    return lines.records(usual, partial(_csv_texts, names), partial(_parse_alone, names, header))


def _csv_texts(names: Sequence[str], lines: pa.Array) -> Iterator[tuple[np.ndarray, Texts]]:
    """Yield the wanted columns of lines without quotes that have the right number of fields, and which lines these are."""
    if not len(lines):
        return
    ragged: list[int] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row.number - 1)
        return "skip"

    places = {name: str(names.index(name)) for name in FIELDS if name in names}
    text, columns = text_of(lines), [*map(str, range(len(names)))]
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            pa.csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=columns),
            pa.csv.ParseOptions(quote_char=False, invalid_row_handler=skip),
            pa.csv.ConvertOptions(
                include_columns=list(places.values()),
                column_types=dict.fromkeys(places.values(), pa.string()),
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return
    taken = np.delete(np.arange(len(lines)), ragged)
    if table.num_rows == len(taken):
        nothing = pa.nulls(len(taken), pa.string())
        yield taken, {n: table[places[n]].combine_chunks() if n in places else nothing for n in FIELDS}


def _parse_alone(names: Sequence[str], header: str, number: int, text: str, raw_text: str) -> LoneRecord | None:
    if text == header:
        return None
    csv.field_size_limit(2 * LINE_BYTES)
    values = next(csv.reader([text], strict=True)) if _WELL_QUOTED.fullmatch(text) else []
    if len(values) != len(names):
        return LoneRecord(number, raw_text, fault=CSV_MALFORMED)
    return LoneRecord(number, raw_text, {name: values[names.index(name)] for name in FIELDS if name in names})
