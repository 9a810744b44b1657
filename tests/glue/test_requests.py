"""What a daily run requests of S3 and Glue grows with the months that it touches, not with those that lie untouched."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from counted_lake import CountedStore, counted_catalog
from lakehouse import Lakehouse, purchase, refund, void
from pyspark.sql import SparkSession
from wire import Wire

PER_RUN, PER_MONTH, LEAST_PER_MONTH = 105, 45, 30
"""What a run may request whatever it touches, and for each month that it touches in all tables; fewer cannot be all."""
PER_SEARCH = 12
"""What a worker that was idle in one run and not in the other may ask for once more: what each search is for."""
LAST = 2026 * 12 + 9


def month(back: int) -> str:
    return f"{(LAST - back) // 12}-{(LAST - back) % 12 + 1:02d}"


def day(name: str, months: range) -> list[dict[str, Any]]:
    """Some records of each of some months, counted back from the last; refunds and voids have their parents there."""
    records = []
    for back in months:
        at = {"timestamp": f"{month(back)}-05T10:00:00Z"}
        ids = [f"{name}{back}-{number}" for number in range(4)]
        records += [purchase(f"p{each}", customer_id=each, **at) for each in ids]
        records += [refund(f"r{each}", f"p{each}", **at) for each in ids[:3]]
        records += [void(f"v{ids[0]}", f"p{ids[0]}", **at), void(f"v{ids[1]}", f"r{ids[1]}", **at)]
    return records


class CountedLakehouse(Lakehouse):
    """A lakehouse that says what a run requests."""

    def __init__(self, spark: SparkSession, directory: Path) -> None:
        super().__init__(spark, directory)
        directory.mkdir(exist_ok=True)
        self._wire = Wire(directory / "requests")
        lake: Any = self
        lake.raw, lake.base = (CountedStore(directory / name, self._wire) for name in ("raw", "base"))
        lake.catalog = counted_catalog(directory, self._wire)

    def take(self, name: str, records: list[dict[str, Any]]) -> Counter[str]:
        """Deliver an object and run; operation -> how often it was asked for."""
        self.deliver(f"{name}.json", [*records, "?"])
        self._wire.clear()
        outcome = self.run()
        assert outcome.manifest is not None and outcome.sweep_failure is None
        assert outcome.manifest.counts["kept"] == len(records) - outcome.manifest.counts["duplicate"] > 0
        return Counter({name: each.requests for name, each in self._wire.counted().items()})


def lake_of(spark: SparkSession, directory: Path, months: int) -> CountedLakehouse:
    """A lake with so many months, of which the last three were written anew by a second run."""
    lake = CountedLakehouse(spark, directory)
    lake.take("history", day("h", range(months)))
    lake.take("yesterday", day("y", range(3)))
    return lake


def today(name: str, months: int) -> list[dict[str, Any]]:
    """New records, those of yesterday once more, and what concerns stored refunds, in each of the last months."""
    again = [record for record in day("y", range(months)) if record["type"] != "void"]
    late = [void(f"{name}-late{n}", f"ph{n}-3", timestamp=f"{month(n)}-06T00:00:00Z") for n in range(months)]
    return [*day(name, range(months)), *again, *late]


@pytest.fixture(scope="module")
def lakes(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[int, CountedLakehouse]:
    """Months of history -> a lake."""
    return {months: lake_of(spark, tmp_path_factory.mktemp("lake") / "of", months) for months in (12, 40)}


def test_requests_do_not_grow_with_history(lakes: dict[int, CountedLakehouse]) -> None:
    """Given a lake and one with 28 untouched months more, when the same day comes, then both request the same of S3 and Glue."""
    short, long = (lakes[months].take("today", today("t", 2)) for months in (12, 40))
    assert short["S3 ListObjectsV2"] == long["S3 ListObjectsV2"]
    assert short["S3 PutObject"] == long["S3 PutObject"]
    assert abs(long.total() - short.total()) <= PER_SEARCH, (short, long)


def test_requests_are_bounded_for_each_touched_month(lakes: dict[int, CountedLakehouse]) -> None:
    """Given days that touch one month and three, then each month more takes a bounded number of requests."""
    one, three = (lakes[40].take(f"day-{months}", today(f"d{months}", months)) for months in (1, 3))
    assert one.total() <= PER_RUN + PER_MONTH, one
    assert 2 * LEAST_PER_MONTH - PER_SEARCH <= three.total() - one.total() <= 2 * PER_MONTH + PER_SEARCH, (one, three)
