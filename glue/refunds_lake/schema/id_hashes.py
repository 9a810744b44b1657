"""64-bit hashes of ids, in bulk. They only preselect: the ids themselves decide.

Indexes of stored files hold them, so another function needs indexes of another name (`month_search.index_key`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

_FACTOR: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio, odd: multiplying by it spreads neighbours."""
_SHIFT: Final = np.uint64(32)
_SPARE_BITS: Final = 6
_MOST_BITS: Final = 26


def hashed(ids: pa.Array) -> pa.Array:
    """Return a hash of each id, 0 for null, which is the same in every process and version."""
    ids = pa.concat_arrays([ids]) if ids.offset else ids
    offsets = np.frombuffer(ids.buffers()[1], np.int32)[: len(ids) + 1]
    letters = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    lengths = np.diff(offsets)
    found = np.zeros(len(ids), np.uint64)
    several = np.unique(lengths[lengths > 0]).tolist()
    for length in several:
        words = np.zeros((int(np.count_nonzero(lengths == length)), -(-length // 8) * 8), np.uint8)
        if len(several) == 1:  # One behind the other, in one block of letters.
            words[:, :length] = letters[offsets[0] : offsets[-1]].reshape(-1, length)
        else:
            words[:, :length] = letters[offsets[:-1][lengths == length][:, None] + np.arange(length)]
        found[lengths == length] = _mixed(words.view(np.uint64), seed=length)
    return pa.array(found.view(np.int64))


def of_kind(kind: str, hashes: np.ndarray) -> np.ndarray:
    """Return the hashes for ids of one kind, so that the same id of another kind has a different hash."""
    return hashes ^ int.from_bytes(kind[:4].encode() * 2, "little", signed=True)


def _mixed(words: np.ndarray, *, seed: int) -> np.ndarray:
    state = np.full(len(words), seed, np.uint64)
    for column in range(words.shape[1]):
        state = (state ^ words[:, column]) * _FACTOR
        state ^= state >> _SHIFT
    return state * _FACTOR


def distinct(hashes: np.ndarray) -> np.ndarray:
    """Return each hash once, in order. Sorting takes a fraction of the time of numpy's own `unique`."""
    ordered = np.sort(hashes)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def repeated(hashes: np.ndarray) -> np.ndarray:
    """Return the hashes that occur more than once, each once."""
    ordered = np.sort(hashes)
    return distinct(ordered[1:][ordered[1:] == ordered[:-1]])


class Sought:
    """A set of hashes that many are looked up in: a table of their first bits answers for most."""

    def __init__(self, hashes: np.ndarray) -> None:
        self._hashes = distinct(hashes)
        bits = min(len(self._hashes).bit_length() + _SPARE_BITS, _MOST_BITS)
        self._shift = np.uint64(64 - bits)
        self._perhaps = np.zeros(1 << bits, bool)
        self._perhaps[self._hashes.view(np.uint64) >> self._shift] = True

    def holds(self, hashes: np.ndarray) -> np.ndarray:
        """Return for each hash whether it is in the set."""
        among: np.ndarray = self._perhaps[hashes.view(np.uint64) >> self._shift]
        places = np.flatnonzero(among)
        if len(places):
            some = hashes[places]
            at = np.minimum(np.searchsorted(self._hashes, some), len(self._hashes) - 1)
            among[places] = self._hashes[at] == some
        return among
