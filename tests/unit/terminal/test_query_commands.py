"""query and rejected on the command line: what is printed where, and the exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from fake_aws import Failure, FakeAthena, FakeSession

Run = Callable[..., tuple[int, str, str]]
SQL = "select customer_id, total_refund from totals"


@pytest.fixture
def session() -> Any:
    return FakeSession(athena=FakeAthena(results={("refunds_base_test", SQL): [("anna", "50.25"), (None, "")]}))


def test_rows_are_the_result_and_the_cost_is_talk(dataops: Run) -> None:
    """Given a query, when it is run, then stdout has its rows, and stderr what it scanned and costs."""
    code, out, err = dataops("query", "--env", "test", SQL)
    assert code == 0
    assert out.splitlines()[2:] == ["anna                50.25", "null"]
    assert err == "2 rows; 1,234 bytes scanned, 0.000048 USD\n"


def test_as_csv_and_json(dataops: Run) -> None:
    """Given a format, when a query is run, then stdout is that format and nothing else."""
    assert dataops("query", "--env", "test", SQL, "--format", "csv")[1] == 'customer_id,total_refund\nanna,50.25\n,""\n'
    assert json.loads(dataops("query", "--env", "test", SQL, "--format", "json")[1])[1] == {
        "customer_id": None,
        "total_refund": "",
    }
    document = json.loads(dataops("--output", "json", "query", "--env", "test", SQL)[1])
    assert document["columns"][1] == {"name": "total_refund", "type": "decimal"}
    assert document["rows"] == [["anna", "50.25"], [None, ""]]
    assert (document["bytes_scanned"], document["cost_usd"]) == (1234, "0.0000476837")


def test_an_error_is_shown_in_the_sql(dataops: Run, session: Any) -> None:
    """Given SQL that Athena refuses, when it is run, then the place is marked, then comes Athena's reason, exit code 1."""
    session.athena.results["refunds_base_test", "select nope"] = Failure("line 1:8: Column 'nope' cannot be resolved")
    code, out, err = dataops("query", "--env", "test", "select nope")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[0].index("nope") == lines[1].index("^") and "cannot be resolved" in lines[2]


def test_what_would_change_something_is_not_sent(dataops: Run, session: Any) -> None:
    """Given SQL that would change a table, when it is asked for, then it is refused with 6 and Athena hears nothing."""
    assert dataops("query", "--env", "test", "drop table refund")[0] == 6
    assert session.athena.started == []


def test_more_bytes_than_allowed(dataops: Run, session: Any) -> None:
    """Given a limit of bytes, when a query has scanned more, then it shows no rows and is refused with 6."""
    code, out, err = dataops("query", "--env", "test", "--max-bytes", "1233", SQL)
    assert (code, out) == (6, "") and "1,234 bytes, more than the 1,233" in err
    assert session.athena.stopped == []
    assert dataops("query", "--env", "test", "--max-bytes", "1234", SQL)[0] == 0


def test_a_query_that_scans_too_much_is_stopped_on_its_way(
    dataops: Run, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a limit, when a running query has scanned more, then it is stopped."""
    running = {"QueryExecution": {"Status": {"State": "RUNNING"}, "Statistics": {"DataScannedInBytes": 10**9}}}
    monkeypatch.setattr(session.athena, "get_query_execution", lambda QueryExecutionId: running)
    assert dataops("query", "--env", "test", "--max-bytes", "1000", SQL)[0] == 6
    assert session.athena.stopped == ["0"]


def test_csv_safe_needs_csv(dataops: Run, session: Any) -> None:
    """Given --csv-safe without CSV, when a query is asked for, then it is a usage error before anything is asked."""
    assert dataops("query", "--env", "test", "--csv-safe", SQL)[0] == 2
    assert session.athena.started == []


REJECTED = ("raw_text", "reasons", "source_file", "line_number", "run_id", "ingested_at", "records")
ROW = ('{"id": "a\x1b"}', '["type_missing"]', "transactions/a.jsonl", "7", "run-1", "2026-11-20 12:00:00.000", "3")


def test_rejected_records_with_the_next_step(dataops: Run, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given rejected records, when they are asked for, then each is printed, and how many more there are and the replay."""
    session.athena.columns = REJECTED
    monkeypatch.setattr(session.athena, "_result", lambda query_id: [ROW])
    code, out, err = dataops("rejected", "--env", "test", "--since", "7d")
    assert code == 0
    assert out.splitlines()[0] == "transactions/a.jsonl line 7: type_missing"
    assert out.splitlines()[2] == '  {"id": "a\\x1b"}'
    assert "3 rejected records, showing the newest 1" in err and "dataops replay --env test" in err
    document = json.loads(dataops("--output", "json", "rejected", "--env", "test")[1])
    assert document["records"][0]["raw_text"] == ROW[0] and document["total"] == 3
    assert document["records"][0]["ingested_at"] == "2026-11-20T12:00:00+00:00"


@pytest.mark.parametrize("arguments", [("--reason", "Amount!"), ("--since", "soon"), ("--limit", "0")])
def test_rejected_records_of_what_makes_no_sense(dataops: Run, session: Any, arguments: tuple[str, ...]) -> None:
    """Given a reason or a moment that is none, when records are asked for, then it is a usage error, nothing is queried."""
    assert dataops("rejected", "--env", "test", *arguments)[0] == 2
    assert session.athena.started == []


PAGED = """
import sys
from deployer.terminal.pager import show_paged
show_paged("one\\ntwo\\n")
"""


@pytest.mark.parametrize("has_terminal", [True, False])
def test_a_terminal_has_a_pager(has_terminal: bool) -> None:
    """Given stdin and stdout on a terminal, when a table is shown, then the person's pager gets it; otherwise nobody does."""
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs} if has_terminal else {"stdin": theirs, "stdout": subprocess.PIPE}
    done = subprocess.run(
        [sys.executable, "-c", PAGED], **streams, env={**os.environ, "PAGER": "sed s/^/paged:/"}, check=True, text=True
    )
    shown = os.read(ours, 1000).decode() if has_terminal else done.stdout
    os.close(ours)
    os.close(theirs)
    assert [line.rstrip("\r") for line in shown.splitlines()] == (
        ["paged:one", "paged:two"] if has_terminal else ["one", "two"]
    )
