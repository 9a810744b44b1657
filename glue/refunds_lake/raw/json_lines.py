"""JSON Lines as columns of texts: usual lines in bulk by Arrow, odd ones one by one in Python, with the same result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from refunds_lake.raw.blocks import Block
from refunds_lake.raw.records import Lines, LoneRecord, Records, Texts, text_of
from refunds_lake.schema.contract import BLANKS, FIELDS, IDS, NOT_JSON
from refunds_lake.schema.plain_values import DECODER, json_text

_OPEN, _CLOSE = b"{}"
_SCHEMA: Final = pa.schema([(name, pa.string()) for name in FIELDS])
_ROW: Final = re.compile(r"in row (\d+)$")
_NUMBER_AS_AMOUNT: Final = r'("amount"[ \t]*:[ \t]*)(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)([ \t]*[,}])'
_STRINGS_AND_BRACKETS: Final = re.compile(r'("(?:[^"\\]++|\\.)*+")|([\[{])|([]}])|[^]["{}]++|"', re.DOTALL)
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_DIGITS: Final = re.compile(r"([0-9]{2})[0-9]+")


def from_json(blocks: Iterable[Block]) -> Iterator[Records]:
    """Yield the records of JSON lines; skip blank ones."""
    for block in blocks:
        lines = Lines.of(block)
        usual = lines.usual() & (lines.sizes > 1) & (lines.letters[lines.starts] == _OPEN)
        usual &= lines.letters[lines.starts + lines.sizes - 1] == _CLOSE
        if (b"N" in block.text and b"NaN" in block.text) or (b"I" in block.text and b"Inf" in block.text):
            usual &= ~lines.matching("NaN|Inf")  # Arrow takes these for numbers, JSON does not
        if b"\0" in block.text:
            usual &= ~lines.matching(r"\x00")  # Arrow may take it for the end of the text
        yield from lines.records(usual, _json_texts, _parse_alone)


def _json_texts(lines: pa.Array) -> Iterator[tuple[slice, Texts]]:
    """Yield the columns of lines that Arrow accepts, and which lines these are; those that it refuses are left out.

    Each line begins with { and ends with }, and a value that continues in the next line would have a } before a {; so as many
    rows as lines means one object per line.
    """
    first, is_quoted = 0, False
    while first < len(lines):
        end, (table, refused) = len(lines), _json_table(lines[first:])
        if table is None and not is_quoted:
            lines, is_quoted = pc.replace_substring_regex(lines, _NUMBER_AS_AMOUNT, r'\1"\2"\3'), True
            continue
        if refused is not None:
            end = first + refused
            table, _ = _json_table(lines[first:end])
        if table is None:
            return
        if table.num_rows == end - first:
            yield slice(first, end), {name: table[name].combine_chunks() for name in FIELDS}
        first = end + 1


def _json_table(lines: pa.Array) -> tuple[pa.Table | None, int | None]:
    """Return the lines as a table; None if Arrow refuses one, with its position if it is known."""
    try:
        return (_read_json(text_of(lines), _SCHEMA) if len(lines) else _SCHEMA.empty_table()), None
    except pa.ArrowInvalid as error:
        refused = _ROW.search(str(error))
        return None, int(refused[1]) if refused else None


def _read_json(text: bytes | pa.Buffer, schema: pa.Schema) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(text),
        pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore"),
    )


def _shallow(text: str) -> str | None:
    """Return a JSON object with lists and objects in it emptied, because these are never read; None if it is not JSON."""
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


def _parse_alone(number: int, text: str, raw_text: str) -> LoneRecord:
    text = text.strip(BLANKS)
    try:
        value = DECODER.decode(text)
    except RecursionError:  # Arrow has no such limit, and who took the line must not matter
        shallow = _shallow(text)
        return _parse_alone(number, shallow, raw_text) if shallow else LoneRecord(number, raw_text, fault=NOT_JSON)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return LoneRecord(number, raw_text, fault=NOT_JSON)
    not_text = frozenset(name for name in IDS if value.get(name) is not None and type(value[name]) is not str)
    fields = {name: json_text(value.get(name)) for name in FIELDS if name not in not_text}
    return LoneRecord(number, raw_text, fields, not_text=not_text)
