"""The report: what Athena answers becomes rows, and rows become a table, CSV or JSON, to the cent."""

import json
from decimal import Decimal
from typing import Any

import pytest
from fake_aws import FakeAthena, FakeSession

from deployer.errors import UsageError
from deployer.lake.queries import QueryFailed
from deployer.lake.refund_report import RefundReport, checked_month, fetch_report
from deployer.lake.report_formats import render, summary
from deployer.refunds import RefundRow

ROWS = (RefundRow("anna", Decimal("50.25")), RefundRow('kim, the "first"', Decimal("10000000000000000.00")))


def session_with(results: Any, **athena: Any) -> Any:
    return FakeSession(athena=FakeAthena(results=results, **athena))


def test_table() -> None:
    """Given rows, when a table is asked for, then names stand left, amounts right, and the total is below."""
    assert render(RefundReport(None, ROWS), "table").splitlines() == [
        "customer_id               total_refund",
        "----------------  --------------------",
        "anna                             50.25",
        'kim, the "first"  10000000000000000.00',
        "----------------  --------------------",
        "total             10000000000000050.25",
    ]


def test_csv() -> None:
    """Given a customer with a comma and a quote, when CSV is asked for, then they are quoted."""
    expected = 'customer_id,total_refund\nanna,50.25\n"kim, the ""first""",10000000000000000.00\n'
    assert render(RefundReport(None, ROWS), "csv") == expected


def test_json() -> None:
    """Given rows, when JSON is asked for, then it is a list of customers with amounts as text."""
    assert json.loads(render(RefundReport(None, ROWS), "json")) == [
        {"customer_id": "anna", "total_refund": "50.25"},
        {"customer_id": 'kim, the "first"', "total_refund": "10000000000000000.00"},
    ]


@pytest.mark.parametrize(("form", "text"), [("csv", "customer_id,total_refund\n"), ("json", "[]\n")])
def test_an_empty_report_is_still_a_report(form: str, text: str) -> None:
    """Given no rows, when the report is rendered, then it is empty and well formed."""
    assert render(RefundReport("2026-10", ()), form) == text
    assert "total                0.00" in render(RefundReport("2026-10", ()), "table")


def test_summary() -> None:
    """Given a report, when it is summed up, then customers, total and bytes scanned are in one line."""
    expected = "refunds of 2026-10: 1 customer, 50.25 in total; 1,234 bytes scanned"
    assert summary(RefundReport("2026-10", ROWS[:1], 1234)) == expected


@pytest.mark.parametrize(
    "text", ["2026-13", "2026-00", "2026-1", "october", "", "2026-10-01", "٢٠٢٦-١٠", "0000-01", "2026-10\n"]
)
def test_a_month_that_is_none(text: str) -> None:
    """Given something that is not a month, when it is checked, then the error shows how a month is written."""
    with pytest.raises(UsageError) as caught:
        checked_month(text)
    assert caught.value.exit_code == 2
    assert caught.value.hint is not None and "2026-10" in caught.value.hint


def test_all_time_runs_the_deployed_query_on_the_live_tables() -> None:
    """Given a deployed workgroup, when the report of all time is fetched, then its named query runs on the live tables."""
    session = session_with({("refunds_base_test", "all time"): [("anna", "50.25")]})
    report = fetch_report(session.lake, session.lake.live)
    assert report == RefundReport(None, (RefundRow("anna", Decimal("50.25")),), 1234)
    assert session.athena.started[0]["WorkGroup"] == "reports"
    assert "ExecutionParameters" not in session.athena.started[0]


def test_the_month_goes_as_a_quoted_parameter() -> None:
    """Given a month, when its report is fetched, then the month travels as a string literal, never in the SQL."""
    session = session_with({("refunds_base_test", "2026-10"): [("anna", "1.00")]})
    assert fetch_report(session.lake, session.lake.live, "2026-10").rows == (RefundRow("anna", Decimal("1.00")),)
    assert session.athena.started[0]["QueryString"] == "one month"
    assert session.athena.started[0]["ExecutionParameters"] == ["'2026-10'"]


@pytest.mark.parametrize("row", [(None, "1.00"), ("anna", None)])
def test_a_row_without_customer_or_total_is_an_error(row: tuple[str | None, str | None]) -> None:
    """Given a null in the report, when it is read, then it is an error and no report."""
    session = session_with({("refunds_base_test", "all time"): [row]})
    with pytest.raises(QueryFailed):
        fetch_report(session.lake, session.lake.live)


def test_other_columns_are_an_error() -> None:
    """Given a query with other columns, when it is read, then the error names them."""
    session = session_with({}, columns=("merchant_id", "total_refund"))
    with pytest.raises(QueryFailed, match="merchant_id"):
        fetch_report(session.lake, session.lake.live)
