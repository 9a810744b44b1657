"""An ad-hoc query: what is taken, where its errors are marked, and its rows as table, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import Refused, UsageError
from deployer.lake.queries import QueryResult
from deployer.lake.query_errors import marked
from deployer.lake.query_formats import render_csv, render_json, render_table
from deployer.lake.read_only import checked_sql


def result(*rows: tuple[str | None, ...]) -> QueryResult:
    return QueryResult(("id", "amount"), list(rows), 10, "q", ("varchar", "decimal"))


@pytest.mark.parametrize(
    "sql",
    ["select 1", " SELECT 1 ;", "-- why\nwith a as (select 1) select * from a", "/* a */ (select 1)", "show tables"],
)
def test_what_reads_is_taken(sql: str) -> None:
    """Given a statement that reads, behind comments and brackets, when it is checked, then it comes back without a semicolon."""
    assert checked_sql(sql) == sql.strip().removesuffix(";").strip()


@pytest.mark.parametrize(
    "sql",
    ["drop table refund", "insert into refund select 1", "-- select\ndelete from refund", "/* x */unload (select 1)"],
)
def test_what_changes_is_refused(sql: str) -> None:
    """Given a statement that changes tables or writes files, when it is checked, then the guard refuses it."""
    with pytest.raises(Refused, match="query only reads"):
        checked_sql(sql)


@pytest.mark.parametrize("sql", ["", " ;", "-- nothing", "/* nothing */"])
def test_no_statement_is_a_usage_error(sql: str) -> None:
    """Given no statement, when it is checked, then that is said."""
    with pytest.raises(UsageError, match="no SQL"):
        checked_sql(sql)


def test_an_error_is_marked_below_its_column() -> None:
    """Given an error at a line and a column, when it is marked, then the line is shown with a caret below the place."""
    assert marked("COLUMN_NOT_FOUND: line 2:3: Column 'nope'", "select id,\n  nope\nfrom refund") == [
        "    nope",
        "    ^",
    ]


def test_a_tab_and_a_long_line_do_not_move_the_mark() -> None:
    """Given a tab before the place, or a line wider than a screen, when it is marked, then the caret is below the word."""
    shown, caret = marked("line 1:9: no", "select\t\tnope")
    assert shown.index("nope") == caret.index("^")
    wide = "select " + "a, " * 100 + "nope from refund"
    shown, caret = marked(f"line 1:{wide.index('nope') + 1}: no", wide)
    assert shown.index("nope") == caret.index("^") and len(shown) < 110


@pytest.mark.parametrize("message", ["out of memory", "line 9:1: no", "line 1:99: no", "line 0:0: no"])
def test_a_place_that_is_not_in_the_text_is_not_marked(message: str) -> None:
    """Given no place, or one outside the text, when it is marked, then nothing is shown."""
    assert marked(message, "select 1") == []


def test_the_table_aligns_numbers_right_and_shows_null() -> None:
    """Given text, numbers and null, when they are a table, then numbers end below each other and no escape gets through."""
    assert render_table(result(("a\x1b[31m", "1.00"), (None, "100.00"))).splitlines() == [
        "id         amount",
        "---------  ------",
        "a\\x1b[31m    1.00",
        "null       100.00",
    ]


def test_null_and_empty_text_differ_in_csv() -> None:
    """Given a null and an empty text, when they are CSV, then the empty text alone has quotes."""
    assert render_csv(result((None, None), ("", "1"))) == 'id,amount\n,\n"",1\n'


def test_safe_csv_changes_texts_alone() -> None:
    """Given a formula and a negative number, when safe CSV is made, then the formula is text and the number a number."""
    assert render_csv(result(("=1+1", "-1.50")), is_safe=True) == "id,amount\n'=1+1,-1.50\n"
    assert render_csv(result(("=1+1", "-1.50"))) == "id,amount\n=1+1,-1.50\n"


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text("0123456789.", min_size=1))))
def test_csv_reads_back(rows: list[tuple[str, str]]) -> None:
    """Given any text, when it is CSV and read again, then it is the same."""
    found = list(csv.reader(io.StringIO(render_csv(result(*rows)), newline="")))
    assert found == [["id", "amount"], *map(list, rows)]


def test_json_has_an_object_for_each_row() -> None:
    """Given rows, when they are JSON, then each is an object by column, null is null, and equal names are refused."""
    assert json.loads(render_json(result(("a", None)))) == [{"id": "a", "amount": None}]
    assert render_json(result()) == "[]\n"
    with pytest.raises(UsageError, match="two columns are called n"):
        render_json(QueryResult(("n", "n"), [], 0, "q", ("integer", "integer")))
