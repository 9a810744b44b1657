"""The records of the objects that a run reads: parsed, judged, counted and staged for the steps that follow.

Raw data is parsed once and staged as Parquet by kind, so that later steps read just the columns they need. A file that
turns out to be unreadable on the way is taken out, named, and the rest is read again.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from py4j.protocol import Py4JJavaError  # type: ignore[import-untyped]
from pyspark.errors import AnalysisException, PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from refunds_lake.columns import KINDS
from refunds_lake.frames import empty_frame, local_frame
from refunds_lake.objects import ObjectMissing, ObjectStore, StoredObject
from refunds_lake.raw_files import PARQUET, RawFile, Unreadable, check_to_the_end
from refunds_lake.read import files_frame, records
from refunds_lake.rules import BLANK, REJECTED, judged
from refunds_lake.runs import InputObject, Problem
from refunds_lake.tables import CheckFailed
from refunds_lake.versions import VERSIONED

ATTEMPTS: Final = 3
_READ: Final = "_read.json"
_STAGING: Final = {"compression": "snappy", "parquet.enable.dictionary": "false", "parquet.block.size": str(32 << 20)}
"""Written once, read a few times, and gone: no search for repeated values, and little of it in memory."""
_STAGED: Final = (
    "file int, block bigint, row bigint, month string, id string, id_hash bigint, timestamp timestamp, amount decimal(18,2), "
    "parent_id string, customer_id string, merchant_id string, raw_text string, reasons array<string>"
)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Judged records, the files that they come from, and how many there are of what."""

    spark: SparkSession
    files: tuple[RawFile, ...]
    problems: tuple[Problem, ...]
    judged: DataFrame
    files_known: DataFrame
    places: tuple[Row, ...]
    """One row per file, block, kind and month: how many lines, and the number of the first."""
    offsets: tuple[tuple[int, int, int], ...]

    @property
    def read(self) -> int:
        return sum(place["lines"] for place in self.places if place["kind"] != BLANK)

    @property
    def lines(self) -> int:
        """All lines and rows, blank ones too."""
        return sum(place["lines"] for place in self.places)

    def transactions_by_month(self) -> Counter[tuple[str, str]]:
        """(kind, month) -> records."""
        counter: Counter[tuple[str, str]] = Counter()
        for place in self.places:
            if place["kind"] in KINDS:
                counter[place["kind"], place["month"]] += place["lines"]
        return counter

    def of_kind(self, kind: str) -> int:
        """How many records there are of a kind."""
        return sum(place["lines"] for place in self.places if place["kind"] == kind)

    def inputs(self) -> tuple[InputObject, ...]:
        """What the manifest says of the files."""
        per_file: Counter[tuple[int, bool]] = Counter()
        for place in self.places:
            if place["kind"] != BLANK:
                per_file[place["file"], place["kind"] == REJECTED] += place["lines"]
        return tuple(
            InputObject(
                **dataclasses.asdict(file.stored),
                records=per_file[number, True] + per_file[number, False],
                rejected=per_file[number, True],
            )
            for number, file in enumerate(self.files)
        )

    def transactions(self) -> DataFrame:
        """The accepted records as VERSIONED columns and id_hash, all versions of them."""
        return (
            self.judged.where(F.col("kind").isin(*KINDS))
            .join(F.broadcast(self.files_known.select("file", "ingested_at", "source_file")), on="file")
            .select(*VERSIONED, "id_hash")
        )

    def rejected(self, run_id: str, time_zone: str) -> DataFrame:
        """The rejected records as rows of their table, with line numbers, by month of ingestion."""
        month = F.date_format(F.from_utc_timestamp("ingested_at", time_zone), "yyyy-MM")
        return self._numbered(self.judged.where(F.col("kind") == REJECTED)).select(
            "raw_text",
            "reasons",
            "source_file",
            "line_number",
            F.lit(run_id).alias("run_id"),
            "ingested_at",
            month.alias("month"),
        )

    def only(self, lines: DataFrame) -> Batch:
        """The batch without all records but those on the given lines (source_file, line_number)."""
        wanted = self._numbered(self.judged).join(lines, on=["source_file", "line_number"], how="left_semi")
        kept = wanted.select(*self.judged.columns).localCheckpoint()
        return dataclasses.replace(self, judged=kept, places=_places(kept))

    def _numbered(self, judged: DataFrame) -> DataFrame:
        """Records with their source_file, line_number and ingested_at."""
        offsets = local_frame(self.spark, "file int, block bigint, offset bigint", self.offsets)
        return (
            judged.join(F.broadcast(offsets), on=["file", "block"])
            .join(F.broadcast(self.files_known.select("file", "ingested_at", "source_file")), on="file")
            .withColumn("line_number", F.col("row") + F.col("offset"))
        )


def _offsets(places: Iterable[Row]) -> tuple[tuple[int, int, int], ...]:
    """File, block and what makes a line number of a row number: the blocks of a file follow each other."""
    lines: Counter[tuple[int, int]] = Counter()
    first: dict[tuple[int, int], int] = {}
    for place in places:
        block = (place["file"], place["block"])
        lines[block] += place["lines"]
        first[block] = min(first.get(block, place["first"]), place["first"])
    before: Counter[int] = Counter()
    offsets = []
    for file, start in sorted(lines):
        offsets.append((file, start, before[file] + 1 - first[file, start]))
        before[file] += lines[file, start]
    return tuple(offsets)


def _places(judged: DataFrame) -> tuple[Row, ...]:
    counted = judged.groupBy("file", "block", "kind", "month").agg(
        F.count("*").alias("lines"), F.min("row").alias("first")
    )
    return tuple(counted.collect())


def read_batch(
    spark: SparkSession,
    store: ObjectStore,
    files: Sequence[RawFile],
    problems: Sequence[Problem],
    time_zone: str,
    staging: str,
) -> Batch:
    """Read the files to their end; files that cannot be read become problems. Raises CheckFailed when Spark lost some.

    Judged records are staged under the URI `staging`; the caller clears it when it is done with the batch.
    """
    for attempt in range(ATTEMPTS):
        if not files:
            break
        place = f"{staging}{attempt}/"
        try:
            batch = _read(spark, store, files, problems, time_zone, place)
            gone = _changed_meanwhile(store, files)
        except (Py4JJavaError, PySparkException):
            gone = _broken(spark, store, files)
            if not gone:
                raise
        else:
            if not gone:
                return batch
        problems = [*problems, *gone]
        left_out = {problem.key for problem in gone}
        files = [file for file in files if file.key not in left_out]
    if files:
        raise CheckFailed("the raw objects keep changing while they are read")
    return Batch(spark, (), tuple(problems), empty_frame(spark, f"{_STAGED}, kind string"), spark.range(0), (), ())


def read_or_resume(
    spark: SparkSession,
    store: ObjectStore,
    files: Sequence[RawFile],
    problems: Sequence[Problem],
    time_zone: str,
    base: ObjectStore,
    prefix: str,
) -> tuple[Batch, bool]:
    """Like `read_batch`, but files that were read without a problem before are taken from where they were staged.

    `prefix` of the bucket `base` must be the same only for the same files, code and time zone. Also says whether it resumed.
    """
    staging, marker = base.uri(prefix), f"{prefix}{_READ}"
    if any(base.listing(marker)):
        lines = json.loads(base.get(marker)[0])["lines"]
        batch = _staged(spark, files, problems, files_frame(spark, store, files), f"{staging}0/")
        if lines == batch.lines:  # else a part has been swept
            return batch, True
        base.delete([marker])
    clear(spark, staging)
    batch = read_batch(spark, store, files, problems, time_zone, staging)
    if batch.files and not batch.problems:
        base.put(marker, json.dumps({"lines": batch.lines}).encode())
    return batch, False


def clear(spark: SparkSession, uri: str) -> None:
    """Delete a directory that Spark has written, through the same file system."""
    path = spark._jvm.org.apache.hadoop.fs.Path(uri)  # type: ignore[union-attr, unused-ignore]
    path.getFileSystem(spark._jsc.hadoopConfiguration()).delete(path, True)


def _read(
    spark: SparkSession,
    store: ObjectStore,
    files: Sequence[RawFile],
    problems: Iterable[Problem],
    time_zone: str,
    staging: str,
) -> Batch:
    known = files_frame(spark, store, files)
    rows = records(spark, store, files, known).transform(judged, time_zone)
    rows.write.partitionBy("kind").options(**_STAGING).parquet(staging)
    return _staged(spark, files, problems, known, staging)


def _staged(
    spark: SparkSession, files: Sequence[RawFile], problems: Iterable[Problem], known: DataFrame, staging: str
) -> Batch:
    try:
        staged = spark.read.schema(_STAGED).parquet(staging)
    except AnalysisException:
        staged = empty_frame(spark, f"{_STAGED}, kind string")
    places = _places(staged)
    if any(place["file"] is None for place in places):
        raise CheckFailed("Spark read rows from a file that is not among the run's inputs")
    batch = Batch(spark, tuple(files), tuple(problems), staged, known, places, _offsets(places))
    _check_complete(batch)
    return batch


def _check_complete(batch: Batch) -> None:
    rows = {file.key: file.rows for file in batch.files if file.rows is not None}
    found: Mapping[str, int] = {each.key: each.records for each in batch.inputs()}
    for key, expected in rows.items():
        if found[key] != expected:
            raise CheckFailed(f"{key}: {found[key]} rows read, its footer says {expected}")


def _changed_meanwhile(store: ObjectStore, files: Sequence[RawFile]) -> list[Problem]:
    """The files that are not the same object any more after the reading."""
    wanted = {file.key: file.stored for file in files}
    prefix = _common_prefix(list(wanted))
    now: dict[str, StoredObject] = {each.key: each for each in store.listing(prefix) if each.key in wanted}
    return [
        Problem(key, "it was replaced while it was read" if key in now else "it disappeared while it was read")
        for key, stored in wanted.items()
        if now.get(key) != stored
    ]


def _common_prefix(keys: Sequence[str]) -> str:
    first, last = min(keys), max(keys)
    length = next((i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
    return first[:length]


def _broken(spark: SparkSession, store: ObjectStore, files: Sequence[RawFile]) -> list[Problem]:
    """The files that cannot be read to their end."""

    def problem(file: RawFile) -> Problem | None:
        try:
            check_to_the_end(store, file)
            if file.format == PARQUET:
                _read_parquet_to_the_end(spark, store.uri(file.key))
        except Unreadable as error:
            return Problem(file.key, str(error))
        except ObjectMissing:
            return Problem(file.key, "it disappeared between the listing and the reading")
        return None

    with ThreadPoolExecutor(4) as pool:
        return [each for each in pool.map(problem, files) if each is not None]


def _read_parquet_to_the_end(spark: SparkSession, uri: str) -> None:
    try:
        spark.read.option("__globPaths__", "false").parquet(uri).write.format("noop").mode("overwrite").save()
    except (Py4JJavaError, PySparkException) as error:
        raise Unreadable("the Parquet file is corrupt") from error
