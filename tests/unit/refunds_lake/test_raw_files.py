"""Raw objects that cannot be read: what is wrong with one is named, and stops no other."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import MemoryStore, judged, staged

GOOD = {
    "id": "a",
    "type": "purchase",
    "timestamp": "2026-09-05T10:00:00Z",
    "amount": "1.50",
    "customer_id": "c",
    "merchant_id": "m",
}
TEXTS = pa.table({name: [value] for name, value in GOOD.items()})


def parquet(table: pa.Table = TEXTS, **options: Any) -> bytes:
    body = io.BytesIO()
    pq.write_table(table, body, **options)
    return body.getvalue()


def with_footer(footer: bytes) -> bytes:
    """A Parquet file that has nothing but a footer."""
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def problem_of(body: bytes, key: str = "a.parquet") -> str | None:
    """Why an object cannot be read, if it cannot."""
    return staged({key: body})[1].get(key)


TYPES: list[tuple[str, pa.DataType, str | None]] = [
    *[("id", type_, None) for type_ in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.null())],
    ("id", pa.dictionary(pa.int32(), pa.string()), None),
    ("type", pa.null(), None),
    *[("amount", type_, None) for type_ in (pa.decimal128(10, 3), pa.int8(), pa.int32(), pa.int64(), pa.string())],
    *[("timestamp", pa.timestamp(unit, zone), None) for unit in ("ms", "us", "ns") for zone in (None, "UTC")],
    ("note", pa.list_(pa.struct([("id", pa.int64())])), None),
    ("id", pa.int64(), "column id is int64, it must be text"),
    ("customer_id", pa.float64(), "column customer_id is double, it must be text"),
    ("parent_id", pa.timestamp("us"), "column parent_id is timestamp[us], it must be text"),
    ("parent_id", pa.list_(pa.string()), "column parent_id is list<element: string>, it must be text"),
    ("amount", pa.float64(), "column amount is double, it must be text or decimal or integer"),
    ("amount", pa.uint32(), "column amount is uint32, it must be text or decimal or integer"),
    ("amount", pa.bool_(), "column amount is bool, it must be text or decimal or integer"),
    ("timestamp", pa.date32(), "column timestamp is date32[day], it must be text or timestamp"),
    ("timestamp", pa.int64(), "column timestamp is int64, it must be text or timestamp"),
    ("timestamp", pa.time64("us"), "column timestamp is time64[us], it must be text or timestamp"),
    ("id", pa.binary(4), "column id is fixed_size_binary[4], it must be text"),
]


@pytest.mark.parametrize(("name", "type_", "reason"), TYPES, ids=[f"{name}: {type_}" for name, type_, _ in TYPES])
def test_columns_must_have_a_type_that_says_what_they_mean(name: str, type_: pa.DataType, reason: str | None) -> None:
    """Texts everywhere, exact numbers for an amount, timestamps for a timestamp, and columns without any value."""
    nothing = pa.array([None], type_ if not pa.types.is_dictionary(type_) else pa.string()).cast(type_)
    columns = {**{each: TEXTS[each] for each in GOOD}, name: nothing}
    body = parquet(pa.table(columns))
    assert problem_of(body) == reason
    if reason is None:
        assert len(judged("a.parquet", body)) == 1


def test_a_column_without_any_value_is_what_pandas_writes() -> None:
    """Given purchases only, whose parent_id is a column of Parquet's null type, then they are taken."""
    [row] = judged("a.parquet", parquet(TEXTS.append_column("parent_id", pa.nulls(1))))
    assert (row["kind"], row["id"], row["parent_id"]) == ("purchase", "a", None)


def test_other_columns_may_have_any_name_however_often() -> None:
    """Given columns that the job does not need, twice or with dots in their names, then the rows are taken all the same."""
    extra = ["x", "x", "id.x", "X", "", "timestamp.id"]
    table = pa.table([*TEXTS.columns, *[pa.array([1])] * len(extra)], names=[*TEXTS.schema.names, *extra])
    [row] = judged("a.parquet", parquet(table))
    assert (row["kind"], row["id"], row["customer_id"]) == ("purchase", "a", "c")


@pytest.mark.parametrize("name", ["id", "ID", "parent_id"])
def test_a_column_that_is_needed_may_come_once(name: str) -> None:
    """Given a needed column twice, however it is written, then the file is a problem: nobody can say which one counts."""
    table = pa.table([*TEXTS.columns, *[pa.array(["b"])] * 2], names=[*TEXTS.schema.names, name, name])
    assert problem_of(parquet(table)) == f"column {name.lower()} occurs more than once"


def test_more_rows_than_bytes_are_a_problem_of_the_file() -> None:
    """Given few bytes that repeat one value for many rows, then the file is named at once, with both numbers."""
    rows = 2_000_000
    body = parquet(pa.table({name: pa.repeat("x", rows) for name in ("id", "type", "timestamp", "amount")}))
    assert len(body) < rows
    says = f"it announces 2,000,000 rows in {len(body):,} bytes, too few to hold the ids of so many records"
    assert problem_of(body) == says


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def entries(number: int) -> bytes:
    """The head of a Thrift list of structs."""
    return b"\xfc" + varint(number)


LEAF = b"\x15\x0c\x25\x02\x18\x01z\x00"


def group(children: int) -> bytes:
    return b"\x48\x01r\x15" + varint(2 * children) + b"\x00"


FOOTERS = {
    "a list of 2^31 booleans": b"\x19\xf1" + varint(2**31 - 1),
    "a list of 900,000 columns": b"\x15\x02\x19" + entries(900_000),
    "a list of 900,000 column chunks": b"\x15\x02\x19" + entries(2) + group(1) + LEAF + b"\x16\x00\x19" + entries(1) + b"\x19" + entries(900_000),
    "100,000 columns within each other": b"\x15\x02\x19" + entries(100_002) + group(1) * 100_001 + LEAF + b"\x16\x00\x19\x0c\x00",
    "nothing": b"",
    "zeros": b"\0" * 100,
}  # fmt: skip


@pytest.mark.parametrize("footer", FOOTERS.values(), ids=FOOTERS)
def test_a_footer_cannot_hold_the_job(footer: bytes) -> None:
    """Given footers that announce more than there is, or nest without end, then they are problems within moments."""
    before = pa.total_allocated_bytes()
    problem = problem_of(with_footer(footer))
    assert problem is not None and problem.startswith("its footer cannot be read: ")
    assert "\n" not in problem
    assert pa.total_allocated_bytes() == before


def test_any_flipped_bit_of_a_footer_is_a_problem_or_harmless() -> None:
    """Given a flipped bit anywhere in a footer, then the file is named with why, or its rows are judged; nothing else."""
    whole = parquet()
    length = int.from_bytes(whole[-8:-4], "little") + 8
    outcomes: dict[bool, int] = {True: 0, False: 0}
    for bit in range(0, 8 * length, 29):
        broken = bytearray(whole)
        broken[len(whole) - length + bit // 8] ^= 1 << bit % 8
        outcomes[problem_of(bytes(broken)) is None] += 1
    assert all(outcomes.values())


def test_whatever_goes_wrong_with_one_object_is_named_and_the_others_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an error that nobody thought of while one object is judged, then it is a problem in the error's own words."""
    from refunds_lake.raw import parquet_rows

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("thirteen\nat table")

    monkeypatch.setattr(parquet_rows, "_as_text", broken)
    rows, problems = staged({"a.parquet": parquet(), "b.json": b'{"id":"x"}\n'})
    assert problems == {"a.parquet": "the Parquet file is corrupt: ZeroDivisionError: thirteen at table"}
    assert [row["file"] for row in rows] == [1]


class Failing(MemoryStore):
    """A bucket whose machine has failed."""

    def chunks(self, key: str, *, etag: str, version_id: str = "") -> Iterator[bytes]:
        yield self.objects[key][:20]
        raise ConnectionError("no route to host")

    def put(self, key: str, body: bytes, **_: Any) -> str:
        raise ConnectionError("no route to host")


BODIES: dict[str, bytes] = {"a.json": b'{"id":"x"}\n{"id":"y"}\n', "a.csv": b"id,type,timestamp,amount\na,b,c,d\n", "a.csv.gz": gzip.compress(b"id,type,timestamp,amount\na,b,c,d\n"), "a.parquet": parquet()}  # fmt: skip


@pytest.mark.parametrize("key", BODIES)
@pytest.mark.parametrize("fails", ["raw", "base"])
def test_a_failure_of_the_machine_is_no_fault_of_an_object(key: str, fails: str) -> None:
    """Given a bucket that cannot be read or written, then the run ends with its error, and no object is blamed."""
    with pytest.raises(ConnectionError, match="no route to host"):
        staged({key: BODIES[key]}, **{fails: Failing(1 << 20)})
