"""Every line that decides matters: with one of them changed, a table of cases or the whole job must notice."""

from __future__ import annotations

import types
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pyarrow as pa
import pytest
from frames_of_values import local_frame
from lakehouse import NOW, Lakehouse, Worlds, normal, purchase, refund, void
from pyspark.errors import PySparkException
from pyspark.sql import functions as F
from refunds_lake.changes import batch_changes, refund_detail, versions
from refunds_lake.changes.batch_changes import LAST_FILE
from refunds_lake.job import pipeline
from refunds_lake.schema import id_hashes
from refunds_lake.tables.table_set import CheckFailed


def mutated(module: types.ModuleType, line: str, instead: str) -> Any:
    """The module with one piece of its text replaced."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text()
    assert source.count(line) == 1, f"{line!r} is there {source.count(line)} times"
    changed = types.ModuleType(module.__name__)
    exec(compile(source.replace(line, instead), module.__file__, "exec"), changed.__dict__)  # noqa: S102 - our own text
    return changed


# -- which version stands

T1, T2, T3 = (datetime(2026, 11, day, tzinfo=UTC) for day in (1, 2, 3))
COLUMNS = (
    "kind string, id string, ingested_at timestamp, source_file string, file int, line_number bigint, timestamp timestamp, "
    "amount decimal(18,2), customer_id string, merchant_id string, parent_id string, month string"
)


def version(
    at: datetime,
    key: str,
    amount: int = 1,
    *,
    kind: str = "refund",
    file: int | None = 1,
    line: int = 1,
    **content: Any,
) -> tuple[Any, ...]:
    fields = {
        "file": file,
        "line_number": None if file in (None, LAST_FILE) else line,
        "timestamp": T1,
        "amount": amount,
        "customer_id": None,
        "merchant_id": None,
        "parent_id": None,
        **content,
    }
    return (kind, at, key, fields)


Case = tuple[list[tuple[Any, ...]], tuple[Any, ...] | None, tuple[Any, ...]]
VERSION_CASES: dict[str, Case] = {
    # id: candidates, stored row, (key and amount of the winner, changed, duplicate, superseded, kept)
    "new": ([version(T1, "f1")], None, ("f1", 1, True, 0, 0, 1)),
    "copies": ([version(T1, "f1"), version(T1, "f2")], None, ("f2", 1, True, 1, 0, 1)),
    "time before key": ([version(T1, "f2", 9), version(T2, "f1", 2)], None, ("f1", 2, True, 0, 1, 1)),
    "key before file": ([version(T1, "f1", 9, file=9), version(T1, "f2", 1)], None, ("f2", 1, True, 0, 1, 1)),
    "file before line": ([version(T1, "f1", 9, line=9), version(T1, "f1", 1, file=2)], None, ("f1", 1, True, 0, 1, 1)),
    "line before content": ([version(T1, "f1", 9), version(T1, "f1", 1, line=10)], None, ("f1", 1, True, 0, 1, 1)),
    "delivered anew": ([version(T1, "f1", 1)], version(T1, "f1", 9, file=None), ("f1", 1, True, 0, 1, 0)),
    "replayed": ([version(T1, "f1", 9)], version(T1, "f1", 1, file=LAST_FILE), ("f1", 1, False, 0, 1, 0)),
    "content last": ([version(T1, "f1", 1), version(T1, "f1", 2)], None, ("f1", 2, True, 0, 1, 1)),
    "redelivered": ([version(T2, "f2")], version(T1, "f1"), ("f2", 1, True, 1, 0, 0)),
    "corrected": ([version(T2, "f2", 2)], version(T1, "f1"), ("f2", 2, True, 0, 1, 0)),
    "too old": ([version(T1, "f1", 2)], version(T2, "f2"), ("f2", 1, False, 0, 1, 0)),
    "old copy": ([version(T1, "f1")], version(T2, "f2"), ("f2", 1, False, 1, 0, 0)),
    "corrected twice": ([version(T2, "f2", 2), version(T3, "f3", 2)], version(T1, "f1"), ("f3", 2, True, 1, 1, 0)),
    **{
        f"other {name}": ([version(T2, "f2", **{name: value})], version(T1, "f1"), ("f2", 1, True, 0, 1, 0))
        for name, value in {"timestamp": T2, "customer_id": "c", "merchant_id": "m", "parent_id": "p"}.items()
    },
}


def standing(spark: Any, module: Any) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What a module makes of the cases; each comes as a refund, and as a purchase that is newer and has no rival."""

    def frame(rows: Sequence[tuple[str, tuple[Any, ...]]]) -> Any:
        return local_frame(
            spark, COLUMNS, [(kind, id, at, key, *f.values(), "2026-11") for id, (kind, at, key, f) in rows]
        )

    candidates = [(id, each) for id, (rows, _, _) in VERSION_CASES.items() for each in rows]
    candidates += [(id, version(T3, "f9", 7, kind="purchase")) for id in VERSION_CASES]
    stored = [(id, row) for id, (_, row, _) in VERSION_CASES.items() if row is not None]
    return {
        (row["kind"], row["id"]): (row["winner"]["source_file"], row["winner"]["amount"], row["is_changed"],
                                   row["duplicate"], row["superseded"], row["kept"])
        for row in module.outcomes(frame(candidates), frame(stored)).collect()
    }  # fmt: skip


EXPECTED = {
    **{("refund", id): expected for id, (_, _, expected) in VERSION_CASES.items()},
    **{("purchase", id): ("f9", 7, True, 0, 0, 1) for id in VERSION_CASES},
}


def test_the_greatest_version_stands_and_the_others_are_counted(spark: Any) -> None:
    """Time, key, file, line, content; copies, older versions and new rows are told apart."""
    assert standing(spark, versions) == EXPECTED


SAME = 'F.col(name).eqNullSafe(F.col(f"{winner}.{name}"))'


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('"ingested_at", "source_file", "file"', '"source_file", "ingested_at", "file"'),
        ('"source_file", "file", "line_number"', '"file", "source_file", "line_number"'),
        ('"file", "line_number", *CONTENT', '"line_number", "file", *CONTENT'),
        ('"line_number", *CONTENT)', '*CONTENT, "line_number")'),
        ("F.max(version).over", "F.min(version).over"),
        ('Window.partitionBy("kind", "id")', 'Window.partitionBy("id")'),
        ('(is_new | (F.col("winner") != F.col("stored")))', "is_new"),
        ('(is_new | (F.col("winner") != F.col("stored")))', "F.lit(True)"),
        ('(is_new | F.col("is_displaced"))', "is_new"),
        ('(is_new | F.col("is_displaced"))', 'F.col("is_displaced")'),
        (' + displaced).alias("superseded")', ').alias("superseded")'),
        ('is_new.cast("long").alias("kept")', 'F.lit(1).alias("kept")'),
        ('F.col("is_stored") & ~F.col("is_same")', 'F.col("is_stored")'),
        (SAME, f"({SAME.replace('.eqNullSafe(', ' == (')})"),
        *[("for name in CONTENT:", f"for name in set(CONTENT) - {{{name!r}}}:") for name in versions.CONTENT],
    ],
)
def test_a_changed_rule_of_versions_is_noticed(spark: Any, line: str, instead: str) -> None:
    """For each part of the order and of the counts there is a case that fails without it."""
    assert standing(spark, mutated(versions, line, instead)) != EXPECTED


# -- what becomes of a refund

PURCHASES = [("p8", "c1", "m1", "2026-08"), ("p9", "c2", "m2", "2026-09"), ("pv", "c3", "m3", "2026-09")]
VOIDS = [("pv",), ("voided",), ("voided orphan",), ("voided same",), ("gone",)]
DETAIL_CASES = {
    # refund: parent, month, (customer, month of the purchase, counted, reason)
    "counted": ("p8", "2026-09", ("c1", "2026-08", True, None)),
    "earlier": ("p9", "2026-08", ("c2", "2026-09", True, None)),
    "same": ("p9", "2026-09", ("c2", "2026-09", False, "same_month")),
    "voided": ("p8", "2026-09", ("c1", "2026-08", False, "voided_refund")),
    "voided same": ("p8", "2026-08", ("c1", "2026-08", False, "voided_refund")),
    "parent voided": ("pv", "2026-10", ("c3", "2026-09", False, "voided_purchase")),
    "parent voided same": ("pv", "2026-09", ("c3", "2026-09", False, "voided_purchase")),
    "orphan": ("none", "2026-09", (None, None, False, "orphan")),
    "voided orphan": ("none", "2026-09", (None, None, False, "orphan")),
    "orphan of a voided one": ("gone", "2026-09", (None, None, False, "orphan")),
}


def detailed(spark: Any, module: Any) -> list[tuple[Any, ...]]:
    refunds = [(id, parent, 5, month) for id, (parent, month, _) in DETAIL_CASES.items()]
    rows = module.details(
        local_frame(spark, "id string, parent_id string, amount decimal(18,2), month string", refunds),
        local_frame(spark, "id string, customer_id string, merchant_id string, month string", PURCHASES),
        local_frame(spark, "parent_id string", VOIDS),
    ).collect()
    names = ("refund_id", "month", "customer_id", "purchase_month", "counted", "reason")
    return sorted((tuple(row[name] for name in names) for row in rows), key=str)


DETAILED = sorted(((id, month, *expected) for id, (_, month, expected) in DETAIL_CASES.items()), key=str)


def test_each_refund_is_counted_or_left_out_for_the_first_reason(spark: Any) -> None:
    """Orphan, voided purchase, voided refund, same month: in this order, once per refund however many voids there are."""
    assert detailed(spark, refund_detail) == DETAILED


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ('.when(F.col("is_purchase_voided"), VOIDED_PURCHASE)', ""),
        ('.when(F.col("is_refund_voided"), VOIDED_REFUND)', ""),
        ('.when(F.col("purchase_month") == F.col("month"), SAME_MONTH)', ""),
        ('F.when(F.col("purchase_month").isNull(), ORPHAN)', "F.when(F.lit(False), ORPHAN)"),
        ('F.col("purchase_month") == F.col("month")', 'F.col("purchase_month") >= F.col("month")'),
        ('.join(parent, on="parent_id", how="left")', '.join(parent, on="parent_id", how="inner")'),
        ('"is_purchase_voided")), on="parent_id", how="left")', '"is_purchase_voided")), on="parent_id", how="inner")'),
        ('on="refund_id",\n            how="left"', 'on="refund_id",\n            how="inner"'),
        ('F.col("reason").isNull()', 'F.col("reason").isNotNull()'),
    ],
)
def test_a_changed_rule_of_details_is_noticed(spark: Any, line: str, instead: str) -> None:
    """For each reason and each join there is a refund that goes wrong without it."""
    assert detailed(spark, mutated(refund_detail, line, instead)) != DETAILED


# -- what a batch changes in the tables

BEFORE = [
    purchase("p1", timestamp="2026-08-05T00:00:00Z"), purchase("p2", customer_id="c2"), purchase("p4"), purchase("p5"), purchase("p7"),
    refund("r1", "p1"), refund("r2", "p2"), refund("r3", "late"), refund("r4", "p4"), refund("r5", "p1"), refund("r8", "p1"),
    refund("r10", "p1"), void("v1", "r1"), void("v2", "r9"), void("v5", "p6"), refund("r14", "late"), void("v6", "r14"),
]  # fmt: skip
BATCH = [
    purchase("late"), purchase("p2", customer_id="c3", timestamp="2026-08-05T00:00:00Z"), purchase("p5"), purchase("p6"),
    void("v1", "r5"), void("v3", "p4"), void("v4", "p4"), refund("r6", "p1"), refund("r9", "p1"), refund("r10", "p1"),
    refund("r7", "p1"), refund("r7", "p1", amount="9"), refund("r8", "p1", timestamp="2026-11-05T00:00:00Z"),
    refund("r11", "p6"), refund("r12", "p2"), refund("r13", "p7"), purchase("r7"), refund("r15", "r7"),
]  # fmt: skip
CHANGES = [
    ('np.union1d(ids["void"].parents, voids.ids.parents)', 'ids["void"].parents'),
    ('np.union1d(ids["void"].parents, voids.ids.parents)', "voids.ids.parents"),
    ('(ids["purchase"].ids, ids["refund"].ids, voided)', '(ids["refund"].ids, voided)'),
    ('(ids["purchase"].ids, ids["refund"].ids, voided)', '(ids["purchase"].ids, voided)'),
    ('"refund", Wanted(concerning, concerning)', '"refund", Wanted(ids=concerning)'),
    ('"refund", Wanted(concerning, concerning)', '"refund", Wanted(parents=concerning)'),
    ('Wanted(ids["purchase"].ids, referred=parents)', 'Wanted(ids["purchase"].ids)'),
    ('Wanted(ids["purchase"].ids, referred=parents)', "Wanted(referred=parents)"),
    ('np.union1d(ids["refund"].parents, refunds.ids.parents)', 'ids["refund"].parents'),
    ('np.union1d(ids["refund"].parents, refunds.ids.parents)', "refunds.ids.parents"),
    ('self._ids["refund"] | self._known["refund"].ids', 'self._ids["refund"]'),
    ('self._ids["refund"] | self._known["refund"].ids', 'self._known["refund"].ids'),
    ("Wanted(parents=np.union1d(refunds.ids, refunds.parents))", "Wanted(parents=refunds.ids)"),
    ("Wanted(parents=np.union1d(refunds.ids, refunds.parents))", "Wanted(parents=refunds.parents)"),
    ("few(voids.distinct()", "few(voids"),
    ('grown[entry["kind"]][entry["away"]] -= entry["ids"]', "pass"),
    ("(REPLACED, self._picked.rows), ", ""),
    (", (REMOVED, removed(changed))]", "]"),
    ("(ADDED, winners(changed)), ", ""),
    ("[self._batch.repeated, *known]", "[self._batch.repeated]"),
    ("[self._batch.repeated, *known]", "known"),
    ('.where(F.col("kind") == kind).select("id_hash")', '.select("id_hash")'),
    ("rows[kind][month] -= picked", "pass"),
    ('new.join(picked, on="id_hash", how="left_anti")', "new"),
    ("        return alone.unionByName(winners(changed))", "        return alone"),
]  # fmt: skip

LATE = (
    [purchase("p1"), refund("r1", "late"), refund("r2", "late"), void("v1", "r2")], [purchase("late")],
    [('if self._known["refund"].rows is None else new\n', "\n")],
)  # fmt: skip


def expected_of(lakehouse: Lakehouse) -> Any:
    """What the oracle makes of everything that was delivered."""
    raws = [
        oracle.Raw(each.key, lakehouse.raw.get(each.key)[0], each.last_modified) for each in lakehouse.raw.listing("")
    ]
    return normal(oracle.lake(raws))


def alike(count: int) -> list[str]:
    """Ids of 16 letters that have one of two hashes: the second half of each makes up for what its first half does."""
    first = np.random.default_rng(7).integers(ord("a"), ord("z") + 1, (1 << 19, 8), np.uint8)
    states = id_hashes._mixed(first.view(np.uint64), seed=16) * np.uint64(pow(int(id_hashes._FACTOR), -1, 1 << 64))
    found: list[str] = []
    for target in (states[0] ^ first.view(np.uint64)[0, 0], states[1] ^ first.view(np.uint64)[1, 0]):
        second = (states ^ target).view(np.uint8).reshape(-1, 8)
        are_letters = ((second > ord(" ")) & (second < 127)).all(axis=1)
        found += [bytes(each).decode() for each in np.hstack([first, second])[are_letters][: -(-count // 2)]]
    return found[:count]


def test_ids_that_share_a_hash_are_kept_apart(lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given two hashes for all ids there are, when batches run, then the tables and the counts are those of distinct ones."""
    hash_of, batches = F.xxhash64, (BEFORE, BATCH, [purchase("p9")])
    monkeypatch.setattr(F, "xxhash64", lambda *columns: hash_of(*columns) % 2)
    ids = sorted({each[name] for batch in batches for each in batch for name in ("id", "parent_id") if name in each})
    others = dict(zip(ids, alike(len(ids)), strict=True))
    assert len({*id_hashes.hashed(pa.array(others.values())).to_pylist()}) == 2
    for number, batch in enumerate(batches):
        records = [
            {**each, **{name: others[each[name]] for name in ("id", "parent_id") if name in each}} for each in batch
        ]
        lakehouse.deliver(f"{number}.json", records, at=NOW + timedelta(seconds=9 * number))
        state = lakehouse.run().state
        assert normal(lakehouse.tables()) == expected_of(lakehouse)
    assert state.counts["read"] == sum(state.counts[name] for name in ("kept", "duplicate", "superseded", "rejected"))


@pytest.mark.parametrize(
    ("before", "batch", "lines"),
    [
        pytest.param(BEFORE, BATCH, CHANGES, id="all", marks=pytest.mark.nightly),
        pytest.param(*LATE, id="late purchase"),
    ],
)
def test_a_changed_line_of_changes_is_noticed(
    lakehouse: Lakehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: Any, batch: Any, lines: Any
) -> None:
    """Late purchases, moved and voided refunds, corrected voids: without any one line the run stops or the tables differ."""
    worlds = Worlds(lakehouse, tmp_path)
    later = NOW + timedelta(seconds=9)
    lakehouse.deliver("a.json", before)
    lakehouse.run()
    lakehouse.deliver("b.json", batch, at=later)
    world = worlds.keep()
    expected = expected_of(lakehouse)
    lakehouse.run()
    assert normal(lakehouse.tables()) == expected
    unnoticed = []
    for line, instead in lines:
        worlds.put_back(world)
        monkeypatch.setattr(pipeline, "Changes", mutated(batch_changes, line, instead).Changes)
        try:
            lakehouse.run()
        except (CheckFailed, PySparkException):
            continue
        if normal(lakehouse.tables()) == expected:
            unnoticed.append((line, instead))
    assert not unnoticed, unnoticed
