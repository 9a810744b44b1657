"""What one task does to find rows by their ids: which ids a staged object has, and the rows of a stored month.

Runs in a Python worker of Spark's. Each file of a month has an index of the hashes in it, which says at once that
nothing wanted is there; a file without one is looked through. Hashes preselect: rows whose ids share no more than a
hash with a wanted one may come along, so whoever takes the rows compares the ids.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, Self

import numpy as np
import pyarrow as pa

from refunds_lake.publishing.manifests import INDEXES
from refunds_lake.raw.staging import WRITING, StagedObject, by_month, read_staged, without
from refunds_lake.schema.columns import names
from refunds_lake.schema.id_hashes import Sought, distinct, hashed, of_kind
from refunds_lake.storage.objects import ObjectMissing, ObjectStore, StoredObject
from refunds_lake.storage.parquet_objects import AT_ONCE, ParquetObject, parquet_bytes

_MONTHS_AT_ONCE: Final = 4
NONE: Final = np.array([], np.int64)
_INDEX_VERSION: Final = "v1"
"""Must change with what `id_hashes.hashed` makes of an id: an index of another version is ignored."""
REFERRED: Final = ("id", "customer_id", "merchant_id")
"""What refunds take from their purchase, beside its month."""


@dataclasses.dataclass(frozen=True)
class Ids:
    """Hashes of the ids and of the parent ids of some transactions of a kind, each once."""

    ids: np.ndarray = dataclasses.field(default_factory=NONE.copy)
    parents: np.ndarray = dataclasses.field(default_factory=NONE.copy)
    footer: np.ndarray = dataclasses.field(default_factory=NONE.copy)
    """Of an index: the end of its file, enough to open it; indexes of version 0.2.0 have none."""

    def __or__(self, other: Ids) -> Ids:
        return Ids(np.union1d(self.ids, other.ids), np.union1d(self.parents, other.parents))

    @classmethod
    def of(cls, rows: pa.Table) -> Ids:
        """Return the ids of some rows, which may have a parent_id each."""
        return cls(distinct(_hashes(rows["id"])), _parents(rows))

    def to_bytes(self) -> bytes:
        """Return bytes for `from_bytes`; the same hashes give the same bytes."""
        body = io.BytesIO()
        np.savez(body, **vars(self))
        return body.getvalue()

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        with np.load(io.BytesIO(body)) as arrays:
            return cls(**arrays)


def index_key(key: str, etag: str) -> str:
    """Return the key of the index of a file `<base_prefix><table>/month=M/run=R/<name>` with this ETag.

    Readers of the table find nothing but Parquet in its months, and a file that was replaced has no index.
    """
    *above, table, month, run, name = key.split("/")
    return "/".join([*above, f"{INDEXES}{table}", month, run, f"{name.partition('.')[0]}.{etag}.{_INDEX_VERSION}.ids"])


@dataclasses.dataclass(frozen=True)
class Wanted(Ids):
    """Hashes to look for. Rows with a referred id need the columns of REFERRED only, the others may be null in them."""

    referred: np.ndarray = dataclasses.field(default_factory=NONE.copy)

    def covers(self, other: Wanted) -> bool:
        """Return whether a search for this finds everything that one for the other would."""
        briefly = np.union1d(self.ids, self.referred)
        pairs = ((other.ids, self.ids), (other.parents, self.parents), (other.referred, briefly))
        return all(np.isin(some, all_).all() for some, all_ in pairs)

    def __bool__(self) -> bool:
        return bool(len(self.ids) or len(self.parents) or len(self.referred))


@dataclasses.dataclass(frozen=True)
class Hits:
    """What was found in one month: where it was staged, and which ids it has."""

    key: str
    ids: Ids


def ids_of(base: ObjectStore, broken: frozenset[int], staged: StagedObject) -> Ids:
    """Return the ids of a staged object, except those of broken files."""
    columns = [name for name in ("id_hash", "parent_id") if name == "id_hash" or name in names(staged.kind)]
    rows = read_staged(base, staged, columns, broken)
    return Ids(distinct(rows["id_hash"].to_numpy()), _parents(rows))


def pick(
    base: ObjectStore, broken: frozenset[int], contested: str, prefix: str, staged: StagedObject
) -> Counter[tuple[str, str]]:
    """Stage the records with a contested hash by kind once more, from one object, below the prefix.

    In: the key of the hashes. Return how many there are by kind and month.
    """
    sought = _sought(contested, base).ids
    part = ParquetObject(base, staged.key, staged.size)
    is_wanted = sought.holds(of_kind(staged.kind, part.read(["id_hash"])["id_hash"].to_numpy()))
    if not is_wanted.any():
        return Counter()
    rows = without(part.read().filter(pa.array(is_wanted)), broken)
    if len(rows):
        name = f"{prefix}kind={staged.kind}/{staged.key.rpartition('/')[2]}"
        base.put(name, parquet_bytes(rows, **WRITING))
    return Counter({(staged.kind, month): count for month, count in by_month(rows).items()})


@dataclasses.dataclass(frozen=True)
class Written:
    """A month of a table as a run has written it."""

    month: str
    prefix: str
    files: tuple[StoredObject, ...]

    @property
    def indexes(self) -> list[str]:
        """Return the keys of its files' indexes, now or before packing."""
        return [index_key(each.key, each.etag) for each in self.files]


def search(
    base: ObjectStore, table: str, wanted: str, prefix: str, where: tuple[str | None, Sequence[Written]]
) -> dict[str, Hits | None]:
    """Search months of a table, and stage the rows found below the prefix, each month by itself.

    In: the key of the wanted hashes; the key of a pack, whose months alone are searched, or None for the files' own indexes;
    and the months. Out: the prefix of each searched month, and what was found there.
    """
    packed, places = where
    sought = _sought(wanted, base)
    keys = [key for place in places for key in place.indexes] if packed is None else [packed]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        indexes = {of: ids for some in pool.map(partial(read_indexes, base), keys) for of, ids in some.items()}
    places = [each for each in places if packed is None or indexes.keys() >= {*each.indexes}]

    def look(place: Written) -> Hits | None:
        found: list[pa.Table] = []
        for file, index in zip(place.files, map(indexes.get, place.indexes), strict=True):
            if index is None or sought.may_be_in(index):
                footer = b"" if index is None else index.footer.tobytes()
                found += _found(ParquetObject(base, file.key, file.size, footer=footer), index, table, sought)
        if not found:
            return None
        rows = pa.concat_tables(found)
        months = pa.array([place.month]).take(pa.repeat(pa.scalar(0), len(rows)))
        run = place.prefix.rstrip("/").rpartition("/")[2].replace("=", "-")
        key = f"{prefix}{table}-{place.month}-{run}.parquet"
        base.put(key, parquet_bytes(rows.append_column("month", months), store_schema=False))
        return Hits(key, Ids.of(rows))

    with ThreadPoolExecutor(_MONTHS_AT_ONCE) as pool:
        return {place.prefix: hits for place, hits in zip(places, pool.map(look, places), strict=True)}


def read_indexes(base: ObjectStore, key: str) -> dict[str, Ids]:
    """Return the indexes in an object by the keys of their own objects, now or before packing; none if it is gone."""
    found: dict[str, dict[str, np.ndarray]] = {}
    with contextlib.suppress(ObjectMissing), np.load(io.BytesIO(base.get(key)[0])) as arrays:
        for name in arrays.files:
            of, _, what = name.rpartition("#")
            found.setdefault(of or key, {})[what] = arrays[name]
    return {of: Ids(**hashes) for of, hashes in found.items()}


def pack(base: ObjectStore, what: tuple[str, Sequence[str], Collection[str]]) -> None:
    """Write the kept ones of the indexes in some objects to one object, and delete the others."""
    key, keys, kept = what
    with ThreadPoolExecutor(AT_ONCE) as pool:  # who tries again finds the rest under the key
        found = {of: ids for some in pool.map(partial(read_indexes, base), (key, *keys)) for of, ids in some.items()}
    packed, body = {of: vars(ids) for of, ids in found.items() if of in kept}, io.BytesIO()
    np.savez(body, **{f"{of}#{name}": hashes for of, each in packed.items() for name, hashes in each.items()})
    base.put(key, body.getvalue())
    base.delete(keys)


def _found(part: ParquetObject, index: Ids | None, table: str, sought: _Sought) -> list[pa.Table]:
    # Where an index says that something is there, the other columns are wanted as well.
    also = () if index is None else names(table) if sought.is_in_full(index.ids, index.parents) else REFERRED
    keys = part.read(sought.columns, also=also)
    ids, parents = (_hashes(keys[name]) if name in sought.columns else NONE for name in ("id", "parent_id"))
    in_full, by_parent, brief = sought.ids.holds(ids), sought.parents.holds(parents), sought.referred.holds(ids)
    is_wanted = np.logical_or.reduce([some for some in (in_full, by_parent, brief) if len(some)])
    if not is_wanted.any():
        return []
    is_brief = not (in_full.any() or by_parent.any())
    wanted = [name for name in names(table) if name in REFERRED or not is_brief]
    others = part.read([name for name in wanted if name not in sought.columns])
    read = {name: some[name].filter(pa.array(is_wanted)) for some in (keys, others) for name in some.schema.names}
    types = {name: part.file.schema_arrow.field(name).type for name in names(table)}
    missing = np.count_nonzero(is_wanted)
    return [pa.table({name: read[name] if name in read else pa.nulls(missing, types[name]) for name in types})]


class _Sought:
    """What is looked for, made ready, and the columns of a table that say where it is."""

    def __init__(self, wanted: Wanted) -> None:
        self.ids, self.parents, self.referred = map(Sought, (wanted.ids, wanted.parents, wanted.referred))
        by_id, by_parent = len(wanted.ids) or len(wanted.referred), len(wanted.parents)
        self.columns = [*(["id"] if by_id else []), *(["parent_id"] if by_parent else [])]

    def may_be_in(self, index: Ids) -> bool:
        """Return whether a file with this index contains anything wanted."""
        return self.is_in_full(index.ids, index.parents) or bool(self.referred.holds(index.ids).any())

    def is_in_full(self, ids: np.ndarray, parents: np.ndarray) -> bool:
        """Return whether any of these rows is wanted with all of its columns."""
        return bool(self.ids.holds(ids).any() or self.parents.holds(parents).any())


_sought_before: Final[dict[str, _Sought]] = {}


def _sought(key: str, store: ObjectStore) -> _Sought:
    """Return the wanted hashes, which stay in the process from one month to the next."""
    if key not in _sought_before:
        _sought_before.clear()
        _sought_before[key] = _Sought(Wanted.from_bytes(store.get(key)[0]))
    return _sought_before[key]


def _hashes(ids: pa.ChunkedArray) -> np.ndarray:
    found: np.ndarray = hashed(ids.combine_chunks()).to_numpy()
    return found


def _parents(rows: pa.Table) -> np.ndarray:
    """Return the parents of some rows, each once; none if they have no such column."""
    return distinct(_hashes(rows["parent_id"].drop_null())) if "parent_id" in rows.schema.names else NONE
