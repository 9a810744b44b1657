"""Raw objects as the job's workers read them, without Spark: what `Stage` makes of each record."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import oracle
import pyarrow.parquet as pq
from refunds_lake.raw import rules
from refunds_lake.raw.raw_files import describe
from refunds_lake.raw.staging import Portion, Stage
from refunds_lake.schema.months import Months
from refunds_lake.storage.objects import ObjectMissing, StoredObject

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FIELDS = ("id", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
Row = dict[str, Any]


class MemoryStore:
    """The part of a bucket that workers need, in memory."""

    def __init__(self, chunk_bytes: int) -> None:
        self.objects: dict[str, bytes] = {}
        self._chunk_bytes = chunk_bytes

    def listing(self, prefix: str, **_: Any) -> Iterator[StoredObject]:
        for key in sorted(self.objects):
            if key.startswith(prefix):
                body = self.objects[key]
                yield StoredObject(key, hashlib.md5(body).hexdigest(), NOW, len(body))

    def get(self, key: str) -> tuple[bytes, str]:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key], hashlib.md5(self.objects[key]).hexdigest()

    def read_range(self, key: str, first: int, last: int) -> bytes:
        return self.objects[key][first : last + 1]

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        body = self.objects[key]
        assert hashlib.md5(body).hexdigest() == etag
        yield from (body[start : start + self._chunk_bytes] for start in range(0, len(body), self._chunk_bytes))

    def put(self, key: str, body: bytes, **_: Any) -> str:
        self.objects[key] = body
        return hashlib.md5(body).hexdigest()


def staged(
    objects: Mapping[str, bytes],
    *,
    zone: str = "UTC",
    chunk_bytes: int = 1 << 20,
    raw: MemoryStore | None = None,
    base: MemoryStore | None = None,
) -> tuple[list[Row], dict[str, str]]:
    """The records of some objects in order, each with its kind and its file's position among the objects; the problems."""
    store: Any = MemoryStore(chunk_bytes)
    store.objects.update(objects)
    stored = [StoredObject(key, hashlib.md5(body).hexdigest(), NOW, len(body)) for key, body in objects.items()]
    files = [describe(each) for each in stored]
    if raw is not None:
        raw.objects.update(objects)
    base = base or MemoryStore(chunk_bytes)
    stage = Stage(raw or store, base, "", "a run", Months.of(zone), rules.RULES)
    result = stage(Portion(0, tuple(enumerate(files))))
    rows = []
    for key, body in base.objects.items():
        kind = key.partition("kind=")[2].partition("/")[0]
        columns = {"reasons": None, "raw_text": None, **dict.fromkeys(FIELDS)}
        rows += [{**columns, **row, "kind": kind} for row in pq.ParquetFile(io.BytesIO(body)).read().to_pylist()]
    problems = {files[number].key: reason for number, reason in result.problems.items()}
    if not problems:
        assert len(rows) == result.counts.total()
    return sorted(rows, key=lambda row: (row["file"], row["line_number"])), problems


def judged(key: str, body: bytes, **options: Any) -> list[Row]:
    """The records of one readable object."""
    rows, problems = staged({key: body}, **options)
    assert not problems
    return rows


def outcomes(rows: Iterable[Row]) -> list[tuple[Any, ...]]:
    """Records as the oracle describes them: number, kind and values, or raw text and reasons."""
    return [
        (row["line_number"], "rejected", row["raw_text"], sorted(row["reasons"]))
        if row["kind"] == "rejected"
        else (row["line_number"], row["kind"], *(row[name] for name in FIELDS), row["month"])
        for row in rows
    ]


def expected(key: str, body: bytes, zone: str = "UTC") -> list[tuple[Any, ...]]:
    """What the oracle makes of a text object, as `outcomes` shows it."""
    found: list[tuple[Any, ...]] = []
    for number, raw_text, fields, fault in oracle.records(oracle.Raw(key, body, NOW)):
        row, reasons = oracle.judge(fields, NOW) if fields is not None else (None, [fault])
        found.append(expected_outcome(number, raw_text, row, reasons, zone))
    return found


def expected_outcome(number: int, raw_text: str, row: Row | None, reasons: list[str], zone: str) -> tuple[Any, ...]:
    if row is None:
        return (number, "rejected", raw_text, sorted(reasons))
    month = oracle.month_of(row["timestamp"], zone)
    return (number, row["kind"], *(row.get(name) for name in FIELDS), month)
