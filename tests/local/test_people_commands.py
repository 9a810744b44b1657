"""What an analyst and an operator ask of a deployed lake: queries, rejected records, logs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import pytest
from local_project import LocalProject

PURCHASE = {"id": "P1", "type": "purchase", "timestamp": "2026-09-01T10:00:00Z", "amount": "100.00"}
GOOD = [
    {**PURCHASE, "customer_id": "=1+1", "merchant_id": "m"},
    {"id": "R1", "type": "refund", "timestamp": "2026-10-01T10:00:00Z", "amount": "60.00", "parent_id": "P1"},
]
BAD = ['{"id": "R2", "type": "refund", "amount": "1.00"}', '{"id": "R3", \x1b[31m']


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """A deployed lake with two good records and two bad ones."""
    project = LocalProject.deployed(tmp_path_factory, "people")
    try:
        project.deliver("records.jsonl", [*map(json.dumps, GOOD), *BAD])
        yield project
    finally:
        project.dataops("local", "stop", check=False)


def test_a_query_gives_rows_bytes_and_cost(lakehouse: LocalProject) -> None:
    """Given a question, when it is asked in SQL, then rows come by format, with what Athena scanned and what it costs."""
    sql = "select p.customer_id, r.amount from refund r join purchase p on p.id = r.parent_id"
    done = lakehouse.dataops("query", "--env", "local", sql)
    assert done.stdout.splitlines()[2].split() == ["=1+1", "60.00"]
    answer = lakehouse.document("query", "--env", "local", sql)
    assert answer["columns"] == [{"name": "customer_id", "type": "varchar"}, {"name": "amount", "type": "decimal"}]
    assert f"{answer['bytes_scanned']:,} bytes scanned, 0.000048 USD" in done.stderr and answer["bytes_scanned"] > 0
    safe = lakehouse.dataops("query", "--env", "local", "--format", "csv", "--csv-safe", sql).stdout
    assert list(csv.reader(io.StringIO(safe))) == [["customer_id", "amount"], ["'=1+1", "60.00"]]


def test_a_wrong_query_is_marked_where_it_is_wrong(lakehouse: LocalProject) -> None:
    """Given SQL with an unknown column or a syntax error, when it is run, then the place is marked in its line."""
    for sql, wrong in (("select id,\n  nope from refund", "nope"), ("select id from refund where where", "where")):
        done = lakehouse.dataops("query", "--env", "local", sql, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        shown, caret = done.stderr.splitlines()[:2]
        assert shown.rindex(wrong) == caret.index("^")


def test_the_limit_of_bytes_holds(lakehouse: LocalProject) -> None:
    """Given a limit of bytes, when a query scans more, then it is refused with 6 and no row is shown."""
    done = lakehouse.dataops("query", "--env", "local", "--max-bytes", "10", "select * from refund", check=False)
    assert (done.returncode, done.stdout) == (6, "") and "more than the 10 of --max-bytes" in done.stderr


def test_rejected_records_are_shown_until_they_are_repaired(lakehouse: LocalProject) -> None:
    """Given bad records, when they are asked for, then each has its file, line, reasons, escaped text and replay."""
    done = lakehouse.dataops("rejected", "--env", "local", "--since", "1h")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("transactions/source=s3/") and lines[0].endswith(
        "line 3: timestamp_missing, parent_id_missing"
    )
    assert lines[3].endswith("line 4: not_json") and lines[5] == f"  {BAD[1]}".replace("\x1b", "\\x1b")
    assert "2 rejected records" in done.stderr and "dataops replay --env local" in done.stderr
    found = lakehouse.document("rejected", "--env", "local", "--reason", "not_json")
    assert [(each["raw_text"], each["line"]) for each in found["records"]] == [(BAD[1], 4)]
    assert lakehouse.document("rejected", "--env", "local", "--reason", "amount_invalid")["total"] == 0


def test_logs_of_a_function_and_of_the_job(lakehouse: LocalProject) -> None:
    """Given a validation and a run, when their logs are asked for, then each has its own lines, and a part that is not
    deployed is named."""
    function = lakehouse.outputs("operations")["ValidationFunctionName"]
    lakehouse.client("lambda").invoke(FunctionName=function, Payload=b"{}")
    validation = lakehouse.document("logs", "--env", "local", "--validate")
    assert any('"_aws"' in line for line in validation["lines"])
    followed = lakehouse.document("logs", "--env", "local", "--validate", "--follow", "--timeout", "3")
    assert followed["lines"] == validation["lines"]
    job = lakehouse.dataops("logs", "--env", "local", "--job", "--since", "1h").stdout
    assert "read 1 of 1 objects" in job and '"_aws"' not in job


def test_a_run_is_rolled_back(lakehouse: LocalProject) -> None:
    """Given a second run, when it is rolled back, then the tables are those of the first one again."""
    late = {"id": "R4", "type": "refund", "timestamp": "2026-10-02T10:00:00Z", "amount": "5.00", "parent_id": "P1"}
    lakehouse.deliver("late.jsonl", [json.dumps(late)])
    run_id = lakehouse.document("data", "runs", "--env", "local")["runs"][0]["run_id"]
    done = lakehouse.document("data", "rollback", "--env", "local", "--run", run_id, "--yes")
    assert (done["rolled_back"], done["undone"]) == (True, [run_id])
    assert lakehouse.document("query", "--env", "local", "select id from refund")["rows"] == [["R1"]]
