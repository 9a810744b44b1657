"""The Expression of GetPartitions: which partitions it selects.

The grammar is SQL's WHERE over partition columns (=, <>, <, >, in, between, like, and, or, not). DuckDB evaluates an
expression over the partitions' values, after a check that it contains nothing else; otherwise pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: The node types an expression may consist of (names of sqlglot classes).
ALLOWED = frozenset(
    (
        "And",
        "Or",
        "Not",
        "Paren",
        "EQ",
        "NEQ",
        "GT",
        "GTE",
        "LT",
        "LTE",
        "In",
        "Between",
        "Like",
        "Is",
        "Null",
        "Column",
        "Identifier",
        "Literal",
        "Neg",
        "Tuple",
        "Boolean",
    )
)


class FilterError(ValueError):
    """GetPartitions does not accept the expression."""


def matching(expression: str, names: Sequence[str], partitions: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Return those of `partitions` (with ``Values`` in the order of `names`) for which `expression` is true."""
    import duckdb
    import sqlglot

    try:
        tree = sqlglot.parse_one(expression, read="athena")
    except sqlglot.errors.ParseError as error:
        raise FilterError(f"Unsupported expression '{expression}'") from error
    for node in tree.walk():
        if type(node).__name__ not in ALLOWED:
            raise FilterError(f"Unsupported expression '{expression}'")
        if isinstance(node, sqlglot.exp.Column) and node.name.lower() not in names:
            raise FilterError(f"Unknown partition column '{node.name}' in '{expression}'")
    if not partitions:
        return []
    columns = ", ".join(f'"{name}"' for name in names)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set enable_external_access = false")
        rows = [[position, *partition["Values"]] for position, partition in enumerate(partitions)]
        declared = ", ".join(["position bigint", *(f'"{name}" varchar' for name in names)])
        connection.execute(f"create table partitions ({declared})")
        marks = ", ".join("?" for _ in range(len(names) + 1))
        connection.executemany(f"insert into partitions (position, {columns}) values ({marks})", rows)
        where = tree.sql("duckdb")
        try:
            chosen = connection.execute(f"select position from partitions where {where} order by position").fetchall()
        except duckdb.Error as error:
            raise FilterError(f"Unsupported expression '{expression}'") from error
    return [partitions[position] for (position,) in chosen]
