"""Errors of a query, phrased as Athena phrases them.

The code precedes the message in StateChangeReason; positions are ``line:column`` of the query text, from 1.
"""

from __future__ import annotations

import re

#: Athena's numeric types of errors, as far as they are documented or were reported; their category is 2, "user".
ERROR_TYPES = {"SYNTAX_ERROR": 1006, "TABLE_NOT_FOUND": 1006, "COLUMN_NOT_FOUND": 1006, "SCHEMA_NOT_FOUND": 1006}


class QueryError(Exception):
    """The query is wrong or cannot be run; ``str()`` is the StateChangeReason."""

    def __init__(self, code: str, message: str, position: tuple[int, int] | None = None) -> None:
        where = f"line {position[0]}:{position[1]}: " if position else ""
        super().__init__(f"{code}: {where}{message}")
        self.code = code
        self.position = position
        self.bare = f"{where}{message}"

    @property
    def error_type(self) -> int:
        return ERROR_TYPES.get(self.code, 1003)


class MalformedQuery(Exception):
    """The text is not SQL at all, so StartQueryExecution refuses it."""


class Cancelled(Exception):
    """A caller or a limit stopped the query; the message is the StateChangeReason."""


def from_duckdb(message: str) -> QueryError:
    """Return a run-time error of DuckDB in Athena's words; an unknown error keeps DuckDB's words."""
    first = message.strip().splitlines()[0]
    kind, _, rest = first.partition(": ")
    text = rest or kind
    if "Division by zero" in first or "with value inf can't be cast" in first:
        return QueryError("DIVISION_BY_ZERO", "Division by zero")
    if found := re.search(r"Could not convert string '(.*?)' to (\w+)", first):
        return QueryError("INVALID_CAST_ARGUMENT", f"Cannot cast '{found[1]}' to {found[2]}")
    if found := re.search(r"Scalar Function with name \"?(\w+)\"? does not exist", first):
        return QueryError("FUNCTION_NOT_FOUND", f"Function '{found[1]}' not registered")
    if kind == "Conversion Error":
        return QueryError("INVALID_CAST_ARGUMENT", text)
    if kind == "Out of Range Error":
        return QueryError("NUMERIC_VALUE_OUT_OF_RANGE", text)
    if kind in ("Binder Error", "Catalog Error", "Parser Error"):
        return QueryError("SYNTAX_ERROR", text)
    if kind == "Out of Memory Error":
        return QueryError("EXCEEDED_LOCAL_MEMORY_LIMIT", "Query exhausted resources at this scale factor")
    return QueryError("GENERIC_INTERNAL_ERROR", text)
