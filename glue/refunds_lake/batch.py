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

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from refunds_lake import rules
from refunds_lake.columns import KINDS
from refunds_lake.frames import empty_frame, id_hash, local_frame
from refunds_lake.months import Months
from refunds_lake.objects import ObjectStore
from refunds_lake.raw_files import RawFile
from refunds_lake.rules import REJECTED
from refunds_lake.runs import InputObject, Problem
from refunds_lake.staging import STAGED, Place, Portion, Stage
from refunds_lake.versions import VERSIONED

PORTION_BYTES: Final = 32 << 20
"""Objects up to so many bytes are read by one task; a greater object is a task of its own."""
_READ: Final = "_read.json"


@dataclasses.dataclass(frozen=True)
class Batch:
    """Judged records, the files that they come from, and how many there are of what."""

    spark: SparkSession
    files: Mapping[int, RawFile]
    """By the number that their records carry."""
    problems: tuple[Problem, ...]
    judged: DataFrame
    """The columns of `staging.STAGED` with kind and id_hash."""
    files_known: DataFrame
    counts: Mapping[Place, int]

    @property
    def read(self) -> int:
        return sum(self.counts.values())

    def transactions_by_month(self) -> Counter[tuple[str, str]]:
        """(kind, month) -> records."""
        counter: Counter[tuple[str, str]] = Counter()
        for (_, kind, month), records in self.counts.items():
            if month is not None:
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

    def transactions(self) -> DataFrame:
        """The accepted records as VERSIONED columns and id_hash, all versions of them."""
        accepted = self.judged.where(F.col("kind").isin(*KINDS))
        return self._with_file(accepted, "ingested_at", "source_file").select(*VERSIONED, "id_hash")

    def rejected(self, run_id: str) -> DataFrame:
        """The rejected records as rows of their table, by month of ingestion."""
        rows = self.judged.where(F.col("kind") == REJECTED).drop("month")
        return self._with_file(rows, "ingested_at", "source_file", "month").select(
            "raw_text",
            "reasons",
            "source_file",
            "line_number",
            F.lit(run_id).alias("run_id"),
            "ingested_at",
            "month",
        )

    def rejected_by_month(self) -> Counter[str]:
        """Month of ingestion -> rejected records."""
        months = {row["file"]: row["month"] for row in self.files_known.select("file", "month").collect()}
        counter: Counter[str] = Counter()
        for (number, kind, _), records in self.counts.items():
            if kind == REJECTED:
                counter[months[number]] += records
        return counter

    def only(self, lines: DataFrame) -> Batch:
        """The batch without all records but those on the given lines (source_file, line_number)."""
        wanted = self._with_file(self.judged, "source_file").join(
            lines, on=["source_file", "line_number"], how="left_semi"
        )
        kept = wanted.select(*self.judged.columns).localCheckpoint()
        return dataclasses.replace(self, judged=kept, counts=_counted(kept))

    def _with_file(self, records: DataFrame, *columns: str) -> DataFrame:
        return records.join(F.broadcast(self.files_known.select("file", *columns)), on="file")


def _counted(judged: DataFrame) -> Counter[Place]:
    rows = judged.groupBy("file", "kind", "month").count().collect()
    return Counter({(row["file"], row["kind"], row["month"]): row["count"] for row in rows})


def read_batch(
    spark: SparkSession,
    raw: ObjectStore,
    files: Sequence[RawFile],
    problems: Sequence[Problem],
    time_zone: str,
    base: ObjectStore,
    prefix: str,
) -> Batch:
    """Read the files to their end; files that cannot be read become problems.

    Judged records are staged under `prefix` of the bucket `base`; the caller clears it when it is done with the batch.
    """
    months = Months.of(time_zone)
    stage = Stage(raw, base, prefix, months, dict(rules.RULES))
    portions = list(_portions(files))
    counts: Counter[Place] = Counter()
    found: dict[int, str] = {}
    if portions:
        for staged in spark.sparkContext.parallelize(portions, len(portions)).map(stage).collect():
            counts += staged.counts
            found.update(staged.problems)
    problems = [*problems, *(Problem(files[number].key, reason) for number, reason in sorted(found.items()))]
    readable = {number: file for number, file in enumerate(files) if number not in found}
    return _staged(spark, base.uri(prefix), readable, problems, months, counts)


def _portions(files: Sequence[RawFile]) -> Iterator[Portion]:
    """The files in tasks of up to PORTION_BYTES, the greatest first, so that tasks end together."""
    waiting: list[tuple[int, RawFile]] = []
    portions, size = 0, 0
    for number, file in sorted(enumerate(files), key=lambda each: -each[1].stored.size):
        if waiting and size + file.stored.size > PORTION_BYTES:
            yield Portion(portions, tuple(waiting))
            portions, waiting, size = portions + 1, [], 0
        waiting.append((number, file))
        size += file.stored.size
    if waiting:
        yield Portion(portions, tuple(waiting))


def _staged(
    spark: SparkSession,
    uri: str,
    files: Mapping[int, RawFile],
    problems: Iterable[Problem],
    months: Months,
    counts: Mapping[Place, int],
) -> Batch:
    known = local_frame(
        spark,
        "file int, ingested_at timestamp, source_file string, month string",
        [
            (number, file.stored.last_modified, file.key, months.month(file.stored.last_modified))
            for number, file in files.items()
        ],
    )
    if not counts:
        judged = empty_frame(spark, f"{STAGED}, kind string")
    else:
        judged = spark.read.schema(STAGED).parquet(uri)
        numbers = {number for number, _, _ in counts}
        if numbers != {*files}:  # a file of blank lines has none, one that broke off left some
            judged = judged.where(F.col("file").isin(*numbers))
    return Batch(spark, files, tuple(problems), judged.withColumn("id_hash", id_hash("kind", "id")), known, counts)


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
        counts = Counter(
            {(number, kind, month): records for number, kind, month, records in json.loads(base.get(marker)[0])}
        )
        batch = _staged(spark, base.uri(prefix), dict(enumerate(files)), problems, Months.of(time_zone), counts)
        if _counted(batch.judged) == counts:  # else a part has been swept
            return batch, True
        base.delete([marker])
    clear(spark, base.uri(prefix))
    batch = read_batch(spark, raw, files, problems, time_zone, base, prefix)
    if batch.files and not batch.problems:
        base.put(marker, json.dumps([[*place, records] for place, records in batch.counts.items()]).encode())
    return batch, False


def clear(spark: SparkSession, uri: str) -> None:
    """Delete a directory through the file system that Spark reads it from."""
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)  # type: ignore[union-attr, unused-ignore]
    path.getFileSystem(spark._jsc.hadoopConfiguration()).delete(path, True)
