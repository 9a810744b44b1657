"""Statements: which month may be issued, what a statement keeps, and that statements add up to history, whatever arrives."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from month_end import CHECKS, MemoryStore, MonthEnd, Refund, refund
from refunds_checks.validation import Answer
from refunds_statements.calendar import current_month, next_month, previous_month
from refunds_statements.changes import NoStatement, changes_since
from refunds_statements.documents import csv_text, parse_lines, render_documents
from refunds_statements.issuing import AlreadyIssued, ChecksFail, NotDue, Request, issue
from refunds_statements.lines import Line, by_customer, total
from refunds_statements.reasons import Reason, reasons_of
from refunds_statements.register import (
    PREFIX,
    adjustment_lines,
    own_lines,
    read_document,
    read_statements,
    record_key,
    write,
)
from refunds_statements.snapshot import LINES_SQL, NothingLoaded, Unsettled
from refunds_statements.statement import StatementDamaged, parse_statement
from sql_harness import MONTHLY_REFUNDS, Lake, purchase, void
from sql_harness import refund as refund_record

OCTOBER = {"R1": refund("2026-10", "anna", "12.50"), "R2": refund("2026-10", "ben", "0.10")}


@pytest.fixture
def lake() -> MonthEnd:
    lake = MonthEnd()
    lake.load({"R0": refund("2026-08", "anna", "7.00"), **OCTOBER})
    return lake


def test_a_statement_is_the_month_and_carries_what_lies_before(lake: MonthEnd) -> None:
    """Given three refunds, when the first month is issued, then its total is the month's and August is an adjustment."""
    statement = lake.issue("2026-10")
    assert (statement.customers, statement.total_refund, statement.adjustments_total) == (
        2,
        Decimal("12.60"),
        Decimal("7.00"),
    )
    assert (statement.run, statement.release, statement.issued_by) == (lake.run_id(1), "release-1", "anna")
    assert list(own_lines(lake.store, statement)) == [
        Line("2026-10", "anna", "R1", Decimal("12.50")),
        Line("2026-10", "ben", "R2", Decimal("0.10")),
    ]
    assert list(adjustment_lines(lake.store, statement)) == [Line("2026-08", "anna", "R0", Decimal("7.00"))]
    assert read_statements(lake.store) == (statement,)


def test_its_documents_say_where_it_comes_from_and_never_change(lake: MonthEnd) -> None:
    """Given a statement, then its keys name month, run, release and moment, and each was written once, with its hash."""
    statement = lake.issue("2026-10")
    made_of = f"month=2026-10/run={lake.run_id(1)}/release=release-1/issued=20261205T060000Z/"
    assert {name: each.key for name, each in statement.documents.items()} == {
        name: f"{PREFIX}{made_of}{name}"
        for name in (
            "refunds.csv",
            "lines.csv",
            "adjustments.csv",
            "statement.json",
            "statement.html",
        )
    }
    assert read_document(lake.store, statement, "refunds.csv") == b"customer_id,total_refund\nanna,12.50\nben,0.10\n"
    whole = json.loads(read_document(lake.store, statement, "statement.json"))
    assert whole["refunds"] == [
        {"customer_id": "anna", "total_refund": "12.50"},
        {"customer_id": "ben", "total_refund": "0.10"},
    ]
    assert whole["adjustments"] == [{"month": "2026-08", "customer_id": "anna", "amount": "7.00"}]
    assert (whole["total_refund"], whole["adjustments_total"]) == ("12.60", "7.00")
    lake.store.objects[statement.documents["refunds.csv"].key] += b"eve,1.00\n"
    with pytest.raises(StatementDamaged, match=r"refunds\.csv differs from the document that was issued"):
        read_document(lake.store, statement, "refunds.csv")


def test_its_page_shows_its_month_and_what_lies_before(lake: MonthEnd) -> None:
    """Given refunds of a month that is not issued yet, when the month before is, then its page does not know of them."""
    lake.load({"R9": refund("2026-11", "dora", "9.00")})
    page = read_document(lake.store, lake.issue("2026-10"), "statement.html").decode()
    assert "2026-08" in page and "12.60" in page
    assert "2026-11" not in page and "dora" not in page


def test_a_month_is_issued_once_and_in_order(lake: MonthEnd) -> None:
    """Given the statement of September, then September, August, November and the current month are refused, October is not."""
    lake.issue("2026-09")
    with pytest.raises(AlreadyIssued, match=r"the statement of 2026-09 was issued on 2026-12-05 06:00 UTC by anna"):
        lake.issue("2026-09")
    with pytest.raises(NotDue, match="the first statement is that of 2026-09"):
        lake.issue("2026-08")
    with pytest.raises(NotDue, match="the next one is 2026-10"):
        lake.issue("2026-11")
    with pytest.raises(NotDue, match="2026-12 is not over"):
        lake.issue("2026-12")
    assert [each.month for each in read_statements(lake.store)] == ["2026-09"]
    assert lake.issue("2026-10").number == 2


def test_the_month_is_the_one_before_in_the_reporting_time_zone() -> None:
    """Given an evening in UTC that is the next month in Sydney, when no month is named, then the ended one is issued."""
    lake = MonthEnd(zone="Australia/Sydney", now=datetime(2026, 10, 31, 20, tzinfo=UTC))
    lake.load(OCTOBER)
    assert lake.issue(None).month == "2026-10"
    lake = MonthEnd(now=datetime(2026, 10, 31, 20, tzinfo=UTC))
    lake.load(OCTOBER)
    with pytest.raises(NotDue, match="2026-10 is not over"):
        lake.issue("2026-10")
    assert lake.issue(None).month == "2026-09"


def test_of_two_at_once_one_issues(lake: MonthEnd) -> None:
    """Given somebody who issues the same month meanwhile, when the record is written, then it is refused and theirs stands."""
    ours, theirs = lake.source, replace(lake.issue("2026-10"), issued_by="ben")
    del lake.store.objects[record_key(1)]

    def query(sql: str) -> object:
        if record_key(1) not in lake.store.objects:
            write(lake.store, replace(theirs, issued_at=datetime(2026, 12, 5, 5, tzinfo=UTC)), {"refunds.csv": b""})
        return lake.query(sql)

    slow = replace(ours, query=query)  # type: ignore[arg-type]
    lake.now = datetime(2026, 12, 5, 7, tzinfo=UTC)
    with pytest.raises(NotDue, match="another statement was issued"):
        issue(slow, Request("test", "2026-10", "r", "anna"), CHECKS, clock=lambda: lake.now, pause_seconds=0)
    assert [each.issued_by for each in read_statements(lake.store)] == ["ben"]


class Died(Exception):
    """The process is gone."""


@dataclass
class DyingStore(MemoryStore):
    """A bucket whose writer dies at its n-th write, before it or after it."""

    writes_left: int = 0
    dies_after: bool = False

    def put(self, key: str, body: bytes, *, only_if_absent: bool = False, only_if_etag: str | None = None) -> str:
        self.writes_left -= 1
        if self.writes_left or self.dies_after:
            etag = super().put(key, body, only_if_absent=only_if_absent, only_if_etag=only_if_etag)
        if not self.writes_left:
            raise Died
        return etag


@pytest.mark.parametrize("dies_after", [False, True])
@pytest.mark.parametrize("write_number", range(1, 7))
def test_an_attempt_that_dies_anywhere_leaves_a_statement_or_none(
    lake: MonthEnd, write_number: int, dies_after: bool
) -> None:
    """Given an attempt that dies at any write, when the month is issued again, then it has one statement with all documents."""
    dying = DyingStore(lake.store.objects, write_number, dies_after)
    with pytest.raises(Died):
        issue(
            replace(lake.source, store=dying),
            Request("test", "2026-10", "release-1", "anna"),
            CHECKS,
            clock=lambda: lake.now,
        )
    lake.now += timedelta(seconds=1)
    if len(read_statements(lake.store)) == 0:
        lake.issue("2026-10")
    else:
        assert (write_number, dies_after) == (6, True)  # the record was written
        with pytest.raises(AlreadyIssued):
            lake.issue("2026-10")
    (statement,) = read_statements(lake.store)
    assert (statement.total_refund, statement.adjustments_total) == (Decimal("12.60"), Decimal("7.00"))
    assert all(read_document(lake.store, statement, name) for name in statement.documents)


@pytest.mark.parametrize("found", [2, "out of time"])
def test_failing_checks_block_unless_a_reason_is_kept(lake: MonthEnd, found: int | str) -> None:
    """Given a blocking check with rows, or one that cannot run, then the month is refused, and issued with a reason."""
    lake.found = found
    with pytest.raises(ChecksFail, match=rf"twice \({'2 rows' if found == 2 else found}\)"):
        lake.issue("2026-10")
    assert read_statements(lake.store) == ()
    statement = lake.issue("2026-10", "known and harmless")
    assert statement.override == "known and harmless"
    assert [(each.name, each.verdict) for each in statement.checks] == [("twice", "failed" if found == 2 else "broken")]
    assert read_statements(lake.store) == (statement,)


def test_a_reason_that_was_not_needed_is_not_kept(lake: MonthEnd) -> None:
    """Given checks that pass, when a month is issued with a reason, then the statement has none: nothing was overridden."""
    assert lake.issue("2026-10", "just in case").override == ""


def test_files_that_a_check_doubts_are_read_again(lake: MonthEnd) -> None:
    """Given an overridden statement, when its tables are mended in place, then the next statement sees the difference."""
    lake.found = 1
    lake.issue("2026-10", "INC-7")
    lake.found = 0
    lake.refunds["R1"] = refund("2026-10", "anna", "2.50")  # the same location
    assert lake.issue("2026-11").adjustments_total == Decimal("-10.00")


def test_before_the_first_run_there_is_nothing_to_issue() -> None:
    """Given no run, when a month is issued, then that is said."""
    with pytest.raises(NothingLoaded):
        MonthEnd().issue("2026-10")


def test_tables_of_two_runs_are_not_issued(lake: MonthEnd) -> None:
    """Given a catalog that lags behind the newest run, when a month is issued, then nothing is, until it has caught up."""
    before = lake.catalog
    lake.load({"R3": refund("2026-10", "cara", "1.00")})
    after, lake.catalog = lake.catalog, before
    with pytest.raises(Unsettled, match="does not show"):
        lake.issue("2026-10")
    assert not any(key.startswith(PREFIX) for key in lake.store.objects)
    lake.catalog = after
    assert lake.issue("2026-10").customers == 3


def test_a_run_that_publishes_meanwhile_is_waited_for(lake: MonthEnd) -> None:
    """Given a run that publishes while the lines are read, when the month is issued, then it is that run's, whole."""
    late = iter([{"R3": refund("2026-10", "cara", "1.00")}])

    def query(sql: str) -> object:
        answer = lake.query(sql)
        if refunds := next(late, None):
            lake.load(refunds)
        return answer

    source = replace(lake.source, query=query, months=lambda table: lake.catalog)  # type: ignore[arg-type]
    statement = issue(source, Request("test", "2026-10", "r", "anna"), CHECKS, clock=lambda: lake.now, pause_seconds=0)
    assert (statement.run, statement.customers) == (lake.run_id(2), 3)


def test_changes_name_the_transactions_that_did_it(lake: MonthEnd) -> None:
    """Given a void, a correction, a late refund and one that moved, then each shows until the next statement carries it."""
    lake.issue("2026-10")
    assert changes_since(lake.source, "2026-10").lines == ()
    lake.load(
        {
            "R1": None,
            "R2": refund("2026-10", "ben", "0.30"),
            "R3": refund("2026-10", "cara", "5.00"),
            "R0": refund("2026-09", "anna", "7.00"),
            "R9": refund("2026-11", "dora", "9.00"),
        }
    )
    expected = (
        Line("2026-08", "anna", "R0", Decimal("-7.00")),
        Line("2026-09", "anna", "R0", Decimal("7.00")),
        Line("2026-10", "anna", "R1", Decimal("-12.50")),
        Line("2026-10", "ben", "R2", Decimal("0.20")),
        Line("2026-10", "cara", "R3", Decimal("5.00")),
    )
    changes = changes_since(lake.source, None)
    assert (changes.lines, changes.carried, changes.pending) == (expected, (), expected)
    november = lake.issue("2026-11")
    assert tuple(adjustment_lines(lake.store, november)) == expected
    assert november.total_refund == Decimal("9.00")
    changes = changes_since(lake.source, "2026-10")
    assert (changes.lines, changes.carried, changes.pending) == (expected, expected, ())
    assert changes_since(lake.source, "2026-11").lines == ()


def test_months_that_did_not_move_are_not_read(lake: MonthEnd) -> None:
    """Given history that lies where it lay, when the next month is issued, then only that month is asked for."""
    lake.issue("2026-10")
    lake.queries.clear()
    lake.load({"R9": refund("2026-11", "dora", "9.00")})
    lake.issue("2026-11")
    (sql,) = lake.queries
    assert "in ('2026-11')" in sql
    assert changes_since(lake.source, "2026-11").lines == ()
    assert len(lake.queries) == 1


def test_what_is_taken_back_is_pending_again(lake: MonthEnd) -> None:
    """Given an adjustment that was carried, when the tables are rolled back to before it, then it is pending with its sign turned."""
    lake.issue("2026-10")
    refunds, locations = dict(lake.refunds), dict(lake.locations)
    lake.load({"R3": refund("2026-10", "cara", "5.00")})
    lake.issue("2026-11")
    lake.refunds, lake.locations, lake.catalog, lake.number = refunds, locations, dict(locations), lake.number + 1
    lake.record()
    changes = changes_since(lake.source, "2026-10")
    assert changes.lines == ()
    assert changes.pending == (Line("2026-10", "cara", "R3", Decimal("-5.00")),)


def test_a_month_without_a_statement_has_no_changes(lake: MonthEnd) -> None:
    """Given no statement, or one of another month, when its changes are asked for, then it is said which there are."""
    with pytest.raises(NoStatement, match="none is issued yet"):
        changes_since(lake.source, "2026-10")
    lake.issue("2026-10")
    with pytest.raises(NoStatement, match="issued are 2026-10 to 2026-10"):
        changes_since(lake.source, "2026-09")


MONTHS = ["2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11"]
AMOUNTS = st.decimals("0.01", "9999999999999999.99", places=2)
REFUNDS = st.one_of(
    st.none(), st.tuples(st.sampled_from(MONTHS), st.sampled_from(["anna", 'b"en\r', "cara,"]), AMOUNTS)
)
ARRIVALS: st.SearchStrategy[dict[str, Refund | None]] = st.dictionaries(
    st.sampled_from([f"R{number}" for number in range(8)]), REFUNDS, max_size=6
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.lists(ARRIVALS, min_size=6, max_size=6))
def test_statements_add_up_to_history(first: int, arrivals: list[dict[str, Refund | None]]) -> None:
    """Given any late arrivals between the issues, then totals and adjustments of all statements are always what history says."""
    lake = MonthEnd()
    lake.load({"R0": refund("2026-06", "anna", "1.00")})
    for month, arrived in zip(MONTHS[first:], arrivals, strict=False):
        lake.load(arrived)
        before = read_statements(lake.store)
        pending = changes_since(lake.source, None).pending if before else ()
        statement = lake.issue(month)
        told = list(adjustment_lines(lake.store, statement))
        if before:
            assert [line for line in told if line.month <= before[-1].month] == list(pending)
        statements = read_statements(lake.store)
        assert sum(each.total_refund + each.adjustments_total for each in statements) == lake.total(month)
        assert by_customer(own_lines(lake.store, statement)) == by_customer(
            Line(at, customer, key, amount) for key, (at, customer, amount) in lake.refunds.items() if at == month
        )


def test_lines_add_up_to_the_report_of_the_month() -> None:
    """Given counted and left-out refunds, when lines are asked for, then they add up to monthly_refunds.sql, month by month."""
    lake = Lake(
        [
            purchase("P1", "2025-01-03", "anna"),
            purchase("P2", "2025-03-03", "ben"),
            refund_record("R1", "2025-03-04", "P1", "1.25"),
            refund_record("R2", "2025-03-05", "P1", "2.00"),
            refund_record("R3", "2025-03-06", "P2", "4.00"),
            refund_record("R4", "2025-04-06", "P2", "8.00"),
            refund_record("R5", "2025-03-06", "P9", "16.00"),
            void("V1", "R2"),
        ]
    )
    for month, expected in (("2025-03", [("anna", Decimal("1.25"))]), ("2025-04", [("ben", Decimal("8.00"))])):
        lines = [Line(*row) for row in lake.query(LINES_SQL.format(months=f"'{month}'"))]
        assert list(by_customer(lines).items()) == expected == lake.query(MONTHLY_REFUNDS, [month])
        assert {line.month for line in lines} == {month}


def test_a_changed_refund_says_what_became_of_it() -> None:
    """Given refunds that are voided, moved, reassigned, late, orphaned or gone, then each has its reason and its voids."""
    lake = Lake(
        [
            purchase("P1", "2025-01-03", "anna"),
            purchase("P2", "2025-01-03", "ben"),
            refund_record("R1", "2025-03-04", "P1"),
            refund_record("R'2", "2025-03-05", "P2"),
            refund_record("R3", "2025-04-05", "P1"),
            refund_record("R4", "2025-03-05", "P9"),
            void("V1", "P1"),
            void("V2", "R1"),
            void("V3", "P1"),
        ]
    )

    def query(sql: str) -> Answer:
        return Answer((), lake.query(sql))

    lines = [
        Line("2025-03", "anna", "R1", Decimal("-1.00")),
        Line("2025-03", "anna", "R'2", Decimal("-1.00")),
        Line("2025-03", "ben", "R'2", Decimal("1.00")),
        Line("2025-03", "anna", "R3", Decimal("-1.00")),
        Line("2025-03", "cara", "R4", Decimal("-1.00")),
        Line("2025-03", "cara", "R5", Decimal("-1.00")),
    ]
    assert reasons_of(lines, query) == (
        Reason("voided_purchase", ("V1", "V2", "V3")),
        Reason("other_customer"),
        Reason("counted"),
        Reason("other_month"),
        Reason("orphan"),
        Reason("gone"),
    )


def test_many_changes_are_asked_for_in_queries_that_athena_takes() -> None:
    """Given a thousand changes with ids of the greatest length, then each query is below Athena's limit, and none is lost."""
    queries: list[str] = []

    def query(sql: str) -> Answer:
        queries.append(sql)
        return Answer((), [])

    lines = [Line("2025-03", "anna", f"{number:04}" + "\U0001f600" * 60, Decimal("1.00")) for number in range(1000)]
    assert reasons_of(lines, query) == (Reason("gone"),) * 1000
    assert len(queries) > 1 and all(len(sql.encode()) < 262_144 for sql in queries)
    assert all(sum(line.refund_id in sql for sql in queries) == 1 for line in lines)


@given(st.lists(st.builds(Line, st.sampled_from(MONTHS), st.text(), st.text(), AMOUNTS), max_size=5))
def test_lines_are_read_as_they_were_written(lines: list[Line]) -> None:
    """Given any ids, when lines are written as CSV and read again, then they are the same."""
    text = csv_text([Line._fields, *((*line[:3], f"{line.amount:.2f}") for line in lines)])
    assert list(parse_lines(text.encode())) == lines


def test_a_record_of_another_version_or_none_is_named(lake: MonthEnd) -> None:
    """Given a record that cannot be read, then the error names its key."""
    record = lake.issue("2026-10").document()
    for body in (
        b"[]",
        json.dumps({**record, "format": 2}).encode(),
        json.dumps({**record, "total_refund": "x"}).encode(),
    ):
        with pytest.raises(StatementDamaged, match="some key"):
            parse_statement(body, "some key")


def test_an_empty_month_has_documents_too(lake: MonthEnd) -> None:
    """Given a month without a refund, when it is issued, then its files have their heads and nothing else."""
    lake.issue("2026-10")
    statement = lake.issue("2026-11")
    assert (statement.customers, statement.total_refund) == (0, Decimal("0.00"))
    assert render_documents(statement, [], [])["refunds.csv"] == b"customer_id,total_refund\n"
    assert total(own_lines(lake.store, statement)) == 0


def test_months_follow_each_other_across_years() -> None:
    """Given the ends of a year, then the months before and after are those of the years beside it."""
    assert [next_month("2025-12"), previous_month("2026-01")] == ["2026-01", "2025-12"]
    assert all(previous_month(next_month(month)) == month for month in MONTHS)
    assert current_month(datetime(2026, 1, 1, tzinfo=UTC), "America/New_York") == "2025-12"
