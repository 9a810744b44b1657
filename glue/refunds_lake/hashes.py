"""64-bit hashes of ids, many at a time. They only preselect: what stands is decided by the ids themselves."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, odd: multiplying by it spreads neighbours."""
_SHIFT: Final = np.uint64(32)


def hashed(kind: str, ids: pa.Array) -> pa.Array:
    """A hash of kind and id for each id; 0 for null. The same in every process and version."""
    ids = pa.concat_arrays([ids]) if ids.offset else ids
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[: len(ids) + 1]
    letters = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    lengths = np.diff(offsets)
    found = np.zeros(len(ids), np.uint64)
    for length in np.unique(lengths[lengths > 0]).tolist():
        rows = np.flatnonzero(lengths == length)
        words = np.zeros((len(rows), -(-length // 8) * 8), np.uint8)
        words[:, :length] = letters[offsets[rows][:, None] + np.arange(length)]
        found[rows] = _mixed(words.view(np.uint64), seed=int.from_bytes(kind[:4].encode(), "little") + length)
    return pa.array(found.view(np.int64))


def _mixed(words: np.ndarray, *, seed: int) -> np.ndarray:
    state = np.full(len(words), seed, np.uint64)
    for column in range(words.shape[1]):
        state = (state ^ words[:, column]) * _FACTOR
        state ^= state >> _SHIFT
    return state * _FACTOR


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Those that come more than once, each once."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
