"""Records as columns of texts, whatever the format, each with its place and raw text; and the lines of a block to make them of.

Texts only: what they mean is for `rules` to say. Usual lines are parsed many at a time by Arrow; a line that is not usual is
parsed alone, by Python, to the same end. Which of the two took a line never shows in what becomes of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refunds_lake.raw.blocks import Block
from refunds_lake.schema.contract import BLANKS, FIELDS, IDS, LINE_TOO_LONG
from refunds_lake.schema.plain_values import utf8

LINE_BYTES: Final = 1 << 20
"""A longer line is rejected, with its beginning as its raw text."""
_RAW_TEXT_LETTERS: Final = 1 << 16
BYTE_ORDER_MARK: Final = "\ufeff"
_LF, _CR = b"\n\r"

Texts = Mapping[str, pa.Array]


@dataclasses.dataclass(frozen=True)
class LoneRecord:
    """One record that was parsed alone."""

    line_number: int
    raw_text: str
    fields: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
    fault: str | None = None
    not_text: frozenset[str] = frozenset()


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

    @classmethod
    def of_texts(cls, line_numbers: pa.Array, texts: Texts, raw_text: Callable[[int], str]) -> Records:
        """Records without a fault."""
        no = pa.nulls(len(line_numbers), pa.bool_())
        faults = pa.nulls(len(line_numbers), pa.string())
        return cls(line_numbers, texts, raw_text, faults, dict.fromkeys(IDS, no), dict.fromkeys(IDS, no))

    @classmethod
    def of_lone(cls, lone: Sequence[LoneRecord]) -> Iterator[Records]:
        """These records together; nothing of none."""
        if not lone:
            return

        def flags(holds: Callable[[LoneRecord, str], bool]) -> dict[str, pa.Array]:
            return {name: pa.array([holds(each, name) for each in lone], pa.bool_()) for name in IDS}

        yield cls(
            pa.array([each.line_number for each in lone], pa.int64()),
            {name: pa.array([utf8(each.fields.get(name)) for each in lone], pa.string()) for name in FIELDS},
            lambda row: lone[row].raw_text,
            pa.array([each.fault for each in lone], pa.string()),
            invalid_utf8=flags(lambda each, name: utf8(value := each.fields.get(name)) != value),
            not_text=flags(lambda each, name: name in each.not_text),
        )


@dataclasses.dataclass(frozen=True)
class Lines:
    """The lines of a block, each with its end; `sizes` are without it."""

    block: Block
    array: pa.Array
    starts: np.ndarray
    sizes: np.ndarray
    bytes: np.ndarray

    @classmethod
    def of(cls, block: Block) -> Lines:
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

    def parse_alone(self, chosen: np.ndarray, parse: Callable[[int, str, str], LoneRecord | None]) -> list[LoneRecord]:
        """The chosen lines that are not blank, each by `parse` (line number, text, raw text) or as too long."""
        found: list[LoneRecord | None] = []
        for row in np.flatnonzero(chosen).tolist():
            number = row + self.block.first_line
            start, size = int(self.starts[row]), int(self.sizes[row])
            line = self.block.text[start : start + size]
            raw_text = line.decode("utf-8", "replace").removeprefix(BYTE_ORDER_MARK)
            if not raw_text.strip(BLANKS):
                continue
            if size > LINE_BYTES:
                found.append(LoneRecord(number, raw_text[:_RAW_TEXT_LETTERS], fault=LINE_TOO_LONG))
            else:
                text = line.decode("utf-8", "surrogateescape").removeprefix(BYTE_ORDER_MARK)
                found.append(parse(number, text, raw_text))
        return [each for each in found if each is not None]


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def line_of(lines: pa.Array) -> Callable[[int], str]:
    def raw_text(row: int) -> str:
        line: bytes = lines[row].as_py()
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()

    return raw_text
