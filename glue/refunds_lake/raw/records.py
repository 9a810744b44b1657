"""Records as columns of texts, whatever the format, each with its place and raw text; and the lines of a block.

Texts only: what they mean is for `rules` to say. Usual lines are parsed many at a time by Arrow; a line that is not usual is
parsed alone, by Python, to the same end. Which of the two took a line never shows in what becomes of it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from refunds_lake.raw.blocks import Block, Unreadable
from refunds_lake.schema.contract import BLANKS, FIELDS, IDS, LINE_TOO_LONG, REQUIRED
from refunds_lake.schema.plain_values import utf8

LINE_BYTES: Final = 1 << 20
"""A longer line is rejected, with its beginning as its raw text."""
_RAW_TEXT_LETTERS: Final = 1 << 16
BYTE_ORDER_MARK: Final = "\ufeff"
_LF, _CR = b"\n\r"

Texts = Mapping[str, pa.Array]


def check_columns(names: Sequence[str]) -> None:
    """Raise Unreadable if a file with columns of these names, in lower case, cannot be understood."""
    if missing := [name for name in REQUIRED if name not in names]:
        raise Unreadable(f"no column {', '.join(missing)}; its columns are {', '.join(names) or '(none)'}"[:500])
    if twice := [name for name, times in Counter(names).items() if times > 1 and name in FIELDS]:
        raise Unreadable(f"column {', '.join(twice)} occurs more than once")


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
        """Return the records without faults."""
        no = pa.nulls(len(line_numbers), pa.bool_())
        faults = pa.nulls(len(line_numbers), pa.string())
        return cls(line_numbers, texts, raw_text, faults, dict.fromkeys(IDS, no), dict.fromkeys(IDS, no))

    @classmethod
    def of_lone(cls, lone: Sequence[LoneRecord]) -> Iterator[Records]:
        """Yield these records as one; nothing for no records."""
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


ByArrow = Callable[[pa.Array], Iterator[tuple[slice | np.ndarray, Texts]]]
"""Lines that look usual -> the columns of those that Arrow takes, with their places among the lines."""
Alone = Callable[[int, str, str], LoneRecord | None]
"""Line number, text and raw text of a line -> its record; None for a line that is none."""


@dataclasses.dataclass(frozen=True)
class Lines:
    """The lines of a block, each with its end; `sizes` are without it."""

    block: Block
    array: pa.Array
    starts: np.ndarray
    sizes: np.ndarray
    letters: np.ndarray

    @classmethod
    def of(cls, block: Block) -> Lines:
        letters = np.frombuffer(block.text, np.uint8)
        ends = np.flatnonzero(letters == _LF) + 1
        if letters[-1] != _LF:
            ends = np.append(ends, len(letters))
        offsets = np.zeros(len(ends) + 1, np.int32)
        offsets[1:] = ends
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(block.text)]
        array = pa.Array.from_buffers(pa.binary(), len(ends), buffers)
        starts = offsets[:-1]
        has_lf = letters[ends - 1] == _LF
        has_cr = letters[np.maximum(ends - 1 - has_lf, 0)] == _CR
        return cls(block, array, starts, np.maximum(ends - starts - has_lf - has_cr, 0), letters)

    def usual(self) -> np.ndarray:
        """Return which lines are short enough and UTF-8."""
        usual = self.sizes <= LINE_BYTES
        try:
            self.array.cast(pa.string())
        except pa.ArrowInvalid:
            usual &= [line.decode(errors="ignore").encode() == line for line in self.array.to_pylist()]
        return usual

    def matching(self, pattern: str) -> np.ndarray:
        found: np.ndarray = pc.match_substring_regex(self.array, pattern).to_numpy(zero_copy_only=False)
        return found

    def records(self, usual: np.ndarray, by_arrow: ByArrow, alone: Alone) -> Iterator[Records]:
        """Yield the records of the lines: usual ones as Arrow parses them, each of the others by itself."""
        rows = np.flatnonzero(usual)
        is_taken = np.zeros(len(self.array), bool)
        for some, texts in by_arrow(self.array if usual.all() else self.array.filter(pa.array(usual))):
            taken = rows[some]
            is_taken[taken] = True
            yield Records.of_texts(pa.array(taken + self.block.first_line), texts, partial(self._usual_text, taken))
        yield from Records.of_lone(self._parsed_alone(~is_taken, alone))

    def _usual_text(self, rows: np.ndarray, place: int) -> str:
        return self._line(int(rows[place])).decode()

    def _line(self, row: int) -> bytes:
        start = int(self.starts[row])
        return self.block.text[start : start + int(self.sizes[row])]

    def _parsed_alone(self, chosen: np.ndarray, alone: Alone) -> list[LoneRecord]:
        """Return the chosen lines that are not blank, each parsed or marked as too long."""
        found: list[LoneRecord | None] = []
        for row in np.flatnonzero(chosen).tolist():
            number, line = row + self.block.first_line, self._line(row)
            raw_text = line.decode("utf-8", "replace").removeprefix(BYTE_ORDER_MARK)
            if not raw_text.strip(BLANKS):
                continue
            if len(line) > LINE_BYTES:
                found.append(LoneRecord(number, raw_text[:_RAW_TEXT_LETTERS], fault=LINE_TOO_LONG))
            else:
                text = line.decode("utf-8", "surrogateescape").removeprefix(BYTE_ORDER_MARK)
                found.append(alone(number, text, raw_text))
        return [each for each in found if each is not None]


def text_of(lines: pa.Array) -> pa.Buffer:
    """Return the bytes of lines, one after the other."""
    offsets = np.frombuffer(lines.buffers()[1], np.int32)[lines.offset : lines.offset + len(lines) + 1]
    return lines.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
