"""What one task does to find rows by their ids: which ids a staged object has, and the rows of a stored month.

Runs in a Python worker of Spark's. Each file of a month has an index of the hashes in it, which says at once that
nothing wanted is there; a file without one is looked through. Hashes preselect: rows whose ids share no more than a
hash with a wanted one may come along, so whoever takes the rows compares the ids.
"""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from refunds_lake.publishing.manifests import INDEXES
from refunds_lake.raw.staging import without, write_staged
from refunds_lake.schema.columns import names
from refunds_lake.schema.id_hashes import Sought, distinct
from refunds_lake.storage.objects import ObjectMissing, ObjectStore, RangeReader, StoredObject, parquet_files

Hashed = Callable[[str, pa.Array], pa.Array]
NONE: Final = np.array([], np.int64)
_INDEX_VERSION: Final = "v1"
"""Must change with what `hashes.hashed` makes of an id: an index of another version is not looked at."""
REFERRED: Final = ("id", "customer_id", "merchant_id")
"""What refunds take from their purchase, beside its month."""


@dataclasses.dataclass(frozen=True)
class Ids:
    """Hashes of the ids and of the parent ids of some transactions of a kind, each once."""

    ids: np.ndarray = dataclasses.field(default_factory=NONE.copy)
    parents: np.ndarray = dataclasses.field(default_factory=NONE.copy)

    def __or__(self, other: Ids) -> Ids:
        return Ids(np.union1d(self.ids, other.ids), np.union1d(self.parents, other.parents))

    @classmethod
    def of(cls, rows: pa.Table, hashed: Hashed) -> Ids:
        """The ids of some rows, which may have a parent_id each."""
        has_parents = "parent_id" in rows.schema.names
        return cls(
            distinct(_hashes(rows["id"], hashed)),
            distinct(_hashes(rows["parent_id"].drop_null(), hashed)) if has_parents else NONE,
        )

    def to_bytes(self) -> bytes:
        """For `from_bytes`."""
        return _to_bytes(ids=self.ids, parents=self.parents)

    @classmethod
    def from_bytes(cls, body: bytes) -> Ids:
        return cls(**_from_bytes(body))


def index_key(key: str, etag: str) -> str:
    """Where the index of a file `<base_prefix><table>/month=M/run=R/<name>` with this ETag lies.

    Readers of the table find nothing but Parquet in its months, and a file that was replaced has no index.
    """
    *above, table, month, run, name = key.split("/")
    return "/".join([*above, f"{INDEXES}{table}", month, run, f"{name.partition('.')[0]}.{etag}.{_INDEX_VERSION}.ids"])


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Hashes to look for. Rows with a referred id need the columns of REFERRED only, the others may be null in them."""

    ids: np.ndarray = dataclasses.field(default_factory=NONE.copy)
    parents: np.ndarray = dataclasses.field(default_factory=NONE.copy)
    referred: np.ndarray = dataclasses.field(default_factory=NONE.copy)

    def covers(self, other: Wanted) -> bool:
        """Whether what is found for this has all that there is for the other."""
        pairs = (
            (other.ids, self.ids),
            (other.parents, self.parents),
            (other.referred, np.union1d(self.ids, self.referred)),
        )
        return all(np.isin(some, all_).all() for some, all_ in pairs)

    def __bool__(self) -> bool:
        return bool(len(self.ids) or len(self.parents) or len(self.referred))

    def to_bytes(self) -> bytes:
        """For `from_bytes`; the same hashes give the same bytes."""
        return _to_bytes(ids=self.ids, parents=self.parents, referred=self.referred)

    @classmethod
    def from_bytes(cls, body: bytes) -> Wanted:
        return cls(**_from_bytes(body))

    def is_in(self, index: Ids) -> bool:
        """Whether there is anything wanted in a file with this index."""
        pairs = ((self.ids, index.ids), (self.referred, index.ids), (self.parents, index.parents))
        return any(_share(some, all_) for some, all_ in pairs)


@dataclasses.dataclass(frozen=True)
class Hits:
    """What was found in one month: where it was staged, and which ids it has."""

    key: str
    ids: Ids
    id_hashes: np.ndarray
    """As staged records have them."""


@dataclasses.dataclass(frozen=True)
class IdsOf:
    """The ids of a staged object; travels to the workers."""

    base: ObjectStore
    broken: frozenset[int]
    hashed: Hashed

    def __call__(self, staged: tuple[str, str, int]) -> Ids:
        columns = [name for name in ("id", "parent_id") if name in names(staged[0])]
        return Ids.of(_staged(self.base, staged, ["file", *columns], self.broken), self.hashed)


@dataclasses.dataclass(frozen=True)
class Pick:
    """Picks the staged records with a wanted id_hash out of one object; travels to the workers."""

    base: ObjectStore
    broken: frozenset[int]
    wanted: str
    """Key of the hashes."""
    prefix: str

    def __call__(self, staged: tuple[str, str, int]) -> Counter[tuple[str, str]]:
        """Stage the records once more, below the prefix; how many there are by kind and month."""
        kind, key, size = staged
        sought = _sought(self.wanted, self.base).ids
        with RangeReader(self.base, key, size) as body:
            part = pq.ParquetFile(body, pre_buffer=True)
            hashes = part.read(columns=["id_hash"], use_threads=False)["id_hash"].to_numpy()
            is_wanted = sought.holds(hashes)
            if not is_wanted.any():
                return Counter()
            rows = without(part.read(use_threads=False).filter(pa.array(is_wanted)), self.broken)
        if len(rows):
            written = io.BytesIO()
            write_staged(rows, written)
            self.base.put(f"{self.prefix}kind={kind}/{key.rpartition('/')[2]}", written.getvalue())
        counted = pc.value_counts(rows["month"].combine_chunks()).to_pylist()
        return Counter({(kind, each["values"]): each["counts"] for each in counted})


@dataclasses.dataclass(frozen=True)
class Search:
    """Looks through one month of a table; travels to the workers."""

    base: ObjectStore
    table: str
    wanted: str
    """Key of what is looked for; it names the content."""
    prefix: str
    hashed: Hashed

    def __call__(self, place: tuple[str, str]) -> Hits | None:
        """Stage the rows that are found in a month, below its prefix; None when there are none."""
        month, prefix = place
        sought = _sought(self.wanted, self.base)
        found: list[pa.Table] = []
        for each in parquet_files(self.base.listing(prefix)):
            index = self._index(each)
            if index is not None and not sought.wanted.is_in(index):
                continue
            with RangeReader(self.base, each.key, each.size) as body:
                found += self._found(pq.ParquetFile(body, pre_buffer=True), sought)
        if not found:
            return None
        rows = pa.concat_tables(found)
        written = io.BytesIO()
        months = pa.array([month]).take(pa.repeat(pa.scalar(0), len(rows)))
        pq.write_table(rows.append_column("month", months), written, store_schema=False)
        run = prefix.rstrip("/").rpartition("/")[2].replace("=", "-")
        key = f"{self.prefix}{self.table}-{month}-{run}.parquet"
        self.base.put(key, written.getvalue())
        id_hashes = self.hashed(self.table, rows["id"].combine_chunks()).to_numpy()
        return Hits(key, Ids.of(rows, self.hashed), id_hashes)

    def _index(self, file: StoredObject) -> Ids | None:
        try:
            return Ids.from_bytes(self.base.get(index_key(file.key, file.etag))[0])
        except ObjectMissing:
            return None

    def _found(self, part: pq.ParquetFile, sought: _Sought) -> list[pa.Table]:
        keys = part.read(columns=sought.columns, use_threads=False)
        ids, parents = (
            _hashes(keys[name], self.hashed) if name in sought.columns else NONE for name in ("id", "parent_id")
        )
        in_full, by_parent, brief = sought.ids.holds(ids), sought.parents.holds(parents), sought.referred.holds(ids)
        is_found = [some for some in (in_full, by_parent, brief) if len(some)]
        is_wanted = np.logical_or.reduce(is_found)
        if not is_wanted.any():
            return []
        is_brief = not (in_full.any() or by_parent.any())
        wanted = [name for name in names(self.table) if name in REFERRED or not is_brief]
        others = part.read(columns=[name for name in wanted if name not in sought.columns], use_threads=False)
        read = {
            name: table[name].filter(pa.array(is_wanted)) for table in (keys, others) for name in table.schema.names
        }
        types = {name: part.schema_arrow.field(name).type for name in names(self.table)}
        missing = np.count_nonzero(is_wanted)
        return [pa.table({name: read[name] if name in read else pa.nulls(missing, types[name]) for name in types})]


@dataclasses.dataclass(frozen=True)
class _Sought:
    wanted: Wanted
    ids: Sought
    parents: Sought
    referred: Sought
    columns: list[str]


_sought_before: Final[dict[str, _Sought]] = {}


def _sought(key: str, store: ObjectStore) -> _Sought:
    """What is looked for; kept in the process from one month to the next."""
    if key not in _sought_before:
        wanted = Wanted.from_bytes(store.get(key)[0])
        columns = [
            *(["id"] if len(wanted.ids) or len(wanted.referred) else []),
            *(["parent_id"] if len(wanted.parents) else []),
        ]
        _sought_before.clear()
        _sought_before[key] = _Sought(
            wanted, Sought(wanted.ids), Sought(wanted.parents), Sought(wanted.referred), columns
        )
    return _sought_before[key]


def _staged(base: ObjectStore, staged: tuple[str, str, int], columns: list[str], broken: frozenset[int]) -> pa.Table:
    _, key, size = staged
    with RangeReader(base, key, size) as body:
        return without(pq.ParquetFile(body, pre_buffer=True).read(columns=columns, use_threads=False), broken)


def _hashes(ids: pa.ChunkedArray, hashed: Hashed) -> np.ndarray:
    found: np.ndarray = hashed("", ids.combine_chunks()).to_numpy()
    return found


def _share(some: np.ndarray, all_: np.ndarray) -> bool:
    """Whether two sorted arrays have a value in common; looks up the first one's."""
    if not len(some) or not len(all_):
        return False
    at = np.minimum(np.searchsorted(all_, some), len(all_) - 1)
    return bool((all_[at] == some).any())


def _to_bytes(**arrays: Any) -> bytes:
    body = io.BytesIO()
    np.savez(body, **arrays)
    return body.getvalue()


def _from_bytes(body: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(body)) as arrays:
        return dict(arrays)
