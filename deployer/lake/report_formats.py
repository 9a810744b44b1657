"""A refund report as a table, CSV or JSON; a pure function of its rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal

from refunds_statements.documents import csv_text

from deployer.lake.refund_report import COLUMNS, RefundReport
from deployer.printable import aligned, printable
from deployer.refunds import RefundRow, money

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def render(report: RefundReport, form: str) -> str:
    """Render a report as table, csv or json; the text ends with a line break."""
    return RENDERERS[form](report.rows)


def render_table(rows: Sequence[RefundRow]) -> str:
    """Align customers left and amounts right, with a total line; a customer is one line, whatever its id holds."""
    total = money(sum((row.total_refund for row in rows), Decimal("0.00")))
    lines = [(printable(row.customer_id), money(row.total_refund)) for row in rows]
    return "".join(f"{line}\n" for line in aligned([COLUMNS, None, *lines, None, ("total", total)], right={1}))


def render_csv(rows: Sequence[RefundRow], *, is_safe: bool = False) -> str:
    """Write CSV (RFC 4180, lines end in LF) with a header. `is_safe` lets a spreadsheet take formulas for text."""
    cell = text_for_spreadsheets if is_safe else str
    return csv_text([COLUMNS, *((cell(row.customer_id), money(row.total_refund)) for row in rows)])


def text_for_spreadsheets(text: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would compute: https://owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def render_json(rows: Sequence[RefundRow]) -> str:
    """Write a JSON list, one customer a line."""
    if not rows:
        return "[]\n"
    documents = ({**row._asdict(), "total_refund": money(row.total_refund)} for row in rows)
    lines = (json.dumps(each, ensure_ascii=False) for each in documents)
    return "[\n" + ",\n".join(lines) + "\n]\n"


RENDERERS = {"table": render_table, "csv": render_csv, "json": render_json}


def summary(report: RefundReport) -> str:
    """Say in one line what was reported and what it cost to read."""
    customers = "1 customer" if len(report.rows) == 1 else f"{len(report.rows):,} customers"
    scanned = f"{report.bytes_scanned:,} bytes scanned"
    return f"{report.title}: {customers}, {money(report.total)} in total; {scanned}"
