"""Running a query: pages, nulls, failures by whose fault they are, time limits."""

from typing import Any

import pytest
from fake_aws import Failure, FakeAthena, FakeSession

from deployer import pauses
from deployer.errors import DataopsError
from deployer.lake.queries import FailureKind, QueryFailed, QueryTimedOut, deployed_sql, quoted, run_query


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time stand still between polls."""
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)


def session_with(result: Any, **settings: Any) -> Any:
    return FakeSession(athena=FakeAthena(results={("db", "sql"): result}, **settings))


def query(session: Any, **options: Any) -> Any:
    return run_query(session.lake, "sql", database="db", **options)


def test_rows_of_all_pages_without_the_header() -> None:
    """Given a result of several pages, when it is read, then all rows are there and the header is not one of them."""
    rows = [(f"c{number}", "1.00") for number in range(7)]
    result = query(session_with(rows, page_size=3, polls_until_done=2))
    assert result.rows == rows
    assert result.columns == ("customer_id", "total_refund")
    assert result.bytes_scanned == 1234


def test_null_is_none_and_empty_text_is_empty() -> None:
    """Given a null and an empty text, when they are read, then they differ."""
    assert query(session_with([(None, "")])).rows == [(None, "")]


@pytest.mark.parametrize(
    ("category", "kind"),
    [(1, FailureKind.SYSTEM), (2, FailureKind.USER), (3, FailureKind.OTHER), (9, FailureKind.OTHER)],
)
def test_a_failure_says_the_reason_and_whose_fault_it_is(category: int, kind: FailureKind) -> None:
    """Given a failed query, when it is awaited, then the error has Athena's reason and its kind."""
    with pytest.raises(QueryFailed, match="TABLE_NOT_FOUND") as caught:
        query(session_with(Failure("TABLE_NOT_FOUND: refund", category)))
    assert caught.value.kind is kind


def test_the_byte_limit_is_explained() -> None:
    """Given a query that the workgroup's limit cancelled, when it is awaited, then the hint names the limit."""
    with pytest.raises(QueryFailed) as caught:
        query(session_with(Failure("Bytes scanned limit was exceeded", 2, "CANCELLED")))
    assert caught.value.hint is not None and "BytesScannedCutoff" in caught.value.hint


def test_a_query_that_takes_too_long_is_stopped() -> None:
    """Given a query that does not end, when the time is over, then it is stopped and said so."""
    session = session_with([], polls_until_done=10**9)
    with pytest.raises(QueryTimedOut):
        query(session, timeout_seconds=0.05)
    assert session.athena.stopped == ["0"]


def test_the_deployed_text_is_found_by_name() -> None:
    """Given named queries on several pages, when one is looked up, then its text comes back."""
    assert deployed_sql(session_with([]).lake, "monthly_refunds") == "one month"


def test_a_missing_named_query_asks_for_a_deployment() -> None:
    """Given a workgroup without the query, when it is looked up, then the hint is to deploy."""
    with pytest.raises(DataopsError) as caught:
        deployed_sql(session_with([], named={}).lake, "refunds")
    assert caught.value.hint == "dataops deploy --env test"


def test_quotes_are_doubled() -> None:
    """Given text with a quote, when it becomes a literal, then it stays one literal."""
    assert quoted("o'neill") == "'o''neill'"
