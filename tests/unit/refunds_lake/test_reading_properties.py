"""Random files, judged by the job and by the oracle: the same records, reasons and raw texts, whoever parsed them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import oracle
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nightly import examples
from random_records import csv_file, json_file, parquet_file, zipped
from reading import NOW, expected, expected_outcome, judged, outcomes, staged
from refunds_lake.raw import blocks as lines
from refunds_lake.raw import records

SETTINGS = settings(max_examples=examples(60), deadline=None, database=None, suppress_health_check=list(HealthCheck))
ZONES = ["UTC", "Australia/Sydney", "America/St_Johns"]


@pytest.mark.parametrize(("suffix", "made"), [(".json", json_file), (".csv", csv_file)])
def test_random_lines_are_judged_as_the_oracle_says(suffix: str, made: Callable[[Random], bytes]) -> None:
    """Valid, mutated and mangled lines in files of any line ends, zipped or not, in blocks and pieces of any size."""

    @SETTINGS
    @given(st.integers(0, 1 << 40))
    def check(seed: int) -> None:
        random = Random(seed)
        body, zone = made(random), random.choice(ZONES)
        key = f"a{suffix}{random.choice(['', '.gz'])}"
        body = zipped(random, body) if key.endswith(".gz") else body
        with pytest.MonkeyPatch.context() as patched:
            if random.random() < 0.3:
                patched.setattr(records, "LINE_BYTES", 300)
                patched.setattr(oracle, "LINE_BYTES", 300)
            patched.setattr(lines, "BLOCK_BYTES", random.choice([1, 500, 3_000, 8 << 20]))
            found = judged(key, body, zone=zone, chunk_bytes=random.choice([11, 400, 1 << 20]))
            assert outcomes(found) == expected(key, body, zone)

    check()


MONTH_END = st.builds(
    lambda year, month: datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC),
    st.integers(2000, 2025),
    st.integers(1, 12),
)


@given(MONTH_END, st.integers(1, 10**9 - 1), st.integers(1, 9), st.sampled_from(["Z", "", "+00:00"]))
@example(datetime(2025, 2, 1, tzinfo=UTC), 500_000, 4, "Z")  # 2025-01-31T23:59:59.9995Z
@SETTINGS
def test_no_reader_that_rounds_to_milliseconds_sees_another_month(
    end: datetime, before: int, digits: int, offset: str
) -> None:
    """Given a moment up to a second before a month ends, when its timestamp is rounded, then it lies in its month still."""
    fraction = f"{10**9 - before:09}"[:digits]
    text = f"{end - timedelta(seconds=1):%Y-%m-%d %H:%M:%S}.{fraction}{offset}"
    line = {"id": "a", "type": "void", "timestamp": text, "amount": "1", "parent_id": "p"}
    [row] = judged("a.json", json.dumps(line).encode())
    rounded = row["timestamp"] + timedelta(microseconds=500)
    assert rounded < end
    assert f"{rounded - timedelta(microseconds=rounded.microsecond % 1000):%Y-%m}" == row["month"]
    body = io.BytesIO()
    nanos = int((end - timedelta(seconds=1)).timestamp()) * 10**9 + 10**9 - before
    columns = {name: [value] for name, value in line.items()}
    pq.write_table(pa.table({**columns, "timestamp": pa.array([nanos], pa.timestamp("ns", "UTC"))}), body)
    [row] = judged("a.parquet", body.getvalue())
    assert row["timestamp"] == end - timedelta(milliseconds=1) * -(-before // 10**6)


def test_random_parquet_rows_are_judged_as_the_oracle_says() -> None:
    """Texts, exact numbers and timestamps of all kinds that a raw file may have, with values from anywhere in their range."""

    @SETTINGS
    @given(st.integers(0, 1 << 40))
    def check(seed: int) -> None:
        random = Random(seed)
        body, rows = parquet_file(random)
        zone = random.choice(ZONES)
        found, problems = staged({"a.parquet": body}, zone=zone)
        assert problems == {}
        for number, (fields, row) in enumerate(zip(rows, found, strict=True), 1):
            raw_text = oracle.parse_json(row["raw_text"]) if row["raw_text"] is not None else {}
            assert set(raw_text) in (set(), set(fields))
            taken, reasons = oracle.judge(fields, NOW)
            assert outcomes([row]) == [expected_outcome(number, row["raw_text"], taken, reasons, zone)], fields

    check()
