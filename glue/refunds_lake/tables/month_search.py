"""What one task does to find rows by their ids: which ids a staged object has, and the rows of a stored month.

Runs in a Python worker of Spark's. Each file of a month has an index of the hashes in it, which says at once that
nothing wanted is there; a file without one is looked through. Hashes preselect: rows whose ids share no more than a
hash with a wanted one may come along, so whoever takes the rows compares the ids.
"""

from __future__ import annotations

import dataclasses
import io
from collections import Counter
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from refunds_lake.publishing.manifests import INDEXES
from refunds_lake.raw.staging import WRITING, StagedObject, by_month, read_staged, without
from refunds_lake.schema.columns import names
from refunds_lake.schema.id_hashes import Sought, distinct, hashed, of_kind
from refunds_lake.storage.objects import ObjectMissing, ObjectStore, RangeReader, StoredObject, parquet_files

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
        pairs = (
            (other.ids, self.ids),
            (other.parents, self.parents),
            (other.referred, np.union1d(self.ids, self.referred)),
        )
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
    with RangeReader(base, staged.key, staged.size) as body:
        part = pq.ParquetFile(body, pre_buffer=True)
        hashes = part.read(columns=["id_hash"], use_threads=False)["id_hash"].to_numpy()
        is_wanted = sought.holds(of_kind(staged.kind, hashes))
        if not is_wanted.any():
            return Counter()
        rows = without(part.read(use_threads=False).filter(pa.array(is_wanted)), broken)
    if len(rows):
        written = io.BytesIO()
        pq.write_table(rows, written, **WRITING)
        base.put(f"{prefix}kind={staged.kind}/{staged.key.rpartition('/')[2]}", written.getvalue())
    return Counter({(staged.kind, month): count for month, count in by_month(rows).items()})


def search(base: ObjectStore, table: str, wanted: str, prefix: str, place: tuple[str, str]) -> Hits | None:
    """Search a month of a table, and stage the found rows below the prefix; return None if there are none.

    In: the key of what is looked for, which names the content, and as place the month and the prefix of its files.
    """
    month, of_month = place
    sought = _sought(wanted, base)
    found: list[pa.Table] = []
    for each in parquet_files(base.listing(of_month)):
        index = _index(base, each)
        if index is not None and not sought.may_be_in(index):
            continue
        with RangeReader(base, each.key, each.size) as body:
            found += _found(pq.ParquetFile(body, pre_buffer=True), table, sought)
    if not found:
        return None
    rows = pa.concat_tables(found)
    written = io.BytesIO()
    months = pa.array([month]).take(pa.repeat(pa.scalar(0), len(rows)))
    pq.write_table(rows.append_column("month", months), written, store_schema=False)
    run = of_month.rstrip("/").rpartition("/")[2].replace("=", "-")
    key = f"{prefix}{table}-{month}-{run}.parquet"
    base.put(key, written.getvalue())
    return Hits(key, Ids.of(rows))


def _index(base: ObjectStore, file: StoredObject) -> Ids | None:
    try:
        return Ids.from_bytes(base.get(index_key(file.key, file.etag))[0])
    except ObjectMissing:
        return None


def _found(part: pq.ParquetFile, table: str, sought: _Sought) -> list[pa.Table]:
    keys = part.read(columns=sought.columns, use_threads=False)
    ids, parents = (_hashes(keys[name]) if name in sought.columns else NONE for name in ("id", "parent_id"))
    in_full, by_parent, brief = sought.ids.holds(ids), sought.parents.holds(parents), sought.referred.holds(ids)
    is_wanted = np.logical_or.reduce([some for some in (in_full, by_parent, brief) if len(some)])
    if not is_wanted.any():
        return []
    is_brief = not (in_full.any() or by_parent.any())
    wanted = [name for name in names(table) if name in REFERRED or not is_brief]
    others = part.read(columns=[name for name in wanted if name not in sought.columns], use_threads=False)
    read = {name: some[name].filter(pa.array(is_wanted)) for some in (keys, others) for name in some.schema.names}
    types = {name: part.schema_arrow.field(name).type for name in names(table)}
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
        pairs = ((self.ids, index.ids), (self.referred, index.ids), (self.parents, index.parents))
        return any(some.holds(all_).any() for some, all_ in pairs)


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
