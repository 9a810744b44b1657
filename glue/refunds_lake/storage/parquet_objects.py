"""Parquet objects, read with few requests: one for the end of an object, and one for each place that is wanted, side by side."""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refunds_lake.storage.objects import ObjectStore

Names = Sequence[str]
AT_ONCE: Final = 8
"""So many requests side by side, for one purpose."""
_END_BYTES: Final = 1 << 17
_GAP_BYTES: Final = 1 << 20
"""Up to so many bytes between two places that are wanted are read along: a request of its own takes longer."""


class ParquetObject:
    """A Parquet object of a known size; without its footer opening it is one request, the only one for a small object."""

    def __init__(self, store: ObjectStore, key: str, size: int, *, repeating: Names = (), footer: bytes = b"") -> None:
        self._store, self._key = store, key
        # Zeros where nothing was fetched, which are no page of Parquet; numpy's own would take memory for them.
        self._bytes = np.frombuffer(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
        self._bytes[size - len(footer) :] = np.frombuffer(footer, np.uint8)
        self._held = [(size - len(footer), size)]
        if not footer:
            self._fetch([(max(size - _END_BYTES, 0), size)])
            self._fetch([(size - _footer_bytes(self._bytes[-8:].tobytes()), size)])
        self.file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(self._bytes)), read_dictionary=[*repeating])

    def read(self, columns: Names | None = None, groups: Sequence[int] | None = None, also: Names = ()) -> pa.Table:
        """Return columns, or all, of row groups, or of all; fetch those wanted later (`also`) with them."""
        metadata, named = self.file.metadata, None if columns is None else {*columns, *also}
        groups = range(metadata.num_row_groups) if groups is None else groups
        paths = [metadata.schema.column(place).path.partition(".")[0] for place in range(metadata.num_columns)]
        places = [place for place, name in enumerate(paths) if named is None or name in named]
        self._fetch(_place(metadata.row_group(group).column(place)) for group in groups for place in places)
        return self.file.read_row_groups(groups, columns=columns, use_threads=False)

    def _fetch(self, places: Iterable[tuple[int, int]]) -> None:
        wanted: list[tuple[int, int]] = []
        for start, end in sorted(places):
            if not any(first <= start and end <= last for first, last in self._held):
                near = bool(wanted) and start - wanted[-1][1] <= _GAP_BYTES
                before = wanted.pop() if near else (start, end)
                wanted.append((before[0], max(before[1], end)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = self._store.read_range
            bodies = (pool.map if len(wanted) > 1 else map)(lambda at: read(self._key, at[0], at[1] - 1), wanted)
            for (start, end), body in zip(wanted, bodies, strict=True):
                self._bytes[start:end] = np.frombuffer(body, np.uint8)
        self._held += wanted


def footer_of(body: bytes) -> bytes:
    """Return the end of a Parquet object, enough to open it."""
    return body[-_footer_bytes(body) :]


def _footer_bytes(end: bytes) -> int:
    return int.from_bytes(end[-8:-4], "little") + 8


def parquet_bytes(rows: pa.Table, **options: Any) -> bytes:
    """Return rows as the content of a Parquet object."""
    body = io.BytesIO()
    pq.write_table(rows, body, **options)
    return body.getvalue()


def _place(chunk: Any) -> tuple[int, int]:
    start = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
    return start, start + chunk.total_compressed_size
