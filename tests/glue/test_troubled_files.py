"""Files that are broken, strange or gone: named, left unread, and no harm to the others."""

from __future__ import annotations

import gzip
import io
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deliveries import as_parquet
from lake_fakes import DirectoryStore
from lakehouse import NOW, Lakehouse, purchase, refund
from refunds_lake.storage.objects import StoredObject


def test_broken_files_are_named_and_the_others_are_read(lakehouse: Lakehouse) -> None:
    """One run over good and bad files takes the good ones whole, names each bad one, and reads it when it is repaired."""
    lines = b"".join(b'{"id":"x%d"}\n' % number for number in range(20_000))
    whole, good = gzip.compress(lines), [purchase("p1")]
    corrupt = bytearray(whole)
    corrupt[len(whole) // 2] ^= 0xFF
    names = {
        lakehouse.deliver(name, body): reason
        for name, body, reason in [
            ("cut.json.gz", whole[: len(whole) // 2], "the gzip file is truncated"),
            ("corrupt.json.gz", bytes(corrupt), "corrupt"),
            ("plain.csv.gz", b"id,type,timestamp,amount\n", "the gzip file is corrupt"),
            ("empty.json", b"", "empty"),
            ("empty.parquet", b"", "empty"),
            ("notes.txt", b"hello", "unknown suffix"),
            ("data.JSON", b"{}", "unknown suffix"),
            ("_hidden.json", b"{}", "hidden"),
            ("nothing.csv.gz", gzip.compress(b""), "its columns are (none)"),
            ("long-header.csv", b"id,type,timestamp,amount," + b"x" * (1 << 16), "header line is longer"),
            ("latin.csv", b"id,type,timestamp,amount,\xe9\n", "header line is not UTF-8"),
            ("quote.csv", b'id,type,timestamp,amount,"x\n', "header line is not CSV"),
            ("no-amount.csv", b"id,type,timestamp\na,b,c\n", "no column amount"),
            ("twice.csv", b"id,type,timestamp,amount,id\na,b,c,d,e\n", "more than once"),
            ("text.parquet", b"PAR1 this is no parquet file PAR1", "footer"),
            ("cut.parquet", as_parquet(good)[:-9], "magic bytes not found"),
            ("double.parquet", as_parquet([{"amount": 1.5}], amount=pa.float64()), "amount is double"),
            ("number.parquet", as_parquet([{"id": 5}], id=pa.int64()), "id is int64"),
            (
                "bomb.parquet",
                b"PAR1\x19\xf1\xff\xff\xff\xff\x07" + struct.pack("<I", 7) + b"PAR1",
                "its footer cannot be read",
            ),
        ]
    }
    lakehouse.deliver("good.json", [*good, "", "x"])
    lakehouse.deliver("header-only.csv", "id,type,timestamp,amount\n")
    odd = lakehouse.deliver("a b?{x}[y]*%20é&=#1.json", [refund("r1", "p1")])
    broken_page = bytearray(as_parquet([purchase(f"q{number}") for number in range(3000)]))
    broken_page[200:1200] = b"\0" * 1000
    names[lakehouse.deliver("page.parquet", bytes(broken_page))] = "corrupt"

    outcome = lakehouse.run()

    reasons = {problem.key: problem.reason for problem in outcome.problems}
    assert {key: word in reasons.get(key, "") for key, word in names.items()} == dict.fromkeys(names, True), reasons
    assert set(reasons) == set(names)
    assert dict(outcome.manifest.counts) == {"read": 3, "kept": 2, "duplicate": 0, "superseded": 0, "rejected": 1}
    assert [row["source_file"] for row in lakehouse.rows("refund")] == [odd]
    assert [(row["line_number"], row["raw_text"]) for row in lakehouse.rows("rejected")] == [(3, "x")]
    assert not names.keys() & {each.key for each in outcome.manifest.inputs}

    lakehouse.deliver("cut.json.gz", gzip.compress(lines + b'{"id":"x20000"}\n'), at=NOW + timedelta(seconds=1))
    again = lakehouse.run()
    assert again.manifest.counts["rejected"] == 20_001
    assert len(again.problems) == len(names) - 1


def test_a_huge_line_is_named_before_it_takes_the_memory(lakehouse: Lakehouse) -> None:
    """Files with a line of 200 MB, plain and zipped, first and last, are problems; a long line that fits is rejected."""
    line = b'{"id":"' + b"x" * 200_000_000
    late = (b" " * 4095 + b"\n") * 5_000 + line[:40_000_000]
    header = b"id,type,timestamp,amount\n"
    huge = [
        lakehouse.deliver("huge.json", line),
        lakehouse.deliver("huge.csv.gz", gzip.compress(header + line, 1)),
        lakehouse.deliver("late.json", late + b"\n{}\n"),
        lakehouse.deliver("late.json.gz", gzip.compress(b"{}\n" + late + b"\n{}\n", 1)),
        lakehouse.deliver("late.csv.gz", gzip.compress(header + late, 1)),
    ]
    lakehouse.deliver("long.json.gz", gzip.compress(line[:20_000_000] + b"\n{}\n", 1))
    lakehouse.deliver("good.json", [purchase("p1")])

    outcome = lakehouse.run()

    assert {problem.key for problem in outcome.problems} == set(huge)
    assert {problem.reason for problem in outcome.problems} == {"it has a line of more than 32 MiB"}
    assert [row["id"] for row in lakehouse.rows("purchase")] == ["p1"]
    rejected = {(row["line_number"], row["reasons"][0], len(row["raw_text"])) for row in lakehouse.rows("rejected")}
    assert rejected == {(1, "line_too_long", 1 << 16), (2, "id_missing", 2)}


def test_columns_without_values_and_columns_that_are_not_needed_are_no_problem(lakehouse: Lakehouse) -> None:
    """Given a file of purchases as pandas writes it, with another column twice, then it is loaded."""
    good = pa.Table.from_pylist([{**purchase("p1"), "parent_id": None}])
    assert pa.types.is_null(good.schema.field("parent_id").type)
    sink = io.BytesIO()
    pq.write_table(pa.table([*good.columns, *[pa.array(["y"])] * 2], names=[*good.schema.names, "x", "x"]), sink)
    lakehouse.deliver("pandas.parquet", sink.getvalue())
    outcome = lakehouse.run()
    assert not outcome.problems
    assert [(row["id"], row["source_file"].rpartition("/")[2]) for row in lakehouse.rows("purchase")] == [
        ("p1", "pandas.parquet")
    ]


def test_parquet_types_are_taken_as_they_are(lakehouse: Lakehouse) -> None:
    """Texts, exact decimals, whole numbers and timestamps are fine; a decimal with a third digit is not an amount."""
    moment = datetime(2026, 9, 5, 10, 0, 0, 123456, tzinfo=UTC)
    decimals = [
        purchase(f"d{value}", amount=Decimal(value), timestamp=moment) for value in ("1.5000", "1.2345", "0", "100")
    ]
    body = as_parquet(decimals, amount=pa.decimal128(20, 4), timestamp=pa.timestamp("us", tz="UTC"))
    lakehouse.deliver("decimal.parquet", body)
    naive = purchase("n", amount=7, timestamp=moment.replace(tzinfo=None), customer_id=" c ", merchant_id="")
    lakehouse.deliver(
        "naive.parquet",
        as_parquet([naive, {**naive, "merchant_id": "m"}], amount=pa.int32(), timestamp=pa.timestamp("ms")),
    )
    lakehouse.deliver("text.parquet", as_parquet([purchase("t", amount="3.10")]))

    outcome = lakehouse.run()

    assert not outcome.problems
    taken = {row["id"]: (row["amount"], row["timestamp"]) for row in lakehouse.rows("purchase")}
    assert taken == {
        "d1.5000": (Decimal("1.50"), moment.replace(microsecond=123000)),
        "d100": (Decimal("100.00"), moment.replace(microsecond=123000)),
        "n": (Decimal("7.00"), moment.replace(microsecond=123000)),
        "t": (Decimal("3.10"), datetime(2026, 9, 5, 10, tzinfo=UTC)),
    }
    rejected = {(row["line_number"], *row["reasons"]) for row in lakehouse.rows("rejected")}
    assert rejected == {(2, "amount_invalid"), (3, "amount_not_positive"), (1, "merchant_id_missing")}


class Vanishing(DirectoryStore):
    """A bucket from which an object disappears between the listing and the reading."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.vanishing: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Workers list nothing: theirs is a plain bucket."""
        return DirectoryStore, (self.root,)

    def versions(self, prefix: str) -> list[StoredObject]:
        found = super().versions(prefix)
        if self.vanishing is not None:
            self.delete([self.vanishing])
            self.vanishing = None
        return found


def test_an_object_that_disappears_is_named_and_not_marked_as_read(spark: Any, tmp_path: Path) -> None:
    """Deleted between listing and reading: the run goes on with the rest."""
    raw = Vanishing(tmp_path / "raw")
    lakehouse = Lakehouse(spark, tmp_path, raw=raw)
    raw.vanishing = lakehouse.deliver("gone.json", [purchase("p1")])
    gone, stays = raw.vanishing, lakehouse.deliver("stays.json", [purchase("p2")])
    outcome = lakehouse.run()
    assert [problem.key for problem in outcome.problems] == [gone]
    assert [row["id"] for row in lakehouse.rows("purchase")] == ["p2"]
    assert {key for key, _ in outcome.state.known} == {stays}


def test_columns_that_tools_add_are_not_read(lakehouse: Lakehouse) -> None:
    """CSV as Stitch writes it and Parquet as Fivetran does, with their own columns: the record's fields are read."""
    stitch = (
        '"amount","customer_id","id","merchant_id","timestamp","type","_sdc_batched_at","_sdc_received_at",'
        '"_sdc_sequence","_sdc_table_version"\n'
        '"10.50","anna","p1","m1","2026-07-01T10:00:00.000Z","purchase","2026-07-02T00:00:01.123Z",'
        '"2026-07-02T00:00:00.456Z","1790000000000000","0"\n'
    )
    lakehouse.deliver("crm-1_1790000000000.csv", stitch, route="third-party")
    moment = datetime(2026, 8, 1, 10, tzinfo=UTC)
    fivetran = pa.table(
        {
            "_fivetran_id": ["x1"],
            "_fivetran_deleted": [False],
            "_fivetran_synced": pa.array([moment], pa.timestamp("us", "UTC")),
            "id": ["r1"],
            "type": ["refund"],
            "parent_id": ["p1"],
            "timestamp": pa.array([moment], pa.timestamp("us", "UTC")),
            "amount": pa.array([Decimal("4.25")], pa.decimal128(38, 10)),
        }
    )
    body = io.BytesIO()
    pq.write_table(fivetran, body)
    lakehouse.deliver("0000-fivetran.parquet", body.getvalue(), route="third-party")

    outcome = lakehouse.run()

    assert outcome.problems == ()
    assert [(row["id"], row["amount"]) for row in lakehouse.rows("purchase")] == [("p1", Decimal("10.50"))]
    assert [(row["id"], row["amount"], row["timestamp"]) for row in lakehouse.rows("refund")] == [
        ("r1", Decimal("4.25"), moment)
    ]
