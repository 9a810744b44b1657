"""Translates Athena's SQL to DuckDB's: parses it, checks it against the catalog, and finds what it reads.

Pure: the catalog comes in as a lookup function. Other modules find a table's files and run the query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import OptimizeError, ParseError, TokenError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from deployer.local.athena.errors import MalformedQuery, QueryError

#: Database and table -> column -> type; the partition columns come last.
Columns = Mapping[str, str]
Lookup = Callable[[str, str], Columns | None]
Node = exp.Expr
#: Comparisons that are never true for null, so that they also prune the optional side of an outer join.
NULL_REJECTING = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.In, exp.Between, exp.Like)
TEXT, NUMBER, MOMENT = exp.DataType.TEXT_TYPES, exp.DataType.NUMERIC_TYPES, exp.DataType.TEMPORAL_TYPES
WHOLE = exp.DataType.INTEGER_TYPES


@dataclass(frozen=True)
class TableRead:
    """One reference to a table: the columns it needs, and the conditions (DuckDB SQL) on it alone; all must hold."""

    database: str
    table: str
    columns: frozenset[str]
    conditions: tuple[str, ...]


@dataclass(frozen=True)
class Translation:
    """A query ready for DuckDB."""

    sql: str
    tables: frozenset[tuple[str, str]]
    reads: tuple[TableRead, ...]


def parse(query: str) -> Node:
    """Parse the statement; raise `MalformedQuery` if it is not SQL."""
    try:
        statements = [statement for statement in sqlglot.parse(query, read="athena") if statement is not None]
    except (ParseError, TokenError) as error:
        raise MalformedQuery(_syntax_message(error)) from error
    if len(statements) != 1:
        raise MalformedQuery("Only one sql statement is allowed. Got: " + query[:200])
    return statements[0]


def _syntax_message(error: ParseError | TokenError) -> str:
    details = error.errors[0] if isinstance(error, ParseError) and error.errors else {}
    highlight = str(details.get("highlight") or "<EOF>")
    line, column = int(details.get("line") or 1), int(details.get("col") or 1)
    return f"line {line}:{max(1, column - len(highlight) + 1)}: mismatched input '{highlight}'"


def bind(tree: Node, parameters: Sequence[str]) -> Node:
    """Replace the question marks by the execution parameters, which are SQL expressions: strings are quoted."""
    marks = list(tree.find_all(exp.Placeholder, bfs=False))
    if len(marks) != len(parameters):
        raise QueryError(
            "INVALID_PARAMETER_USAGE",
            f"Incorrect number of parameters: expected {len(marks)} but found {len(parameters)}",
        )
    for mark, text in zip(marks, parameters, strict=True):
        selection = parse(f"select {text}")
        assert isinstance(selection, exp.Select)
        mark.replace(selection.selects[0])
    return tree


def translate(tree: Node, default_database: str, lookup: Lookup) -> Translation:
    """Check the query as Trino would and turn it into DuckDB's SQL; raise `QueryError`."""
    if not isinstance(tree, exp.Query):
        raise QueryError("NOT_SUPPORTED", f"the local cloud does not run {tree.key.upper()} statements")
    name_columns(tree)
    schema = _schema(tree, default_database, lookup)
    tables = frozenset((database, table) for database, names in schema.items() for table in names)
    try:
        qualified = qualify(
            tree, schema=schema, db=default_database, dialect="athena", identify=True, expand_alias_refs=False
        )
        typed = annotate_types(qualified, schema=schema, dialect="athena")
    except OptimizeError as error:
        raise _resolution_error(str(error)) from error
    _check_comparisons(typed)
    reads = _reads(typed)
    _exact_arithmetic(typed)
    for table in typed.find_all(exp.Table):
        table.set("catalog", None)
    return Translation(typed.sql("duckdb"), tables, reads)


def name_columns(tree: exp.Query) -> None:
    """Name unnamed columns of the result ``_col0``, ``_col1`` by position, as Athena does."""
    outermost = tree
    while isinstance(outermost, exp.SetOperation):
        outermost = outermost.left
    if isinstance(outermost, exp.Select):
        for position, column in enumerate(outermost.selects):
            if not isinstance(column, exp.Alias | exp.Column | exp.Star):
                outermost.selects[position].replace(exp.alias_(column.copy(), f"_col{position}"))


def _schema(tree: Node, default_database: str, lookup: Lookup) -> dict[str, Any]:
    """Return the catalog's columns of every table in the query; raise for tables that do not exist."""
    schema: dict[str, Any] = {}
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if not isinstance(source, exp.Table):
                continue
            if not isinstance(source.this, exp.Identifier):
                raise QueryError("FUNCTION_NOT_FOUND", f"Table function '{source.this.name}' not registered")
            database, table = (source.db or default_database).lower(), source.name.lower()
            catalog = source.catalog.lower() or "awsdatacatalog"
            columns = lookup(database, table) if catalog == "awsdatacatalog" else None
            if columns is None:
                name = f"{catalog}.{database}.{table}"
                raise QueryError("TABLE_NOT_FOUND", f"Table '{name}' does not exist", _position(source))
            schema.setdefault(database, {})[table] = dict(columns)
            source.set("db", exp.to_identifier(database))
            source.set("catalog", None)
    return schema


def _reads(typed: Node) -> tuple[TableRead, ...]:
    """Return what each table reference needs, after the filters and projections have moved to the tables."""
    pushed = pushdown_predicates(pushdown_projections(typed.copy()), dialect="athena")
    found: dict[int, TableRead] = {}
    for scope in traverse_scope(pushed):
        for alias, source in scope.sources.items():
            if isinstance(source, exp.Table) and id(source) not in found:
                columns = frozenset(column.name for column in scope.columns if column.table == alias)
                conditions = [
                    condition.transform(_unqualified).sql("duckdb")
                    for condition in _conditions(scope.expression, alias)
                    if condition.find(exp.Column)
                    and all(column.table == alias for column in condition.find_all(exp.Column))
                    and not condition.find(exp.Query)
                ]
                found[id(source)] = TableRead(source.db, source.name, columns, tuple(conditions))
    return tuple(found.values())


def _conditions(select: Node, alias: str) -> list[Node]:
    """Return the conditions that every relevant row of `alias` must satisfy."""
    optional = _is_optional(select, alias)
    where = select.args.get("where")
    found = (
        [part for part in _conjuncts(where.this) if not optional or isinstance(part, NULL_REJECTING)] if where else []
    )
    for join in select.args.get("joins") or []:
        on = join.args.get("on")
        if on is not None and (join.alias_or_name == alias or not join.side) and join.side in ("", "LEFT"):
            found += _conjuncts(on)
    return found


def _is_optional(select: Node, alias: str) -> bool:
    """Return whether rows of this table may be missing from the join's result (null-extended)."""
    joins = select.args.get("joins") or []
    first = select.args.get("from_") or select.args.get("from")
    if first is not None and first.alias_or_name == alias:
        return any(join.side in ("RIGHT", "FULL") for join in joins)
    return any(join.side == "FULL" or (join.side == "LEFT" and join.alias_or_name == alias) for join in joins)


def _conjuncts(condition: Node) -> list[Node]:
    return list(condition.flatten()) if isinstance(condition, exp.And) else [condition]


def _unqualified(node: Node) -> Node:
    return exp.column(node.name, quoted=True) if isinstance(node, exp.Column) else node


def _check_comparisons(typed: Node) -> None:
    """Refuse comparisons of text with numbers or dates, as Trino does; DuckDB would allow them."""
    for node in typed.find_all(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE):
        left, right = node.left.type, node.right.type
        if left is None or right is None:
            continue
        for one, other in ((left.this, right.this), (right.this, left.this)):
            if one in TEXT and (other in NUMBER or other in MOMENT):
                operator = {"EQ": "=", "NEQ": "<>", "GT": ">", "GTE": ">=", "LT": "<", "LTE": "<="}[type(node).__name__]
                message = f"Cannot apply operator: {_trino(left)} {operator} {_trino(right)}"
                raise QueryError("TYPE_MISMATCH", message, _position(node))


def _trino(kind: exp.DataType) -> str:
    return {"int": "integer", "text": "varchar"}.get(name := kind.sql("trino").lower(), name)


def _exact_arithmetic(typed: Node) -> None:
    """Divide integers to integers, and average and divide decimals to decimals; DuckDB would make doubles of them."""
    for node in list(typed.find_all(exp.Avg, exp.Div)):
        operands = [node.left, node.right] if isinstance(node, exp.Binary) else [node.this]
        if isinstance(node, exp.Div) and all(operand.type and operand.type.this in WHOLE for operand in operands):
            node.replace(exp.IntDiv(this=node.left.copy(), expression=node.right.copy()))
            continue
        sizes = [_decimal_size(operand.type) for operand in operands]
        if not any(_is_decimal(operand.type) for operand in operands) or None in sizes:
            continue
        precision, scale = sizes[0] or (38, 0)
        if isinstance(node, exp.Div):
            _, divisor_scale = sizes[1] or (38, 0)
            precision = min(38, precision + divisor_scale + max(divisor_scale - scale, 0))
            scale = max(scale, divisor_scale)
        kind = exp.DataType.build(f"decimal({precision}, {scale})")
        whole = node.parent if isinstance(node.parent, exp.Window) else node
        whole.replace(exp.cast(exp.paren(whole.copy()), kind))


def _is_decimal(kind: exp.DataType | None) -> bool:
    return kind is not None and kind.this == exp.DataType.Type.DECIMAL


def _decimal_size(kind: exp.DataType | None) -> tuple[int, int] | None:
    """Return precision and scale of a number in decimal arithmetic; None if it is not an exact number."""
    if kind is None:
        return None
    if _is_decimal(kind):
        sizes = [int(part.name) for part in kind.expressions]
        return (sizes[0], sizes[1] if len(sizes) > 1 else 0) if sizes else (38, 0)
    whole = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
    return (whole[kind.this.name], 0) if kind.this.name in whole else None


def _position(node: Node) -> tuple[int, int] | None:
    """Return where the first word of `node` begins in the query's text."""
    starts = [
        (int(part.meta["line"]), int(part.meta["col"]) - (int(part.meta["end"]) - int(part.meta["start"])))
        for part in node.find_all(exp.Identifier)
        if "line" in part.meta
    ]
    return min(starts) if starts else None


def _resolution_error(message: str) -> QueryError:
    """Return sqlglot's complaint about a name, in Athena's words."""
    where = re.search(r"Line: (\d+), Col: (\d+)", message)
    if found := re.search(r"Column '\"?([^'\"]+)\"?' could not be resolved", message):
        name = found[1]
        position = (int(where[1]), int(where[2]) - len(name.rpartition(".")[2]) + 1) if where else None
        text = f"Column '{name}' cannot be resolved or requester is not authorized to access requested resources"
        return QueryError("COLUMN_NOT_FOUND", text, position)
    if "mbiguous" in message:
        return QueryError("AMBIGUOUS_NAME", message.partition(" Line:")[0])
    return QueryError("SYNTAX_ERROR", message.partition(" Line:")[0], (int(where[1]), int(where[2])) if where else None)
