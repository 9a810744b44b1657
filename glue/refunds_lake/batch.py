"""The records of the objects that a run reads: parsed, judged, counted and staged for the steps that follow.

Spark's Python workers read the objects (`staging`) and stage the judged records as Parquet by kind, so that later steps read
just the columns they need. A file that turns out to be unreadable on the way is named, and what was staged of it left out.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from refunds_lake import hashes, rules
from refunds_lake.columns import KINDS, names
from refunds_lake.frames import empty_frame
from refunds_lake.months import Months
from refunds_lake.objects import ObjectStore
from refunds_lake.raw_files import RawFile
from refunds_lake.rules import REJECTED
from refunds_lake.runs import InputObject, Problem
from refunds_lake.staging import STAGED, Piece, Place, Portion, Repeated, Stage
from refunds_lake.workers import on_workers

PORTION_BYTES: Final = 32 << 20
"""Objects up to so many bytes are read by one task; a greater object is a task of its own."""
HASHES_PER_TASK: Final = 16_000_000
_RECORDS, _READ = "records/", "_read.json"


@dataclasses.dataclass(frozen=True)
class Batch:
    """Judged records, the files that they come from, and how many there are of what."""

    spark: SparkSession
    staging: str
    """Prefix in the bucket of the tables, for whatever the run needs until it has published."""
    files: Mapping[int, RawFile]
    """By the number that their records carry."""
    problems: tuple[Problem, ...]
    judged: DataFrame
    """The columns of `staging.STAGED`, and kind."""
    repeated: np.ndarray
    """The id_hash of all ids that come more than once, perhaps of others too."""
    counts: Mapping[Place, int]
    pieces: tuple[Piece, ...]
    broken: frozenset[int]
    """Numbers of files that broke off: the pieces hold what was read of them, no other field does."""

    @property
    def read(self) -> int:
        return sum(self.counts.values())

    def transactions_by_month(self) -> Counter[tuple[str, str]]:
        """(kind, month) -> records."""
        counter: Counter[tuple[str, str]] = Counter()
        for (_, kind, month), records in self.counts.items():
            if kind in KINDS:
                counter[kind, month] += records
        return counter

    def of_kind(self, kind: str) -> int:
        """How many records there are of a kind."""
        return sum(records for (_, of_kind, _), records in self.counts.items() if of_kind == kind)

    def inputs(self) -> tuple[InputObject, ...]:
        """What the manifest says of the files."""
        per_file: Counter[tuple[int, bool]] = Counter()
        for (number, kind, _), records in self.counts.items():
            per_file[number, kind == REJECTED] += records
        return tuple(
            InputObject(
                **dataclasses.asdict(file.stored),
                records=per_file[number, True] + per_file[number, False],
                rejected=per_file[number, True],
            )
            for number, file in self.files.items()
        )

    def rejected(self, run_id: str) -> DataFrame:
        """The rejected records as rows of their table, by month of ingestion."""
        rows = self.judged.where(F.col("kind") == REJECTED)
        return rows.withColumn("run_id", F.lit(run_id)).select(*names("rejected"), "month")

    def rejected_by_month(self) -> Counter[str]:
        """Month of ingestion -> rejected records."""
        counter: Counter[str] = Counter()
        for (_, kind, month), records in self.counts.items():
            if kind == REJECTED:
                counter[month] += records
        return counter


def read_batch(
    spark: SparkSession,
    raw: ObjectStore,
    files: Sequence[RawFile],
    problems: Sequence[Problem],
    time_zone: str,
    base: ObjectStore,
    prefix: str,
    *,
    only: Mapping[str, tuple[int, ...]] | None = None,
) -> Batch:
    """Read the files to their end; files that cannot be read become problems.

    Judged records are staged under `prefix` of the bucket `base`; the caller clears it when it is done with the batch.
    With `only`, the batch has the lines of these numbers alone, by key of the file.
    """
    stage = Stage(raw, base, f"{prefix}{_RECORDS}", Months.of(time_zone), dict(rules.RULES), hashes.hashed)
    portions = list(_portions(files, only))
    counts: Counter[Place] = Counter()
    pieces: list[Piece] = []
    found: dict[int, str] = {}
    for staged in on_workers(spark, stage, portions):
        counts += staged.counts
        pieces += staged.pieces
        found.update(staged.problems)
    problems = [*problems, *(Problem(files[number].key, reason) for number, reason in sorted(found.items()))]
    readable = {number: file for number, file in enumerate(files) if number not in found}
    return _staged(spark, base, prefix, readable, problems, counts, pieces, frozenset(found))


def _portions(files: Sequence[RawFile], only: Mapping[str, tuple[int, ...]] | None) -> Iterator[Portion]:
    """The files in tasks of up to PORTION_BYTES, the greatest first, so that tasks end together."""

    def portion(number: int, some: Sequence[tuple[int, RawFile]]) -> Portion:
        return Portion(number, tuple(some), {} if only is None else {number: only[file.key] for number, file in some})

    waiting: list[tuple[int, RawFile]] = []
    portions, size = 0, 0
    for number, file in sorted(enumerate(files), key=lambda each: -each[1].stored.size):
        if waiting and size + file.stored.size > PORTION_BYTES:
            yield portion(portions, waiting)
            portions, waiting, size = portions + 1, [], 0
        waiting.append((number, file))
        size += file.stored.size
    if waiting:
        yield portion(portions, waiting)


def _staged(
    spark: SparkSession,
    base: ObjectStore,
    prefix: str,
    files: Mapping[int, RawFile],
    problems: Iterable[Problem],
    counts: Mapping[Place, int],
    pieces: Iterable[Piece],
    broken: frozenset[int],
) -> Batch:
    if counts:
        judged = spark.read.schema(STAGED).parquet(base.uri(f"{prefix}{_RECORDS}"))
    else:
        judged = empty_frame(spark, f"{STAGED}, kind string")
    if broken:
        judged = judged.where(~F.col("file").isin(*broken))
    several = _repeated(spark, base, pieces, broken)
    return Batch(spark, prefix, files, tuple(problems), judged, several, counts, tuple(pieces), broken)


def _repeated(spark: SparkSession, base: ObjectStore, pieces: Iterable[Piece], broken: frozenset[int]) -> np.ndarray:
    transactions = [piece for piece in pieces if piece.kind in KINDS]
    objects = sorted({(piece.key, piece.size) for piece in transactions})
    tasks = -(-sum(piece.rows for piece in transactions) // HASHES_PER_TASK)
    found = on_workers(spark, Repeated(base, tuple(objects), broken, tasks), range(tasks))
    return np.concatenate([np.array([], np.int64), *found])


def read_or_resume(
    spark: SparkSession,
    raw: ObjectStore,
    files: Sequence[RawFile],
    problems: Sequence[Problem],
    time_zone: str,
    base: ObjectStore,
    prefix: str,
) -> tuple[Batch, bool]:
    """Like `read_batch`, but files that were read without a problem before are taken from where they were staged.

    `prefix` must be the same only for the same files, code and time zone. Also says whether it resumed.
    """
    marker = f"{prefix}{_READ}"
    if any(base.listing(marker)):
        document = json.loads(base.get(marker)[0])
        counts = Counter({(number, kind, month): records for number, kind, month, records in document["counts"]})
        pieces = [Piece(**piece) for piece in document["pieces"]]
        there = {(each.key, each.size) for each in base.listing(f"{prefix}{_RECORDS}")}
        if there >= {(piece.key, piece.size) for piece in pieces}:  # else a part has been swept
            return _staged(spark, base, prefix, dict(enumerate(files)), problems, counts, pieces, frozenset()), True
        base.delete([marker])
    clear(base, prefix)
    batch = read_batch(spark, raw, files, problems, time_zone, base, prefix)
    if batch.files and not batch.problems:
        document = {
            "counts": [[*place, records] for place, records in batch.counts.items()],
            "pieces": [dataclasses.asdict(piece) for piece in batch.pieces],
        }
        base.put(marker, json.dumps(document).encode())
    return batch, False


def clear(store: ObjectStore, prefix: str) -> None:
    """Delete everything below a prefix."""
    store.delete([each.key for each in store.listing(prefix)])
