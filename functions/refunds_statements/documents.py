"""A statement as files for programs: report and adjustments as CSV, all of it as JSON, and the lines behind it. Pure.

CSV is RFC 4180 with lines that end in LF; ids are written exactly as they are.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

from refunds_statements.lines import Line, by_customer, by_month_and_customer
from refunds_statements.statement import Statement

REFUNDS: Final = "refunds.csv"
LINES: Final = "lines.csv"
ADJUSTMENTS: Final = "adjustments.csv"
WHOLE: Final = "statement.json"
PAGE: Final = "statement.html"
"""Written by `page_html`."""
_REFUND_COLUMNS: Final = ("customer_id", "total_refund")
_NEEDS_QUOTES: Final = re.compile(r'[",\r\n]')
_NOT_IN_THE_DOCUMENT: Final = ("locations", "lines", "documents")
"""Parts of the record that say how it was made."""


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as CSV."""
    return "".join(",".join(map(csv_cell, row)) + "\n" for row in rows)


def csv_cell(text: str) -> str:
    """Quote what RFC 4180 requires. Python's writer leaves a carriage return unquoted when lines end in LF."""
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def render_documents(statement: Statement, lines: Sequence[Line], adjustments: Sequence[Line]) -> dict[str, bytes]:
    """Return the files of a statement by name."""
    refunds = [(customer, f"{amount:.2f}") for customer, amount in by_customer(lines).items()]
    texts = {
        REFUNDS: csv_text([_REFUND_COLUMNS, *refunds]),
        LINES: _lines_text(lines),
        ADJUSTMENTS: _lines_text(adjustments),
        WHOLE: json.dumps(whole(statement, lines, adjustments), ensure_ascii=False, indent=1) + "\n",
    }
    return {name: text.encode() for name, text in texts.items()}


def whole(statement: Statement, lines: Sequence[Line], adjustments: Sequence[Line]) -> dict[str, Any]:
    """Return the statement with its refunds by customer and its adjustments by month and customer."""
    kept = {name: value for name, value in statement.document().items() if name not in _NOT_IN_THE_DOCUMENT}
    return {
        **kept,
        "refunds": [
            {"customer_id": customer, "total_refund": f"{amount:.2f}"}
            for customer, amount in by_customer(lines).items()
        ],
        "adjustments": [
            {"month": month, "customer_id": customer, "amount": f"{amount:.2f}"}
            for (month, customer), amount in by_month_and_customer(adjustments).items()
        ],
    }


def _lines_text(lines: Iterable[Line]) -> str:
    return csv_text([Line._fields, *((*line[:3], f"{line.amount:.2f}") for line in lines)])


def parse_lines(body: bytes) -> Iterator[Line]:
    """Parse lines in their stored form."""
    rows = csv.reader(io.StringIO(body.decode(), newline=""))
    next(rows)
    for month, customer_id, refund_id, amount in rows:
        yield Line(month, customer_id, refund_id, Decimal(amount))
