"""The rows of an ad-hoc query as a table, CSV or JSON; pure functions of the result.

Every value is text as Athena writes it. A null is `null` in a table, an empty cell in CSV (an empty text is `""` there,
as in Athena's own files) and null in JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from refunds_statements.documents import csv_cell

from deployer.errors import UsageError
from deployer.lake.queries import QueryResult
from deployer.lake.report_formats import text_for_spreadsheets
from deployer.printable import aligned, printable

# What Athena's API calls the types that are written as numbers.
# https://docs.aws.amazon.com/athena/latest/APIReference/API_ColumnInfo.html
NUMBERS = frozenset({"tinyint", "smallint", "integer", "bigint", "float", "real", "double", "decimal"})


def render_table(result: QueryResult) -> str:
    """Align text left and numbers right; a value is one line, whatever it holds."""
    rows = [[_shown(value) for value in row] for row in result.rows]
    names = [printable(name) for name in result.columns]
    right = {number for number, type_ in enumerate(result.types) if type_ in NUMBERS}
    return "".join(f"{line}\n" for line in aligned([names, None, *rows], right=right))


def _shown(value: str | None) -> str:
    return "null" if value is None else printable(value)


def render_csv(result: QueryResult, *, is_safe: bool = False) -> str:
    """Write CSV (RFC 4180, lines end in LF) with a header. `is_safe` lets a spreadsheet take formulas for text."""
    safe: Callable[[str], str] = text_for_spreadsheets if is_safe else str

    def cell(value: str | None, type_: str) -> str:
        if value is None:
            return ""
        return csv_cell(value if type_ in NUMBERS else safe(value)) if value else '""'

    lines = [[csv_cell(safe(name)) for name in result.columns]]
    lines += [[cell(value, type_) for value, type_ in zip(row, result.types, strict=True)] for row in result.rows]
    return "".join(",".join(line) + "\n" for line in lines)


def render_json(result: QueryResult) -> str:
    """Write a JSON list, one object a row. Raise UsageError when two columns have the same name."""
    if twice := {name for name in result.columns if result.columns.count(name) > 1}:
        raise UsageError(
            f"two columns are called {', '.join(sorted(twice))}", hint="give each a different name with `as`"
        )
    lines = (json.dumps(dict(zip(result.columns, row, strict=True)), ensure_ascii=False) for row in result.rows)
    body = ",\n".join(lines)
    return f"[\n{body}\n]\n" if body else "[]\n"


RENDERERS: Mapping[str, Callable[[QueryResult], str]] = {
    "table": render_table,
    "csv": render_csv,
    "json": render_json,
}
