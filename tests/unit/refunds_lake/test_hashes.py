"""Hashes of ids: the same wherever they are taken, different where ids are, and what comes more than once."""

from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa
from refunds_lake.schema.id_hashes import Sought, hashed, of_kind, repeated
from refunds_lake.tables.month_search import index_key


def test_an_id_has_one_hash_wherever_it_stands() -> None:
    """Given ids of all lengths, alone, in other company and in a part of an array, then each one's hash is the same."""
    random = Random(3)
    ids = [None, "", "a", "a\0", "é", *("".join(random.choices("abc0", k=length)) for length in range(1, 130))]
    together = hashed(pa.array(ids)).to_pylist()
    assert [hashed(pa.array([each], pa.string()))[0].as_py() for each in ids] == together
    assert hashed(pa.array(ids)[40:60]).to_pylist() == together[40:60]
    assert hashed(pa.array(ids).filter(pa.array([place % 2 == 0 for place in range(len(ids))]))).to_pylist() == together[::2]  # fmt: skip
    assert len(set(together)) == len(set(ids)) - 1  # null and the empty text share theirs
    assert hashed(pa.array([], pa.string())).to_pylist() == []


def test_hashes_are_those_of_the_stored_indexes() -> None:
    """Indexes of published files hold these: with another function the index of another version must be written."""
    ids = pa.array(["p1", "de544ccc-16f7-1151-8442-ff138b2886ee", "é", "a longer id than eight bytes"])
    assert hashed(ids).to_pylist() == [
        -2970180200078980815,
        -6975075500906544200,
        6899937657800808772,
        3050850445388981069,
    ]
    key = "base/refund/month=2026-09/run=x/part-00001.zstd.parquet"
    assert index_key(key, "e1") == "base/_ids/refund/month=2026-09/run=x/part-00001.e1.v1.ids"


def test_kinds_and_neighbours_have_other_hashes() -> None:
    """Given ids that differ in a digit or in their kind, then hardly two of them share a hash, whole or in part."""
    ids = pa.array([f"id-{number:09}" for number in range(300_000)])
    found = np.concatenate([of_kind(kind, hashed(ids).to_numpy()) for kind in ("purchase", "void", "refund")])
    assert len(np.unique(found)) == len(found)
    assert len(np.unique(found.view(np.uint64) >> np.uint64(32))) > 0.999 * len(found)


def test_changes_at_two_places_do_not_cancel_out() -> None:
    """Given ids that differ where eight bytes end, and eight bytes later, then no two of them share a hash."""
    letters = [chr(code) for code in range(0x21, 0x7F)]
    found = hashed(pa.array([f"order-1{first}-line-1{second}" for first in letters for second in letters]))
    assert len(found.unique()) == len(letters) ** 2


def test_hashes_that_come_more_than_once_are_named_once() -> None:
    """Given hashes in any order, then those that repeat are found, and no others."""
    assert repeated(np.array([5, 1, 5, -2, 5, 1, 7])).tolist() == [1, 5]
    assert repeated(np.array([], np.int64)).tolist() == []


def test_a_set_of_hashes_holds_its_own_and_no_other() -> None:
    """Given sets of none, few and many hashes, some of which differ in the last bit alone, then each holds what is in it."""
    random = np.random.default_rng(7)
    asked = random.integers(-(2**63), 2**63, 5_000, dtype=np.int64)
    asked = np.concatenate([asked, asked ^ 1, [0, -1, 2**63 - 1, -(2**63)]])
    for size in (0, 1, 3, 4_000):
        inside = asked[random.choice(len(asked), size, replace=False)]
        assert Sought(inside).holds(asked).tolist() == np.isin(asked, inside).tolist()
        assert Sought(inside).holds(asked[:0]).tolist() == []
