"""The benchmarks' own arithmetic: data that is the same every time, ratios, exponents and bytes that are what they say."""

from __future__ import annotations

import gzip
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

pyarrow = pytest.importorskip("pyarrow")
duckdb = pytest.importorskip("duckdb")

import comparison
import local_lake
import outputs
import parquet_bytes
import raw_data
import report_bytes
from refunds_lake.storage.objects import ObjectMissing, PreconditionFailed
from wire import Operation, Wire

STREAM = raw_data.Stream(rows_per_month=10_000, customers=50)


def lines(first_row: int, end_row: int, directory: Path) -> list[str]:
    """The lines that a delivery of these rows has, in order."""
    files = raw_data.deliveries(STREAM, first_row, end_row)
    raw_data.write(STREAM, files, directory)
    return [line for file in files for line in gzip.open(directory / file.path, "rt").read().splitlines()]


def test_the_same_rows_are_generated_every_time(tmp_path: Path) -> None:
    """Two machines that generate the same records compare the same work."""
    assert lines(0, 2_000, tmp_path / "one") == lines(0, 2_000, tmp_path / "other")


def test_a_longer_history_begins_with_the_shorter_one(tmp_path: Path) -> None:
    """The daily batch that follows a history is new to it, and the stream does not depend on how it is cut."""
    whole = lines(0, 3_000, tmp_path / "whole")
    parts = lines(0, 1_000, tmp_path / "first") + lines(1_000, 3_000, tmp_path / "second")
    assert whole == parts


def test_generated_records_have_the_promised_mix(tmp_path: Path) -> None:
    """80 % purchases, 15 % refunds, 5 % voids, half a percent bad, one percent again, and parents that came before."""
    found = lines(0, 20_000, tmp_path)
    sound = []
    for line in found:
        try:
            sound.append(json.loads(line))
        except ValueError:
            continue
    share = {kind: sum(each["type"] == kind for each in sound) / len(sound) for kind in ("purchase", "refund", "void")}
    assert share == pytest.approx({"purchase": 0.8, "refund": 0.15, "void": 0.05}, abs=0.01)
    purchases = {each.get("id") for each in sound if each["type"] == "purchase"}
    refunds = [each for each in sound if each["type"] == "refund"]
    assert 0.97 < sum(each["parent_id"] in purchases for each in refunds) / len(refunds) < 1
    assert sum(map(len, found)) / len(found) == pytest.approx(215, abs=5)


def test_redelivered_rows_come_in_a_later_delivery_or_later_in_the_file(tmp_path: Path) -> None:
    """Duplicates and corrections are there: the same id more than once, sometimes with another amount."""
    stream = raw_data.Stream(rows_per_month=10_000)
    query = raw_data.lines_sql(stream, raw_data.Delivery("", 100_000, 110_000))
    records = [json.loads(line) for (line,) in duckdb.sql(query).fetchall() if line.endswith("}")]
    repeated_from_before = len(records) - 10_000 * 0.995
    assert repeated_from_before == pytest.approx(100, rel=0.5)


def test_ratios_are_taken_pair_by_pair() -> None:
    """A noisy half of the runs does not blur a ratio that holds in every pair."""
    found = comparison.ratios([10.0, 20.0, 30.0], [5.0, 10.0, 10.0])
    assert (found.low, found.median, found.high, found.count) == (2.0, 2.0, 3.0, 3)


def test_the_exponent_of_growth_tells_flat_from_linear() -> None:
    """0 for a run that does not feel history, 1 for one that reads all of it."""
    sizes = [1e6, 5e6, 2e7]
    assert comparison.growth_exponent(sizes, [3.0, 3.0, 3.0]) == pytest.approx(0)
    assert comparison.growth_exponent(sizes, [size * 7 for size in sizes]) == pytest.approx(1)


def test_column_chunk_bytes_are_those_of_the_named_columns(tmp_path: Path) -> None:
    """What a query must read is the sum of its columns' chunks, and all columns together are nearly the file."""
    file = tmp_path / "file.parquet"
    duckdb.sql(
        f"copy (select md5(i::varchar) as id, i % 2 as flag, [i] as list from range(10000) t(i)) to '{file}' "
        "(format parquet, row_group_size 2048)"
    )
    one, two, three = (parquet_bytes.chunk_bytes(file, [name]) for name in ("id", "flag", "list"))
    assert one + two + three == parquet_bytes.chunk_bytes(file) < file.stat().st_size
    assert one > 16 * 10_000 > 100 * two
    assert sum(parquet_bytes.row_groups(file)) == 10_000


def test_the_minimum_counts_every_random_id_once() -> None:
    """One purchase and nothing else is its own id and its customer's; an order of many ids can be left untold."""
    assert report_bytes.least_bits(1, 0, 0, 1) == 128 + 128 + 1
    assert report_bytes.random_set_bits(2) == pytest.approx(255)


def ask(wire: Wire) -> None:
    for _ in range(20):
        wire.request("S3 GetObject", 5)


def test_requests_of_all_processes_are_counted_and_take_their_time(tmp_path: Path) -> None:
    """Given processes that ask at once, then each request is counted with its bytes, and has waited."""
    wire = Wire(tmp_path / "requests", latency_seconds=0.001)
    wire.clear()
    with ProcessPoolExecutor(2) as pool:
        started = time.monotonic()
        list(pool.map(ask, [wire] * 4))
    assert time.monotonic() - started > 40 * 0.001
    wire.request("Glue GetTable")
    assert wire.counted() == {"Glue GetTable": Operation(1, 0), "S3 GetObject": Operation(80, 400)}
    wire.clear()
    assert wire.counted() == {}


def test_the_lake_of_the_benchmarks_answers_as_s3_and_glue_do(tmp_path: Path) -> None:
    """Given the job's adapters over directories, then pages, conditions and ranges are S3's, and each page is a request."""
    wire = Wire(tmp_path / "requests")
    store = local_lake.DirectoryStore("bucket", tmp_path / "bucket", wire)
    etag = store.put("a/0", b"0123456789", only_if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.put("a/0", b"", only_if_absent=True)
    assert store.get("a/0") == (b"0123456789", etag)
    assert store.read_range("a/0", 8, 99) == b"89"
    assert b"".join(store.chunks("a/0", etag=etag)) == b"0123456789"
    with pytest.raises(ObjectMissing):
        store.get("b")
    for number in range(1, 1_001):
        (tmp_path / "bucket" / "a" / str(number)).write_bytes(b"")
    wire.clear()
    assert len(list(store.listing("a/"))) == 1_001
    assert list(store.listing("b/")) == []
    assert len(store.versions("a/")) == 1_001
    store.delete(["a/0", "gone"])
    catalog = local_lake.file_catalog(tmp_path / "catalog.json", wire)
    catalog.create("void", {"2026-09": "one", "2026-10": "two"})
    catalog.update("void", {"2026-10": "three"})
    catalog.drop("void", ["2026-09", "2026-01"])
    assert catalog.months("void") == {"2026-10": "three"}
    assert {name: each.requests for name, each in wire.counted().items() if name != "Glue GetTable"} == {
        "Glue BatchCreatePartition": 1, "Glue BatchUpdatePartition": 1, "Glue DeletePartition": 2,
        "Glue GetPartitions": 1, "S3 DeleteObjects": 1,
        "S3 ListObjectVersions": 2, "S3 ListObjectsV2": 3,
    }  # fmt: skip


def test_totals_differ_when_one_amount_differs(tmp_path: Path) -> None:
    """Engines that did not write the same rows are not compared."""
    for name, cents in (("a", 100), ("b", 100), ("c", 101)):
        directory = tmp_path / name / "void"
        directory.mkdir(parents=True)
        duckdb.sql(
            f"copy (select 'v' as id, 'p' as parent_id, ({cents} / 100)::decimal(18,2) as amount, '2026-01' as month) "
            f"to '{directory}' (format parquet, partition_by (month))"
        )
    a, b, c = (outputs.totals(outputs.written(tmp_path / name)) for name in "abc")
    assert a == b != c
