"""Files of months: every staged and stored row of a month exactly once, but for what was decided."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import NOW, MemoryStore
from refunds_lake.raw import rules, staging
from refunds_lake.raw.raw_files import describe
from refunds_lake.raw.staging import Piece, Portion, Stage, Staged
from refunds_lake.schema import id_hashes
from refunds_lake.schema.months import Months
from refunds_lake.storage.objects import StoredObject
from refunds_lake.tables import month_files
from refunds_lake.tables.month_files import ADDED, KEYS, REMOVED, REPLACED, Writer, decided, planned
from refunds_lake.tables.month_search import Ids, index_key

MONTH = "2026-09"
STANDS, NEXT = (f"base/purchase/month={MONTH}/run={run}/" for run in ("stands", "next"))
MOMENT = datetime(2026, 9, 5, 10, tzinfo=UTC)


def purchase(id: str, *, month: str = MONTH, customer: str = "c") -> dict[str, Any]:
    return {"id": id, "type": "purchase", "timestamp": f"{month}-05T10:00:00Z", "amount": "1.50",
            "customer_id": customer, "merchant_id": "m"}  # fmt: skip


def stage(base: MemoryStore, records: dict[str, list[Any]], *, broken: bytes = b"", run_id: str = "a run") -> Staged:
    """Stage raw objects of JSON lines; `broken` ends the last one."""
    raw: Any = MemoryStore(300)
    for key, lines in records.items():
        raw.objects[key] = "".join(json.dumps(line) + "\n" for line in lines).encode()
    last = next(reversed(raw.objects))
    raw.objects[last] += broken
    stored = [StoredObject(key, hashlib.md5(body).hexdigest(), NOW, len(body)) for key, body in raw.objects.items()]
    files = [describe(each) for each in stored]
    work: Any = base
    everything = Stage(raw, work, "staging/", run_id, Months.of("UTC"))
    return everything(Portion(0, tuple(enumerate(files))))


def decide(base: MemoryStore, decisions: list[dict[str, Any]]) -> Any:
    """Put decisions where Spark would."""
    columns: dict[str, Any] = {"decision": pa.string(), "id": pa.string(), "ingested_at": rules.MOMENT,
               "source_file": pa.string(), "timestamp": rules.MOMENT, "amount": rules.MONEY,
               "customer_id": pa.string(), "merchant_id": pa.string(), "parent_id": pa.string()}  # fmt: skip
    body = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(decisions, pa.schema(list(columns.items()))), body)
    base.objects[f"decided/kind=purchase/month={MONTH}/part-0.parquet"] = body.getvalue()
    return partial(decided, [key for key in base.objects if key.startswith("decided/")])


def write(base: Any, result: Staged, prefix: str, *, stored: Sequence[Piece] = (), **writer: Any) -> int:
    """Write the purchases of MONTH; how many files were planned."""
    pieces = [piece for piece in result.pieces if (piece.kind, piece.month) == ("purchase", MONTH)]
    files = planned("purchase", MONTH, prefix, pieces, stored)
    for file in files:
        Writer(base, **{"broken": frozenset(), **writer})(file)
    return len(files)


def parts(base: MemoryStore, prefix: str) -> list[StoredObject]:
    return [each for each in base.listing(prefix) if each.key.endswith(".parquet")]


def standing(base: MemoryStore, prefix: str, rows: int) -> list[Piece]:
    """The files of a month, as if each had so many rows."""
    return [Piece("", MONTH, each.key, each.size, None, rows) for each in parts(base, prefix)]


def rows(base: MemoryStore, prefix: str) -> list[dict[str, Any]]:
    found = []
    for each in parts(base, prefix):
        file = pq.ParquetFile(io.BytesIO(base.objects[each.key]))
        assert file.metadata.num_row_groups == 1
        customers = file.read().column("customer_id").to_pylist()
        assert customers == sorted(customers), "each file is ordered by customer"
        found += file.read().to_pylist()
    return found


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of a few rows, objects of a few row groups, files of ten rows."""
    monkeypatch.setattr(staging, "_ROW_GROUP_ROWS", 5)
    monkeypatch.setattr(staging, "PART_BYTES", 4_000)
    monkeypatch.setattr(month_files, "FILE_ROWS", 10)
    monkeypatch.setattr("refunds_lake.raw.blocks.BLOCK_BYTES", 500)


def test_every_row_is_written_once_however_the_month_is_divided(small: None) -> None:
    """Given many pieces and a month that stands in files, when it is written, then each row is in one file, the others in none."""
    random = Random(5)
    base = MemoryStore(1 << 16)
    old = stage(base, {"old.json": [purchase(f"o{n}", customer=f"c{random.randrange(9)}") for n in range(25)]})
    assert write(base, old, STANDS) > 1
    stored = standing(base, STANDS, 10)
    new = {
        f"{name}.json": [
            purchase(f"{name}{n}", month=random.choice(["2026-08", MONTH]), customer=f"c{random.randrange(9)}")
            for n in range(40)
        ]
        for name in "ab"
    }
    result = stage(base, new)
    assert len({piece.key for piece in result.pieces}) > 1
    files = write(base, result, NEXT, stored=stored)
    expected = [f"o{n}" for n in range(25)]
    expected += [line["id"] for lines in new.values() for line in lines if line["timestamp"].startswith(MONTH)]
    found = rows(base, NEXT)
    assert Counter(row["id"] for row in found) == Counter(expected)
    assert files == len(parts(base, NEXT)) > 3
    assert {row["source_file"] for row in found} == {"old.json", "a.json", "b.json"}
    assert {(row["timestamp"], row["amount"], row["ingested_at"]) for row in found} == {(MOMENT, Decimal("1.50"), NOW)}
    assert list(found[0]) == ["id", "timestamp", "customer_id", "merchant_id", "amount", "ingested_at", "source_file"]


def test_each_file_has_an_index_of_its_ids(small: None) -> None:
    """Given a month of several files, then outside of the month, by key and ETag, are the hashes of the ids in each."""
    base = MemoryStore(1 << 16)
    write(base, stage(base, {"a.json": [purchase(f"p{n}") for n in range(25)]}), NEXT)
    assert len(parts(base, NEXT)) > 1
    assert parts(base, NEXT) == list(base.listing(NEXT)), "readers of the month find nothing but Parquet"
    for each in parts(base, NEXT):
        index = Ids.from_bytes(base.objects[index_key(each.key, each.etag)])
        ids = pq.read_table(io.BytesIO(base.objects[each.key]))["id"].combine_chunks()
        assert index.ids.tolist() == sorted(id_hashes.hashed(ids).to_pylist())
        assert len(index.parents) == 0


def test_decisions_say_what_is_replaced_removed_and_added(small: None) -> None:
    """Given an id that comes twice and one that stands, when it was decided, then its winner is there and nothing else of it."""
    base = MemoryStore(1 << 16)
    old = stage(base, {"old.json": [purchase(f"o{n}") for n in range(12)]})
    write(base, old, STANDS)
    result = stage(base, {"new.json": [*(purchase(f"n{n}") for n in range(12)), purchase("n3"), purchase("o7")]})
    winner = {"ingested_at": NOW, "source_file": "new.json", "timestamp": MOMENT, "amount": Decimal("9.00"),
              "customer_id": "winner", "merchant_id": "m"}  # fmt: skip
    decisions = decide(base, [
        {"decision": REPLACED, "id": "n3"}, {"decision": REPLACED, "id": "o7"}, {"decision": REMOVED, "id": "o7"},
        {"decision": ADDED, "id": "n3", **winner}, {"decision": ADDED, "id": "o7", **winner},
    ])  # fmt: skip
    write(base, result, NEXT, stored=standing(base, STANDS, 6), decide=decisions)
    found = Counter((row["id"], row["customer_id"]) for row in rows(base, NEXT))
    kept = [f"{kind}{n}" for kind in "on" for n in range(12) if f"{kind}{n}" not in ("n3", "o7")]
    assert found == Counter([*((id, "c") for id in kept), ("n3", "winner"), ("o7", "winner")])


def test_what_was_staged_of_a_broken_file_is_not_written(small: None) -> None:
    """Given a file that breaks off after records were staged, when the month is written, then none of them is in it."""
    base = MemoryStore(1 << 16)
    lines = {"good.json": [purchase("g1")], "bad.json": [purchase(f"b{n}") for n in range(20)]}
    result = stage(base, lines, broken=b"x" * (33 << 20))
    assert result.problems == {1: "it has a line of more than 32 MiB"}
    assert sum(piece.rows for piece in result.pieces) > 1
    assert result.counts.total() == 1
    write(base, result, NEXT, broken=frozenset(result.problems))
    assert [row["id"] for row in rows(base, NEXT)] == ["g1"]


def test_a_month_without_rows_has_no_file() -> None:
    """Given that all rows of a month were replaced, when it is written, then no empty file comes of it."""
    base = MemoryStore(1 << 16)
    result = stage(base, {"a.json": [purchase("p1")]})
    write(base, result, NEXT, decide=decide(base, [{"decision": REPLACED, "id": "p1"}]))
    assert rows(base, NEXT) == []


def test_rejected_records_stand_until_they_are_judged_again(small: None) -> None:
    """Given a month of rejected records, when lines of it are replayed, then only what is rejected now takes their place."""
    base, month = MemoryStore(1 << 16), f"{NOW:%Y-%m}"
    stands, following = (f"base/rejected/month={month}/run={run}/" for run in ("stands", "next"))

    def reject(result: Staged, prefix: str, stored: Any, replayed: Any) -> list[dict[str, Any]]:
        pieces = [piece for piece in result.pieces if piece.kind == "rejected"]
        leaving = pa.table([[each[place] for each in replayed] for place in range(3)], names=KEYS["rejected"])
        for file in planned("rejected", month, prefix, pieces, stored):
            Writer(base, frozenset(), lambda _, __: {REMOVED: leaving})(file)
        assert not [key for key in base.objects if key.startswith("base/_ids/")], "nobody looks for ids in it"
        found = [pq.read_table(io.BytesIO(base.objects[each.key])).to_pylist() for each in parts(base, prefix)]
        for of_file in found:
            assert of_file == sorted(of_file, key=lambda row: (row["source_file"], row["line_number"]))
        return sorted((row for rows in found for row in rows), key=lambda row: (row["source_file"], row["line_number"]))

    first = reject(stage(base, {"a.json": [1, 2, 3], "b.json": [purchase(""), 5]}, run_id="r1"), stands, [], [])
    assert [(row["source_file"], row["line_number"], row["raw_text"], row["reasons"]) for row in first] == [
        ("a.json", 1, "1", ["not_json"]), ("a.json", 2, "2", ["not_json"]), ("a.json", 3, "3", ["not_json"]),
        ("b.json", 1, json.dumps(purchase("")), ["id_missing"]), ("b.json", 2, "5", ["not_json"]),
    ]  # fmt: skip
    assert {(row["run_id"], row["ingested_at"]) for row in first} == {("r1", NOW)}
    another = NOW + timedelta(seconds=1)  # of the same name, its lines are not replayed
    replayed = [("a.json", NOW, 1), ("a.json", NOW, 3), ("b.json", NOW, 2), ("b.json", another, 1)]
    second = reject(stage(base, {"a.json": ["still"]}, run_id="r2"), following, standing(base, stands, 5), replayed)
    assert [(row["source_file"], row["line_number"], row["run_id"]) for row in second] == [
        ("a.json", 1, "r2"), ("a.json", 2, "r1"), ("b.json", 1, "r1"),
    ]  # fmt: skip
