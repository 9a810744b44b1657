"""Results as Athena leaves them in S3 and hands them out in pages.

Pure: text in, text out. Athena's CSV quotes every value and leaves null empty, so null differs from an empty value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from deployer.local.athena.types import Column

Row = Sequence[str | None]


def csv_text(header: Sequence[str], rows: Iterable[Row]) -> str:
    """Return the result object's content."""
    lines = [",".join(_quote(name) for name in header)]
    lines += [",".join("" if value is None else _quote(value) for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def _quote(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


def csv_rows(text: str) -> list[list[str | None]]:
    """Parse what `csv_text` wrote, including the header."""
    rows: list[list[str | None]] = []
    row: list[str | None] = []
    position = 0
    while position < len(text):
        if text[position] == '"':
            value, position = _quoted_value(text, position + 1)
            row.append(value)
        else:
            row.append(None)
        if text[position] == "\n":
            rows.append(row)
            row = []
        position += 1
        if text[position - 1] == "," and (position == len(text) or text[position] == "\n"):
            row.append(None)
            rows.append(row)
            row = []
            position += 1
    return rows


def _quoted_value(text: str, begin: int) -> tuple[str, int]:
    """Return the value after an opening quote, and the position after its closing quote."""
    parts = []
    while True:
        end = text.index('"', begin)
        parts.append(text[begin:end])
        if text[end + 1 : end + 2] != '"':
            return "".join(parts), end + 1
        parts.append('"')
        begin = end + 2


def page(
    columns: Sequence[Column], rows: Sequence[Row], *, header: bool, begin: int, size: int
) -> tuple[dict[str, Any], int | None]:
    """Return the answer of GetQueryResults for the rows from `begin` on (the header row counts), and where the next page begins."""
    everything: Sequence[Row] = [[column.name for column in columns], *rows] if header else rows
    chosen = everything[begin : begin + size]
    following = begin + size if begin + size < len(everything) else None
    return {"ResultSet": result_set(columns, chosen), "UpdateCount": 0}, following


def result_set(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, Any]:
    """Return rows and metadata; a null is a datum without a value."""
    return {
        "Rows": [{"Data": [{} if value is None else {"VarCharValue": value} for value in row]} for row in rows],
        "ResultSetMetadata": {
            "ColumnInfo": [
                {
                    "CatalogName": "hive",
                    "SchemaName": "",
                    "TableName": "",
                    "Name": column.name,
                    "Label": column.name,
                    "Type": column.type,
                    "Precision": column.precision,
                    "Scale": column.scale,
                    "Nullable": "UNKNOWN",
                    "CaseSensitive": column.type == "varchar",
                }
                for column in columns
            ]
        },
    }
