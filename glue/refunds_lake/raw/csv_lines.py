"""Lines of CSV as columns of texts: those without quotes many at a time by Arrow, others alone by Python, to the same end."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from refunds_lake.raw.blocks import Block
from refunds_lake.raw.records import BYTE_ORDER_MARK, LINE_BYTES, Lines, LoneRecord, Records, line_of
from refunds_lake.schema.contract import CSV_MALFORMED, FIELDS

_WELL_QUOTED: Final = re.compile(r'(?:"(?:[^"]++|"")*+"|[^",\r]*+)(?:,(?:"(?:[^"]++|"")*+"|[^",\r]*+))*+')


def from_csv(block: Block, names: Sequence[str], header: str) -> Iterator[Records]:
    """The records of CSV lines under a header; blank lines and repeated headers are none.

    A quoted field may hold commas and doubled quotes, but no line break.
    """
    lines = Lines.of(block)
    usual = lines.usual() & (lines.sizes > 0)
    if BYTE_ORDER_MARK.encode() in block.text:
        usual &= ~lines.matching(f"^{BYTE_ORDER_MARK}")
    usual &= ~lines.matching(r"^[ \t\r\n]*\z")
    if b'"' in block.text:
        usual &= ~lines.matching('"')
    if b"\r" in block.text:
        usual &= ~lines.matching(r"\r[^\n]")
    usual &= ~pc.is_in(lines.array, _as_lines(header)).to_numpy(zero_copy_only=False)
    chosen = lines.array if usual.all() else lines.array.filter(pa.array(usual))
    table, ragged = _csv_table(chosen, names)
    parsed = np.ones(len(chosen), bool)
    parsed[ragged] = False
    numbers = lines.numbers(usual)
    if table is not None and table.num_rows == parsed.sum():
        texts = {
            name: table[str(names.index(name))].combine_chunks()
            if name in names
            else pa.nulls(table.num_rows, pa.string())
            for name in FIELDS
        }
        yield Records.of_texts(pa.array(numbers[parsed]), texts, line_of(chosen.filter(pa.array(parsed))))
        usual[numbers[~parsed] - block.first_line] = False
    else:
        usual[:] = False

    def parse(number: int, text: str, raw_text: str) -> LoneRecord | None:
        return None if text == header else _parse_alone(number, text, raw_text, names)

    yield from Records.of_lone(lines.parse_alone(~usual, parse))


def _as_lines(header: str) -> pa.Array:
    """A header as it can stand in a file."""
    return pa.array([f"{header}{end}".encode() for end in ("", "\r", "\n", "\r\n")], pa.binary())


def _csv_table(lines: pa.Array, names: Sequence[str]) -> tuple[pa.Table | None, list[int]]:
    """The wanted columns, named by their position, of the lines without quotes, and which lines have more or fewer fields."""
    if not len(lines):
        return None, []
    ragged: list[int] = []

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row.number - 1)
        return "skip"

    wanted = [str(names.index(name)) for name in FIELDS if name in names]
    offsets = np.frombuffer(lines.buffers()[1], np.int32)
    text = lines.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
    try:
        table = pa.csv.read_csv(
            pa.BufferReader(text),
            pa.csv.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=[str(place) for place in range(len(names))]
            ),
            pa.csv.ParseOptions(quote_char=False, invalid_row_handler=skip),
            pa.csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                strings_can_be_null=False,
                null_values=[],
            ),
        )
    except pa.ArrowInvalid:
        return None, []
    return table, ragged


def _parse_alone(number: int, text: str, raw_text: str, names: Sequence[str]) -> LoneRecord:
    csv.field_size_limit(2 * LINE_BYTES)
    values: list[str] = []
    if _WELL_QUOTED.fullmatch(text):
        values = next(csv.reader([text], strict=True))
    if len(values) != len(names):
        return LoneRecord(number, raw_text, fault=CSV_MALFORMED)
    return LoneRecord(number, raw_text, {name: values[names.index(name)] for name in FIELDS if name in names})
