"""The records of the objects that a run reads: parsed, validated, counted and staged for the steps that follow.

Spark's Python workers read the objects (`staging`) and stage the validated records as Parquet by kind, so that later steps read
just the columns they need. A file that turns out to be unreadable on the way is named, and what was staged of it left out.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

import numpy as np
from pyspark import Accumulator
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from refunds_lake.publishing.manifests import InputObject, Problem
from refunds_lake.raw.raw_files import RawFile
from refunds_lake.raw.rules import REJECTED
from refunds_lake.raw.staging import STAGED, Piece, Place, Portion, Stage, Staged, repeated_ids, transactions_in
from refunds_lake.schema.columns import KINDS
from refunds_lake.spark.frames import empty_frame
from refunds_lake.spark.tasks import on_workers
from refunds_lake.storage.objects import ObjectStore

PORTION_BYTES: Final = 32 << 20
"""Objects up to so many bytes are read by one task; a greater object is a task of its own."""
SECONDS_BETWEEN_LOOKS: Final = 1.0
HASHES_PER_TASK: Final = 16_000_000


@dataclasses.dataclass(frozen=True)
class Batch:
    """Validated records, the files that they come from, and how many there are of what."""

    staging: str
    """Prefix in the bucket of the tables, for whatever the run needs until it has published."""
    files: Mapping[int, RawFile]
    """By the number that their records carry."""
    problems: tuple[Problem, ...]
    judged: DataFrame
    """The columns of `staging.STAGED`, and kind."""
    repeated: np.ndarray
    """The hashes, by kind, of all ids that come more than once, perhaps of others too."""
    counts: Mapping[Place, int]
    pieces: tuple[Piece, ...]
    is_replay: bool
    """The files were read before, and some of their lines are validated again."""
    broken: frozenset[int]
    """Numbers of files that broke off: the pieces hold what was read of them, no other field does."""

    @property
    def read(self) -> int:
        return sum(self.counts.values())

    def by_month(self, kind: str) -> Counter[str]:
        """Return month -> number of records of a kind; for rejected ones the month of ingestion."""
        counter: Counter[str] = Counter()
        for (_, of_kind, month), records in self.counts.items():
            if of_kind == kind:
                counter[month] += records
        return counter

    def of_kind(self, kind: str) -> int:
        """Return how many records there are of a kind."""
        return self.by_month(kind).total()

    def inputs(self) -> tuple[InputObject, ...]:
        """Return the manifest's entries for the files."""
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

    def pieces_of(self, kind: str) -> tuple[Piece, ...]:
        """Return where the records of a kind are staged."""
        return tuple(piece for piece in self.pieces if piece.kind == kind)


def read_batch(
    spark: SparkSession, stage: Stage, files: Sequence[RawFile], problems: Sequence[Problem], say: Callable[[str], None]
) -> Batch:
    """Read the files to their end and report progress; files that cannot be read become problems.

    The caller clears the prefix of the stage when it is done with the batch.
    """
    counts: Counter[Place] = Counter()
    pieces: list[Piece] = []
    found: dict[int, str] = {}
    done = spark.sparkContext.accumulator(0)

    def counted(portion: Portion) -> Staged:
        staged = stage(portion)
        done.add(len(portion.files))  # the driver learns of it whenever a share of the portions has ended
        return staged

    with _following(done, len(files), say):
        for staged in on_workers(spark, counted, _portions(files)):
            counts += staged.counts
            pieces += staged.pieces
            found.update(staged.problems)
    previous = {number for number in found if files[number].stored.version_id}
    for number in sorted(previous):
        say(f"a previous version of {files[number].key} is left out for good: {found[number]}")
    judged = empty_frame(spark, f"{STAGED}, kind string")
    if counts:
        judged = spark.read.schema(STAGED).parquet(stage.base.uri(stage.records))
    if found:
        judged = judged.where(~F.col("file").isin(*found))
    return Batch(
        staging=stage.prefix,
        files={number: file for number, file in enumerate(files) if number not in found.keys() - previous},
        problems=(
            *problems,
            *(Problem(files[number].key, found[number]) for number in sorted(found.keys() - previous)),
        ),
        judged=judged,
        repeated=_repeated(spark, stage.base, pieces, frozenset(found)),
        counts=counts,
        pieces=tuple(pieces),
        is_replay=any(file.only is not None for file in files),
        broken=frozenset(found),
    )


@contextmanager
def _following(done: Accumulator[int], files: int, say: Callable[[str], None]) -> Iterator[None]:
    """Report how many files have been read, at each increase and at the end."""
    ended = threading.Event()

    def follow() -> None:
        said = 0
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            if said < (read := done.value) < files:  # a share that is tried again counts twice
                say(f"read {read} of {files} objects")
                said = read

    thread = threading.Thread(target=follow, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if files:
        say(f"read {files} of {files} objects")


def _portions(files: Sequence[RawFile]) -> list[Portion]:
    """Divide the files into tasks of up to PORTION_BYTES, the greatest first, so that tasks end together."""
    portions: list[list[tuple[int, RawFile]]] = []
    size = 0
    for number, file in sorted(enumerate(files), key=lambda each: -each[1].stored.size):
        if not portions or size + file.stored.size > PORTION_BYTES:
            portions.append([])
            size = 0
        portions[-1].append((number, file))
        size += file.stored.size
    return [Portion(number, tuple(some)) for number, some in enumerate(portions)]


def _repeated(spark: SparkSession, base: ObjectStore, pieces: Sequence[Piece], broken: frozenset[int]) -> np.ndarray:
    tasks = -(-sum(piece.rows for piece in pieces if piece.kind in KINDS) // HASHES_PER_TASK)
    found = on_workers(spark, partial(repeated_ids, base, transactions_in(pieces), broken, tasks), range(tasks))
    return np.concatenate([np.array([], np.int64), *found])


def clear(store: ObjectStore, prefix: str) -> None:
    """Delete everything below a prefix."""
    store.delete([each.key for each in store.listing(prefix)])
