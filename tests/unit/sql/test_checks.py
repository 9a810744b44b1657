"""The checks in SQL: silent on sound tables, and each finds the damage that it is there for."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from refunds_checks.arrivals import MANIFEST_CHECKS, Skipped
from refunds_checks.facts import Facts
from refunds_checks.registry import Check, Severity, Source, blocking, load_checks
from refunds_checks.statements import COUNT_COLUMN, MOST_ROWS, statement, with_facts
from refunds_lake.schema.columns import TABLES
from sql_harness import ROOT, Lake, Rows, Transaction, check_sql, purchase, refund, void

from deployer.local.athena.sql import parse, translate

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
FOLDER = ROOT / "athena" / "checks"
CHECKS = {check.name: check for check in load_checks(FOLDER)}
NAMES = sorted(name for name, check in CHECKS.items() if check.source is Source.SQL)
INFORMATION = {"orphans", "rejected_by_reason"}
NOON = datetime(2025, 2, 1, 12, tzinfo=UTC).replace(tzinfo=None)
FACTS = Facts(
    day=date(2025, 2, 1),
    months=("2025-01", "2025-06"),
    published={
        ("purchase", "2025-01"): 2,
        ("refund", "2025-01"): 1,
        ("refund", "2025-02"): 2,
        ("refund", "2025-03"): 1,
        ("refund_detail", "2025-01"): 1,
        ("refund_detail", "2025-02"): 2,
        ("refund_detail", "2025-03"): 1,
        ("void", "2025-06"): 2,
    },
)

DETAIL = "refund_detail_disagreements"
COUNTS = "row_count_disagreements"
# check -> damage as SQL -> the start of the first row that it must return
DAMAGE = [
    ("duplicate_ids", "insert into purchase select * replace ('2025-07' as month) from purchase where id = 'P1'", "P1"),
    ("duplicate_ids", "insert into refund select * from refund where id = 'R1'", "R1"),
    ("duplicate_ids", "insert into void select * from void where id = 'V1'", "V1"),
    ("duplicate_ids", "insert into refund_detail select * from refund_detail where refund_id = 'R1'", "R1"),
    ("invalid_rows", "update purchase set customer_id = null where id = 'P1'", "P1"),
    ("invalid_rows", "update purchase set customer_id = ' ' where id = 'P1'", "P1"),
    ("invalid_rows", "update purchase set merchant_id = null where id = 'P1'", "P1"),
    ("invalid_rows", "update purchase set merchant_id = ' ' where id = 'P1'", "P1"),
    ("invalid_rows", "update refund set id = null where id = 'R1'", "refund"),
    ("invalid_rows", "update purchase set merchant_id = chr(9) || chr(10) || chr(13) where id = 'P1'", "P1"),
    ("invalid_rows", "update refund set amount = 0 where id = 'R1'", "R1"),
    ("invalid_rows", "update refund set parent_id = '' where id = 'R1'", "R1"),
    ("invalid_rows", "update void set timestamp = null where id = 'V1'", "V1"),
    ("invalid_rows", "update void set id = '' where id = 'V1'", ""),
    ("month_mismatches", "update refund set month = '2025-01' where id = 'R1'", "R1"),
    ("month_mismatches", "update purchase set month = null where id = 'P1'", "P1"),
    ("month_mismatches", "update refund set month = null where id = 'R1'", "R1"),
    ("month_mismatches", "update void set month = null where id = 'V1'", "V1"),
    ("month_mismatches", "update void set month = '2025-04' where id = 'V1'", "V1"),
    (DETAIL, "update refund_detail set amount = amount + 0.01 where refund_id = 'R1'", "R1"),
    (DETAIL, "update refund_detail set month = '2025-03' where refund_id = 'R1'", "R1"),
    (DETAIL, "update refund_detail set customer_id = 'eve' where refund_id = 'R1'", "R1"),
    (DETAIL, "update refund_detail set merchant_id = null where refund_id = 'R1'", "R1"),
    (DETAIL, "update refund_detail set purchase_month = '2025-02' where refund_id = 'R1'", "R1"),
    (DETAIL, "update refund_detail set counted = not counted where refund_id = 'R2'", "R2"),
    (DETAIL, "update refund_detail set reason = 'late' where refund_id = 'R1'", "R1"),
    (DETAIL, "delete from refund_detail where refund_id = 'R3'", "R3"),
    (DETAIL, "delete from refund where id = 'R4'", "R4"),
    (DETAIL, "delete from void where id = 'V2'", "R4"),
    (DETAIL, "delete from void where id = 'V1'", "R3"),
    (DETAIL, "delete from purchase where id = 'P2'", "R3"),
    (COUNTS, "delete from purchase where id = 'P1'", "purchase"),
    (COUNTS, "delete from refund where id = 'R4'", "refund"),
    (COUNTS, "insert into void select * from void where id = 'V1'", "void"),
    (COUNTS, "update refund_detail set month = '2025-01' where refund_id = 'R4'", "refund_detail"),
    (COUNTS, "insert into rejected (month) values ('2025-02')", "rejected"),
    ("negative_totals", "update refund_detail set amount = -1 where refund_id = 'R1'", "anna"),
    ("negative_totals", "update refund_detail set amount = 0 where refund_id = 'R1'", "anna"),
    ("future_timestamps", "update refund set timestamp = '2025-02-01 13:00:01' where id = 'R1'", "R1"),
    (
        "future_timestamps",
        "update purchase set timestamp = '2025-02-03', ingested_at = '2025-02-01 23:59:59' where id = 'P1'",
        "P1",
    ),
    ("future_timestamps", "update void set ingested_at = '2025-02-01' where id = 'V2'", "V2"),
    ("refunds_before_purchases", "update purchase set timestamp = '2025-02-01 00:00:01' where id = 'P1'", "R1"),
    (
        "refunds_before_purchases",
        "update purchase set timestamp = '2025-01-21', ingested_at = '2025-02-01 12:00' where id = 'P1'",
        "R2",
    ),
    ("oversized_refunds", "update refund set amount = 100.01 where id = 'R1'", "R1"),
    (
        "oversized_refunds",
        (
            "update purchase set ingested_at = '2025-02-01 12:00', amount = 10 where id = 'P1';"
            "update refund set amount = 11 where id = 'R2'"
        ),
        "R2",
    ),
    ("overrefunded_purchases", "update refund set amount = 90.01 where id = 'R1'", "P1"),
    (
        "overrefunded_purchases",
        (
            "update refund set ingested_at = '2025-01-20' where id = 'R1';"
            "update purchase set ingested_at = '2025-02-01', amount = 19.99 where id = 'P1'"
        ),
        "P1",
    ),
    (
        "old_orphan_refunds",
        (
            "update refund_detail set reason = 'orphan', counted = false where refund_id = 'R2';"
            "update refund set ingested_at = '2025-01-02 23:59:59' where id = 'R2'"
        ),
        "R2",
    ),
]

# What looks like damage and is none.
NO_DAMAGE = [
    ("invalid_rows", "update purchase set merchant_id = chr(11) where id = 'P1'"),  # the contract trims four blanks
    ("invalid_rows", "update void set id = null, month = '2025-07' where id = 'V1'"),  # no run of the day wrote it
    ("negative_totals", "update refund_detail set amount = -1 where refund_id = 'R2'"),  # same month: not counted
    ("negative_totals", "update refund_detail set amount = -1, month = '2025-07' where refund_id = 'R1'"),
    ("month_mismatches", "update refund set month = '2025-07' where id = 'R1'"),  # no run of the day wrote it
    ("future_timestamps", "update refund set timestamp = '2025-02-01 13:00:00' where id = 'R1'"),  # clocks differ
    ("future_timestamps", "update refund set timestamp = '2026-01-01' where id = 'R4'"),  # arrived another day
    ("refunds_before_purchases", "update purchase set timestamp = '2025-02-01' where id = 'P1'"),  # at once is fine
    ("refunds_before_purchases", "update purchase set timestamp = '2025-01-21' where id = 'P1'"),  # R2 came before
    ("oversized_refunds", "update refund set amount = 100 where id = 'R1'"),
    ("oversized_refunds", "update refund set amount = 200 where id = 'R2'"),  # arrived another day
    ("oversized_refunds", "update refund set amount = 200 where id = 'R3'"),  # its purchase is voided
    ("oversized_refunds", "update refund set amount = 200, ingested_at = '2025-02-01' where id = 'R4'"),  # is voided
    ("overrefunded_purchases", "update refund set amount = 90 where id = 'R1'"),
    ("overrefunded_purchases", "update refund set amount = 500 where id = 'R4'"),  # voided, and another day
    ("overrefunded_purchases", "update refund set amount = 500 where id = 'R3'"),  # its purchase is voided
    (
        "overrefunded_purchases",  # alone it is oversized_refunds' business
        "delete from refund where id in ('R2', 'R4'); update refund set amount = 500 where id = 'R1'",
    ),
    (
        "old_orphan_refunds",
        (
            "update refund_detail set reason = 'orphan' where refund_id = 'R2';"
            "update refund set ingested_at = '2025-01-03' where id = 'R2'"
        ),
    ),
    ("old_orphan_refunds", "update refund set ingested_at = '2024-01-03' where id = 'R2'"),  # its purchase is there
    (
        "old_orphan_refunds",  # one is an orphan, the other one is old
        (
            "update refund_detail set reason = 'orphan' where refund_id = 'R1';"
            "update refund set ingested_at = '2024-01-03' where id = 'R3'"
        ),
    ),
]


def run(lake: Lake, name: str, facts: Facts = FACTS) -> Rows:
    """Run a check's own SQL with facts."""
    return lake.query(with_facts(CHECKS[name], facts))


@pytest.mark.parametrize("name", NAMES)
def test_sound_tables_pass(name: str) -> None:
    """Given sound tables, when a check runs, then it returns nothing."""
    assert run(Lake(SOUND), name) == []


@pytest.mark.parametrize(("name", "damage", "found"), DAMAGE)
def test_damage_is_found(name: str, damage: str, found: str) -> None:
    """Given damaged tables, when the check runs, then it returns the row that is damaged, once."""
    lake = Lake(SOUND)
    lake.connection.execute(damage)
    rows = run(lake, name)
    assert {row[:2] for row in rows if found in row[:2]}
    assert len(rows) == (2 if name == COUNTS and "set month" in damage else 1)


@pytest.mark.parametrize(("name", "change"), NO_DAMAGE)
def test_what_is_no_damage_passes(name: str, change: str) -> None:
    """Given tables that differ in what a check does not judge, when it runs, then it returns nothing."""
    lake = Lake(SOUND)
    lake.connection.execute(change)
    assert run(lake, name) == []


@pytest.mark.parametrize(
    ("name", "damage", "found"),
    [
        ("orphans", "update refund set parent_id = 'R1' where id = 'R3'", "R3"),
        ("orphans", "delete from refund where id = 'R4'", "V2"),
        ("orphans", "update void set parent_id = 'V1' where id = 'V2'", "V2"),
    ],
)
def test_orphans_are_listed(name: str, damage: str, found: str) -> None:
    """Given a refund or void without its parent, when orphans are listed, then it is the one; sound tables have none."""
    lake = Lake(SOUND)
    assert lake.query(check_sql(name)) == []
    lake.connection.execute(damage)
    (row,) = lake.query(check_sql(name))
    assert row[1] == found


# Moments around the day 2025-02-01, and whether they belong to it.
MOMENTS = {
    "2025-01-31 23:59:59.999": False,
    "2025-02-01 00:00:00": True,
    "2025-02-01 23:59:59.999": True,
    "2025-02-02 00:00:00": False,
}


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("table", ["purchase", "refund", "void"])
def test_the_future_is_judged_for_what_arrived_on_the_day(table: str, moment: str) -> None:
    """Given a record that is dated two hours after its arrival, then it is found when it arrived on the day alone."""
    lake = Lake(SOUND)
    lake.connection.execute("update purchase set ingested_at = '2024-01-01', timestamp = '2023-01-01'")
    lake.connection.execute("update refund set ingested_at = '2024-01-01', timestamp = '2023-01-01'")
    first = {"purchase": "P1", "refund": "R1", "void": "V1"}[table]
    lake.connection.execute(
        f"update {table} set ingested_at = '{moment}', timestamp = timestamp '{moment}' + interval 2 hour "
        f"where id = '{first}'"
    )
    assert [row[:2] for row in run(lake, "future_timestamps")] == ([(table, first)] if MOMENTS[moment] else [])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("late", ["purchase", "refund"])
@pytest.mark.parametrize("name", ["oversized_refunds", "refunds_before_purchases", "overrefunded_purchases"])
def test_pairs_are_judged_when_either_arrived_on_the_day(name: str, late: str, moment: str) -> None:
    """Given refunds that no check would pass, then they are found when they or their purchase arrived on the day alone."""
    lake = Lake([purchase("P", "2025-03-10", "anna", "10.00"), refund("R", "2025-02-01", "P", "11.00")])
    if name == "overrefunded_purchases":
        lake = Lake([purchase("P", "2025-01-10", "a"), *(refund(f"R{n}", "2025-02-01", "P", "60.00") for n in (1, 2))])
    for table in ("purchase", "refund"):
        arrival = moment if table == late else "2024-06-01"
        lake.connection.execute(f"update {table} set ingested_at = '{arrival}'")
    assert bool(run(lake, name)) is MOMENTS[moment]


def test_sums_are_those_of_the_purchase_s_own_refunds_that_stand() -> None:
    """Given purchases of 100.00 with refunds of many kinds, then only those are found whose standing refunds are more."""

    def of(name: str, *refunds: tuple[str, str], when: str = "2025-02-01") -> list[Transaction]:
        bought = purchase(name, "2025-01-10", "anna")
        return [bought, *(refund(f"{name}-{n}", day or when, name, amount) for n, (amount, day) in enumerate(refunds))]

    lake = Lake(
        [
            *of("too-much", ("60.00", ""), ("50.00", "")),
            *of("in-two-months", ("60.00", ""), ("50.00", "2025-09-01")),
            *of("all-of-it", ("60.00", ""), ("40.00", "")),
            *of("another-day", ("60.00", ""), ("50.00", ""), when="2025-02-03"),
            *of("voided", ("60.00", ""), ("50.00", "")),
            void("V1", "voided"),
            *of("one-voided", ("60.00", ""), ("50.00", ""), ("1.00", "")),
            void("V2", "one-voided-1"),
            *of("one-alone", ("110.00", "")),
        ]
    )
    assert run(lake, "overrefunded_purchases") == [
        ("in-two-months", Decimal("100.00"), Decimal("110.00"), 2),
        ("too-much", Decimal("100.00"), Decimal("110.00"), 2),
    ]
    assert [row[0] for row in run(lake, "oversized_refunds")] == ["one-alone-0"]


def test_every_check_is_seen_to_find_something() -> None:
    """Given the table of checks, when their tests are counted, then none is without damage that it finds."""
    assert {name for name, _, _ in DAMAGE} == set(NAMES)


def test_rejected_records_are_counted_under_each_reason() -> None:
    """Given a record with two reasons, when rejections are listed, then it counts under both."""
    lake = Lake()
    assert lake.query(check_sql("rejected_by_reason")) == []
    raw = ("{}", ["amount_missing", "id_missing"], "transactions/a.jsonl", 1, "run", NOON, "2025-02")
    lake.insert("rejected", [raw, ("[]", ["not_json"], "transactions/a.jsonl", 2, "run", NOON, "2025-02")])
    assert lake.query(check_sql("rejected_by_reason")) == [
        ("2025-02", "transactions/a.jsonl", "amount_missing", 1),
        ("2025-02", "transactions/a.jsonl", "id_missing", 1),
        ("2025-02", "transactions/a.jsonl", "not_json", 1),
    ]


# The table of checks


def test_the_table_and_the_files_are_the_same_checks() -> None:
    """Given the folder of checks, then each file is in the table or information, and each first line is the promise."""
    assert {path.stem for path in FOLDER.glob("*.sql")} == {*NAMES, *INFORMATION}
    for name in NAMES:
        assert check_sql(name).startswith(f"-- Check: {CHECKS[name].promise}.\n")
    assert all(check_sql(name).startswith("-- Information: ") for name in INFORMATION)
    assert set(CHECKS) - set(NAMES) == set(MANIFEST_CHECKS)


def test_the_month_end_waits_for_what_makes_figures_wrong() -> None:
    """Given the table, then the blocking checks are these four, all errors; freshness, volume and orphans never block."""
    checks = blocking(CHECKS.values())
    assert {check.name for check in checks} == {COUNTS, DETAIL, "duplicate_ids", "negative_totals"}
    assert all(check.severity is Severity.ERROR for check in checks)


def test_every_check_has_its_section_in_the_runbook() -> None:
    """Given a check, then docs/operations.md has a heading that its anchor leads to."""
    lines = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").splitlines()
    anchors = {line.lstrip("#").strip().lower().replace(" ", "-") for line in lines if line.startswith("#")}
    assert {check.runbook for check in CHECKS.values()} <= anchors


# The statement that Athena runs


def test_a_statement_counts_all_rows_and_returns_some() -> None:
    """Given more offending rows than a report shows, when the statement runs, then it returns some and counts all."""
    lake = Lake([purchase(f"P{number}", "2025-01-10", "anna") for number in range(MOST_ROWS + 20)])
    lake.connection.execute("update purchase set customer_id = ''")
    rows = lake.query(statement(CHECKS["invalid_rows"], FACTS))
    assert len(rows) == MOST_ROWS
    assert {row[-1] for row in rows} == {MOST_ROWS + 20}
    assert statement(CHECKS["invalid_rows"], FACTS).startswith(
        f"select offending.*, count(*) over () as {COUNT_COLUMN}"
    )


@pytest.mark.parametrize("name", ["invalid_rows", "negative_totals", "oversized_refunds"])
def test_a_day_without_months_asks_nothing(name: str) -> None:
    """Given a day for which no run wrote a month, when a check of these months is due, then it is skipped, with the reason."""
    with pytest.raises(Skipped, match="no run wrote a month for 2025-02-01"):
        statement(CHECKS[name], dataclasses.replace(FACTS, months=()))


def test_months_of_another_zone_are_not_compared_with_utc() -> None:
    """Given tables in months of Sydney, when month_mismatches is due, then it is skipped: timestamps are in UTC."""
    with pytest.raises(Skipped, match="Australia/Sydney"):
        statement(CHECKS["month_mismatches"], dataclasses.replace(FACTS, reporting_time_zone="Australia/Sydney"))


def test_an_empty_lake_has_no_counts_to_compare() -> None:
    """Given no published month, when counts are compared, then the check is skipped."""
    with pytest.raises(Skipped, match="no run has published anything"):
        statement(CHECKS[COUNTS], dataclasses.replace(FACTS, published={}))


def pruned(name: str) -> set[str]:
    """The tables of which a check reads some months only, as the local Athena sees it, which does as Athena does."""

    def columns(database: str, table: str) -> Mapping[str, str] | None:
        return {**dict(TABLES[table]), "month": "string"} if table in TABLES else None

    reads = translate(parse(statement(CHECKS[name], FACTS)), "db", columns).reads
    months: dict[str, list[bool]] = {read.table: [] for read in reads}
    for read in reads:
        months[read.table].append(any('"month"' in condition for condition in read.conditions))
    return {table for table, all_reads in months.items() if all(all_reads)}


@pytest.mark.parametrize(
    ("name", "tables"),
    [
        ("invalid_rows", {"purchase", "refund", "void"}),
        ("month_mismatches", {"purchase", "refund", "void"}),
        ("future_timestamps", {"purchase", "refund", "void"}),
        ("negative_totals", {"refund_detail"}),
        ("refunds_before_purchases", {"refund", "refund_detail"}),
        ("oversized_refunds", {"refund", "refund_detail"}),
        ("overrefunded_purchases", {"refund_detail"}),
        ("duplicate_ids", set()),
        ("refund_detail_disagreements", set()),
    ],
)
def test_a_check_reads_the_months_of_the_day(name: str, tables: set[str]) -> None:
    """Given a check, when its statement is read, then these tables are read in the day's months only."""
    assert pruned(name) == tables


@pytest.mark.parametrize("check", [CHECKS[name] for name in NAMES], ids=lambda check: check.name)
def test_no_statement_is_left_with_a_parameter(check: Check) -> None:
    """Given a check, when its statement is made, then it holds no parameter and no comment any more."""
    sql = statement(check, FACTS)
    assert ":" not in sql.replace("00:00:00", "").replace("': '", "")
    assert "--" not in sql
