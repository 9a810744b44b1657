"""The checks: silent on sound tables, and each finds the damage that it is there for."""

from datetime import UTC, datetime

import pytest
from sql_harness import ROOT, Lake, check_sql, purchase, refund, void

SOUND = [
    purchase("P1", "2025-01-10", "anna"),
    purchase("P2", "2025-01-10", "ben"),
    refund("R1", "2025-02-01", "P1"),
    refund("R2", "2025-01-20", "P1"),
    refund("R3", "2025-02-01", "P2"),
    refund("R4", "2025-03-01", "P1"),
    void("V1", "P2"),
    void("V2", "R4"),
]
NAMES = sorted(path.stem for path in (ROOT / "athena" / "checks").glob("*.sql"))
INFORMATION = {"orphans", "rejected_by_reason"}
NOON = datetime(2025, 2, 1, 12, tzinfo=UTC).replace(tzinfo=None)

# check -> damage as SQL -> the start of the first row that it must return
DAMAGE = [
    ("duplicate_ids", "insert into purchase select * replace ('2025-07' as month) from purchase where id = 'P1'", "P1"),
    ("duplicate_ids", "insert into refund select * from refund where id = 'R1'", "R1"),
    ("duplicate_ids", "insert into void select * from void where id = 'V1'", "V1"),
    ("duplicate_ids", "insert into refund_detail select * from refund_detail where refund_id = 'R1'", "R1"),
    ("invalid_rows", "update purchase set customer_id = null where id = 'P1'", "P1"),
    ("invalid_rows", "update purchase set merchant_id = ' ' where id = 'P1'", "P1"),
    ("invalid_rows", "update refund set amount = 0 where id = 'R1'", "R1"),
    ("invalid_rows", "update refund set parent_id = '' where id = 'R1'", "R1"),
    ("invalid_rows", "update void set timestamp = null where id = 'V1'", "V1"),
    ("invalid_rows", "update void set id = '' where id = 'V1'", ""),
    ("month_mismatches", "update refund set month = '2025-01' where id = 'R1'", "R1"),
    ("month_mismatches", "update purchase set month = null where id = 'P1'", "P1"),
    ("month_mismatches", "update void set month = '2024-06' where id = 'V1'", "V1"),
    ("refund_detail_disagreements", "update refund_detail set amount = amount + 0.01 where refund_id = 'R1'", "R1"),
    ("refund_detail_disagreements", "update refund_detail set month = '2025-03' where refund_id = 'R1'", "R1"),
    ("refund_detail_disagreements", "update refund_detail set customer_id = 'eve' where refund_id = 'R1'", "R1"),
    ("refund_detail_disagreements", "update refund_detail set merchant_id = null where refund_id = 'R1'", "R1"),
    ("refund_detail_disagreements", "update refund_detail set purchase_month = '2025-02' where refund_id = 'R1'", "R1"),
    ("refund_detail_disagreements", "update refund_detail set counted = not counted where refund_id = 'R2'", "R2"),
    ("refund_detail_disagreements", "update refund_detail set reason = 'late' where refund_id = 'R1'", "R1"),
    ("refund_detail_disagreements", "delete from refund_detail where refund_id = 'R3'", "R3"),
    ("refund_detail_disagreements", "delete from refund where id = 'R4'", "R4"),
    ("refund_detail_disagreements", "delete from void where id = 'V2'", "R4"),
    ("refund_detail_disagreements", "delete from void where id = 'V1'", "R3"),
    ("refund_detail_disagreements", "delete from purchase where id = 'P2'", "R3"),
    ("orphans", "update refund set parent_id = 'R1' where id = 'R3'", "R3"),
    ("orphans", "delete from refund where id = 'R4'", "V2"),
    ("orphans", "update void set parent_id = 'V1' where id = 'V2'", "V2"),
]


@pytest.mark.parametrize("name", NAMES)
def test_sound_tables_pass(name: str) -> None:
    """Given sound tables, when a check runs, then it returns nothing."""
    assert Lake(SOUND).query(check_sql(name)) == []


@pytest.mark.parametrize(("name", "damage", "found"), DAMAGE)
def test_damage_is_found(name: str, damage: str, found: str) -> None:
    """Given damaged tables, when the check runs, then it returns the row that is damaged, once."""
    lake = Lake(SOUND)
    lake.connection.execute(damage)
    rows = lake.query(check_sql(name))
    assert len(rows) == 1
    assert found in rows[0][:2]


def test_every_check_is_seen_to_find_something() -> None:
    """Given the checks, when their tests are counted, then none is without one."""
    assert {name for name, _, _ in DAMAGE} | {"rejected_by_reason"} == set(NAMES)


def test_rejected_records_are_counted_under_each_reason() -> None:
    """Given a record with two reasons, when rejections are listed, then it counts under both."""
    lake = Lake()
    raw = ("{}", ["amount_missing", "id_missing"], "transactions/a.jsonl", 1, "run", NOON, "2025-02")
    lake.insert("rejected", [raw, ("[]", ["not_json"], "transactions/a.jsonl", 2, "run", NOON, "2025-02")])
    assert lake.query(check_sql("rejected_by_reason")) == [
        ("2025-02", "transactions/a.jsonl", "amount_missing", 1),
        ("2025-02", "transactions/a.jsonl", "id_missing", 1),
        ("2025-02", "transactions/a.jsonl", "not_json", 1),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_check_says_what_it_is(name: str) -> None:
    """Given a check, when its first line is read, then it says whether rows are faults or information."""
    kind = "Information" if name in INFORMATION else "Check"
    assert check_sql(name).startswith(f"-- {kind}: ")
