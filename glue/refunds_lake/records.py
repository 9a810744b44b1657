"""Blocks of lines and Parquet batches as columns of texts, whatever the format; each record with its place and raw text.

Texts only: what they mean is for `rules` to say. Usual lines are parsed many at a time by Arrow; a line that is not usual is
parsed alone, by Python, to the same end. Which of the two took a line never shows in what becomes of it.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json

from refunds_lake.lines import Block
from refunds_lake.raw_files import FIELDS

LINE_BYTES: Final = 1 << 20
"""A longer line is rejected, with its beginning as its raw text."""
_RAW_TEXT_LETTERS: Final = 1 << 16
IDS: Final = ("id", "customer_id", "merchant_id", "parent_id")
"""The fields that must be texts; numbers or lists there are named as such."""
NOT_JSON, CSV_MALFORMED, LINE_TOO_LONG = "not_json", "csv_malformed", "line_too_long"
_BLANKS: Final = " \t\r\n"
_BYTE_ORDER_MARK: Final = "\ufeff"
_FAR_MILLIS: Final = 10**15
"""Later than any year of four digits."""
_LF, _CR, _OPEN, _CLOSE = b"\n\r{}"
_SCHEMA: Final = pa.schema([(name, pa.string()) for name in FIELDS])
_ROW: Final = re.compile(r"in row (\d+)$")
_NUMBER_AS_AMOUNT: Final = r'("amount"[ \t]*:[ \t]*)(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)([ \t]*[,}])'
_WELL_QUOTED: Final = re.compile(r'(?:"(?:[^"]++|"")*+"|[^",\r]*+)(?:,(?:"(?:[^"]++|"")*+"|[^",\r]*+))*+')
_STRINGS_AND_BRACKETS: Final = re.compile(r'("(?:[^"\\]++|\\.)*+")|([\[{])|([]}])|[^]["{}]++|"', re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_DIGITS: Final = re.compile(r"([0-9]{2})[0-9]+")

Texts = Mapping[str, pa.Array]


@dataclasses.dataclass(frozen=True)
class Records:
    """Some records of one file: arrays of the same length, and the raw text of the n-th of them."""

    line_numbers: pa.Array
    texts: Texts
    raw_text: Callable[[int], str]
    faults: pa.Array
    """Why a line has no fields at all, or null."""
    invalid_utf8: Mapping[str, pa.Array]
    """For each of IDS: there is something in the field that is no UTF-8."""
    not_text: Mapping[str, pa.Array]
    """For each of IDS: the field is there, but as a number, a boolean, a list or an object."""

    def __len__(self) -> int:
        return len(self.line_numbers)


@dataclasses.dataclass(frozen=True)
class Odd:
    """One record that was parsed alone."""

    line_number: int
    raw_text: str
    fields: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    fault: str | None = None
    not_text: frozenset[str] = frozenset()


def _sound(line_numbers: pa.Array, texts: Texts, raw_text: Callable[[int], str]) -> Records:
    """Records without a fault."""
    no = pa.nulls(len(line_numbers), pa.bool_())
    return Records(
        line_numbers, texts, raw_text, pa.nulls(len(no), pa.string()), dict.fromkeys(IDS, no), dict.fromkeys(IDS, no)
    )


def _of_odd(odd: Sequence[Odd]) -> Iterator[Records]:
    if not odd:
        return
    yield Records(
        pa.array([each.line_number for each in odd], pa.int64()),
        {name: pa.array([_utf8(each.fields.get(name)) for each in odd], pa.string()) for name in FIELDS},
        lambda row: odd[row].raw_text,
        pa.array([each.fault for each in odd], pa.string()),
        {name: pa.array([_utf8(value := each.fields.get(name)) != value for each in odd], pa.bool_()) for name in IDS},
        {name: pa.array([name in each.not_text for each in odd], pa.bool_()) for name in IDS},
    )


def _utf8(text: str | None) -> str | None:
    """The text with the replacement character for what cannot be encoded: bytes that are no UTF-8, halves of a surrogate pair."""
    return (
        text if text is None or text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


# -- lines


@dataclasses.dataclass(frozen=True)
class _Lines:
    """The lines of a block, each with its end; `sizes` are without it."""

    block: Block
    array: pa.Array
    starts: np.ndarray
    sizes: np.ndarray
    bytes: np.ndarray

    @classmethod
    def of(cls, block: Block) -> _Lines:
        letters = np.frombuffer(block.text, np.uint8)
        ends = np.flatnonzero(letters == _LF) + 1
        if letters[-1] != _LF:
            ends = np.append(ends, len(letters))
        offsets = np.zeros(len(ends) + 1, np.int32)
        offsets[1:] = ends
        array = pa.Array.from_buffers(
            pa.binary(), len(ends), [None, pa.py_buffer(offsets), pa.py_buffer(block.text)]
        )  # fmt: skip
        starts = offsets[:-1]
        has_lf = letters[ends - 1] == _LF
        has_cr = letters[np.maximum(ends - 1 - has_lf, 0)] == _CR
        return cls(block, array, starts, np.maximum(ends - starts - has_lf - has_cr, 0), letters)

    def usual(self) -> np.ndarray:
        """Which lines are short enough and UTF-8."""
        usual = self.sizes <= LINE_BYTES
        try:
            self.array.cast(pa.string())
        except pa.ArrowInvalid:
            usual &= np.fromiter((_is_utf8(line) for line in self.array.to_pylist()), bool, len(self.array))
        return usual

    def matching(self, pattern: str) -> np.ndarray:
        found: np.ndarray = pc.match_substring_regex(self.array, pattern).to_numpy(zero_copy_only=False)
        return found

    def numbers(self, chosen: np.ndarray) -> np.ndarray:
        return np.flatnonzero(chosen) + self.block.first_line

    def odd(self, chosen: np.ndarray, parse: Callable[[int, str, str], Odd | None]) -> list[Odd]:
        """The chosen lines that are not blank, each by `parse` (line number, text, raw text) or as too long."""
        found: list[Odd | None] = []
        for row in np.flatnonzero(chosen).tolist():
            number = row + self.block.first_line
            start, size = int(self.starts[row]), int(self.sizes[row])
            line = self.block.text[start : start + size]
            raw_text = line.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK)
            if not raw_text.strip(_BLANKS):
                continue
            if size > LINE_BYTES:
                found.append(Odd(number, raw_text[:_RAW_TEXT_LETTERS], fault=LINE_TOO_LONG))
            else:
                text = line.decode("utf-8", "surrogateescape").removeprefix(_BYTE_ORDER_MARK)
                found.append(parse(number, text, raw_text))
        return [each for each in found if each is not None]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _raw_text(lines: pa.Array) -> Callable[[int], str]:
    def raw_text(row: int) -> str:
        line: bytes = lines[row].as_py()
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()

    return raw_text


# -- JSON Lines


def from_json(block: Block) -> Iterator[Records]:
    """The records of JSON lines; blank ones are none."""
    lines = _Lines.of(block)
    ends = lines.starts + lines.sizes
    usual = lines.usual() & (lines.sizes > 1)
    usual &= (lines.bytes[lines.starts] == _OPEN) & (lines.bytes[ends - 1] == _CLOSE)
    if (b"N" in block.text and b"NaN" in block.text) or (b"I" in block.text and b"Inf" in block.text):
        usual &= ~lines.matching("NaN|Inf")  # Arrow takes these for numbers, JSON does not
    if b"\0" in block.text:
        usual &= ~lines.matching(r"\x00")  # Arrow may take it for the end of the text
    chosen = lines.array if usual.all() else lines.array.filter(pa.array(usual))
    numbers = lines.numbers(usual)
    parsed = np.zeros(len(chosen), bool)
    for first, table in _json_tables(chosen):
        rows = slice(first, first + table.num_rows)
        parsed[rows] = True
        texts = {name: table[name].combine_chunks() for name in FIELDS}
        yield _sound(pa.array(numbers[rows]), texts, _raw_text(chosen[rows]))
    usual[numbers[~parsed] - block.first_line] = False
    yield from _of_odd(lines.odd(~usual, _odd_json))


def _json_tables(lines: pa.Array) -> Iterator[tuple[int, pa.Table]]:
    """Tables of lines that Arrow takes, each with the number of its first line; lines that it refuses are left out.

    Each line begins with { and ends with }, and a value that goes on in the next line would have a } before a {; so as many
    rows as lines means one object per line.
    """
    first, is_quoted = 0, False
    while first < len(lines):
        rest = lines[first:]
        try:
            table = _json_table(rest)
        except pa.ArrowInvalid as error:
            if not is_quoted:
                lines, is_quoted = pc.replace_substring_regex(lines, _NUMBER_AS_AMOUNT, r'\1"\2"\3'), True
                continue
            refused = _ROW.search(str(error))
            if refused is None:
                return
            before = rest[: int(refused[1])]
            try:
                table = _json_table(before)
            except pa.ArrowInvalid:
                return
            if table.num_rows == len(before):
                yield first, table
            first += len(before) + 1
            continue
        if table.num_rows == len(rest):
            yield first, table
        return


def _json_table(lines: pa.Array) -> pa.Table:
    if not len(lines):
        return _SCHEMA.empty_table()
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return _read_json(lines.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])), _SCHEMA)


def _read_json(text: bytes | pa.Buffer, schema: pa.Schema) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(text),
        pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def _shallow(text: str) -> str | None:
    """A JSON object with empty lists and objects as its fields, for no other ones are looked into; None if it is no JSON."""
    depth, kept, checked = 0, [], []
    for piece in _STRINGS_AND_BRACKETS.finditer(text):
        string, opening, closing = piece.groups()
        if not string and re.search("NaN|Inf", piece[0]):
            return None
        # To Arrow halves of surrogate pairs and numbers beyond its floats are no JSON.
        checked.append(_SURROGATE.sub(r"\\u0020", string) if string else _DIGITS.sub(r"\1", piece[0]))
        depth -= bool(closing)
        if depth < 2:
            kept.append(piece[0])
        depth += bool(opening)
    try:
        _read_json("".join(checked).encode("utf-8", "replace"), pa.schema([]))
    except pa.ArrowInvalid:
        return None
    return "".join(kept)


class _Number(str):
    """A JSON number, as it is written."""

    __slots__ = ()


def _refuse(name: str) -> Any:
    raise ValueError(name)


def _odd_json(number: int, text: str, raw_text: str) -> Odd:
    text = text.strip(_BLANKS)
    try:
        value = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_refuse)
    except RecursionError:  # Arrow has no such limit, and who took the line must not matter
        shallow = _shallow(text)
        return _odd_json(number, shallow, raw_text) if shallow else Odd(number, raw_text, fault=NOT_JSON)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return Odd(number, raw_text, fault=NOT_JSON)
    not_text = frozenset(name for name in IDS if value.get(name) is not None and type(value[name]) is not str)
    return Odd(
        number,
        raw_text,
        {name: _json_text(value.get(name)) for name in FIELDS if name not in not_text},
        not_text=not_text,
    )


def _json_text(value: Any) -> str | None:
    """A text, or a number as it is written; anything else as something that no field can be."""
    return value if value is None or isinstance(value, str) else "(neither a text nor a number)"


# -- CSV


def from_csv(block: Block, names: Sequence[str], header: str) -> Iterator[Records]:
    """The records of CSV lines under a header; blank lines and repeated headers are none.

    A quoted field may hold commas and doubled quotes, but no line break.
    """
    lines = _Lines.of(block)
    usual = lines.usual() & (lines.sizes > 0)
    if _BYTE_ORDER_MARK.encode() in block.text:
        usual &= ~lines.matching(f"^{_BYTE_ORDER_MARK}")
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
        yield _sound(pa.array(numbers[parsed]), texts, _raw_text(chosen.filter(pa.array(parsed))))
        usual[numbers[~parsed] - block.first_line] = False
    else:
        usual[:] = False

    def parse(number: int, text: str, raw_text: str) -> Odd | None:
        return None if text == header else _odd_csv(number, text, raw_text, names)

    yield from _of_odd(lines.odd(~usual, parse))


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


def _odd_csv(number: int, text: str, raw_text: str, names: Sequence[str]) -> Odd:
    csv.field_size_limit(2 * LINE_BYTES)
    values: list[str] = []
    if _WELL_QUOTED.fullmatch(text):
        values = next(csv.reader([text], strict=True))
    if len(values) != len(names):
        return Odd(number, raw_text, fault=CSV_MALFORMED)
    return Odd(number, raw_text, {name: values[names.index(name)] for name in FIELDS if name in names})


# -- Parquet


def from_parquet(batches: Iterable[pa.RecordBatch]) -> Iterator[Records]:
    """The records of Parquet rows, numbered from 1; the raw text of a row is its fields as JSON."""
    first = 1
    for batch in batches:
        numbers = pa.array(np.arange(first, first + len(batch)))
        first += len(batch)
        columns = {name.lower(): batch.column(name) for name in batch.schema.names}
        texts = {
            name: _as_text(columns[name]) if name in columns else pa.nulls(len(batch), pa.string()) for name in FIELDS
        }
        raw_text = _row_text(columns)
        try:
            for text in texts.values():
                text.validate(full=True)
        except pa.ArrowInvalid:
            decoded = zip(*(_decoded(text) for text in texts.values()), strict=True)
            rows = [dict(zip(texts, cells, strict=True)) for cells in decoded]
            odd = [Odd(number, raw_text(row), rows[row]) for row, number in enumerate(numbers.to_pylist())]
            yield from _of_odd(odd)
        else:
            yield _sound(numbers, texts, raw_text)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_decimal(column.type):
        # Without the zeros that only fill up the scale; zero itself is written in powers of ten when its scale is great.
        text = column.cast(pa.string())
        plain = pc.ascii_rtrim(pc.ascii_rtrim(text, "0"), ".")
        plain = pc.if_else(pc.match_substring(text, "."), plain, text)
        return pc.if_else(pc.equal(column, pa.scalar(Decimal(0), column.type)), "0", plain)
    if pa.types.is_timestamp(column.type):
        moments = column.cast(pa.timestamp(column.type.unit))
        if column.type.unit == "ms":  # as microseconds the greatest ones would begin anew
            moments = pc.max_element_wise(-_FAR_MILLIS, moments.cast(pa.int64()), skip_nulls=False)
            moments = pc.min_element_wise(_FAR_MILLIS, moments, skip_nulls=False).cast(pa.timestamp("ms"))
        return moments.cast(pa.timestamp("us"), safe=False).cast(pa.string())
    if pa.types.is_integer(column.type):
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

    return lambda row: _row_as_json({name: shown(name)[row].as_py() for name in FIELDS if name in columns})


def _row_as_json(fields: Mapping[str, Any]) -> str:
    """A row as JSON, numbers as they are."""

    def text(value: Any) -> str:
        if isinstance(value, Decimal):
            return str(value)
        return json.dumps(value.decode("utf-8", "replace") if isinstance(value, bytes) else value, ensure_ascii=False)

    return "{" + ",".join(f"{json.dumps(name)}:{text(value)}" for name, value in fields.items()) + "}"
