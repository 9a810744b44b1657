"""What comes from data or from names is shown, never acted on by the terminal."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.errors import DataopsError
from deployer.lake.delivery.files import BadFiles, checked_files
from deployer.lake.load_text import load_lines
from deployer.lake.loads import Load, Problem
from deployer.lake.refund_report import RefundReport
from deployer.lake.report_formats import render, render_csv
from deployer.printable import aligned, printable
from deployer.refunds import RefundRow
from deployer.terminal.output import write_error, write_lines, write_talk


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("anna", "anna"),
        ("zoë 日本 🙂", "zoë 日本 🙂"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\x9b2J\x7f", r"\x9b2J\x7f"),
        ("bad\udcff", r"bad\udcff"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text: str, shown: str) -> None:
    """Given text with control characters, when it is made printable, then they are escapes, and letters stay letters."""
    assert printable(text) == shown


def test_a_line_break_in_a_customer_makes_no_row() -> None:
    """Given a customer id that holds another row, when the table is written, then it is one row and shows the break."""
    rows = (RefundRow("mallory   0.00\nvictim", Decimal("5000.00")), RefundRow("\x1b]0;title\x07", Decimal("1.00")))
    lines = render(RefundReport(None, rows), "table").splitlines()
    assert lines[2].split() == ["mallory", r"0.00\nvictim", "5000.00"]
    assert lines[3].startswith(r"\x1b]0;title\x07")
    assert len(lines) == 6
    assert len(set(map(len, lines))) == 1


def test_problems_of_a_load_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Given an object whose key and columns hold control characters, when a load names it, then they are escapes."""
    problem = Problem("transactions/\x1b[2J.csv", "its columns are \x1b[31mid\nforged line")
    load = Load("uat", "jr_1", "SUCCEEDED", 1.0, nothing_new=True, problems=(problem,))
    assert load_lines(load)[-1] == r"  transactions/\x1b[2J.csv: its columns are \x1b[31mid\nforged line"


def test_names_of_files_are_shown(tmp_path: Path) -> None:
    """Given a file name with an escape and a line break, when it is refused, then the message is one line without them."""
    with pytest.raises(BadFiles) as caught:
        checked_files([tmp_path / "a\x1b[31m\nb.txt"])
    assert r"a\x1b[31m\nb.txt: no such file" in caught.value.lines()[0]


def test_talk_errors_and_texts_carry_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """Given messages with escapes, when they are written, then only line breaks and tabs are left of what acts."""
    write_talk("reading \x1b[2Ja\nnext\tline")
    write_error(DataopsError("bad \x1b[31mname", where="a\x07b"))
    write_lines("done \x1b[0m\n")
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [r"reading \x1b[2Ja", "next\tline", r"error: a\x07b: bad \x1b[31mname"]
    assert captured.out == r"done \x1b[0m" + "\n"


CELLS = st.text(alphabet=st.sampled_from("ab ,\"'\r\n\t=+-@;é\x0b\x0c\u2028"), min_size=1)


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_csv_comes_back_as_it_was(customers: list[str]) -> None:
    """Given customer ids with every mark of CSV, when the report is read back, then each is one row and unchanged."""
    rows = tuple(RefundRow(customer, Decimal("1.00")) for customer in customers)
    read = list(csv.reader(io.StringIO(render_csv(rows), newline="")))
    assert read[1:] == [[customer, "1.00"] for customer in customers]


def test_a_carriage_return_is_quoted() -> None:
    """Given a carriage return in a customer id, when CSV is written, then the cell is quoted, as RFC 4180 asks."""
    assert render_csv((RefundRow("a\rb", Decimal("1.06")),)) == 'customer_id,total_refund\n"a\rb",1.06\n'


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_a_formula_is_text_where_it_is_asked_for(start: str) -> None:
    """Given a customer id that a spreadsheet would compute, when safe CSV is asked for, then it is text there; else data."""
    row = RefundRow(f"{start}cmd|' /C calc'!A0", Decimal("1.00"))
    cell = next(csv.reader(io.StringIO(render_csv((row,), is_safe=True).split("\n", 1)[1], newline="")))[0]
    assert cell == "'" + row.customer_id
    plain = next(csv.reader(io.StringIO(render_csv((row,)).split("\n", 1)[1], newline="")))[0]
    assert plain == row.customer_id


def test_rows_stand_in_columns() -> None:
    """Given rows of texts and amounts, then each column has one width, amounts end at one place, and None is a rule."""
    rows = [("customer", "total"), None, ("anna", "12.50"), ("b", "1,000.00")]
    assert aligned(rows, right={1}) == [
        "customer     total",
        "--------  --------",
        "anna         12.50",
        "b         1,000.00",
    ]
    assert aligned([("a", ""), ("bb", "c")]) == ["a", "bb  c"]
