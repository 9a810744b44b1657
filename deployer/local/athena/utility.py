"""Statements other than queries: SHOW ..., and CREATE EXTERNAL TABLE and DROP TABLE, which the emulator supports.

Everything else that Athena can do (CTAS, INSERT, UNLOAD, views, ...) fails by name instead of seeming to work.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from deployer.local.athena.errors import MalformedQuery, QueryError
from deployer.local.athena.results import Row
from deployer.local.athena.types import Column
from deployer.local.emulator.private_parts import load

NAME = r"[`\"]?(?:(?P<database>\w+)[`\"]?\.[`\"]?)?(?P<table>\w+)[`\"]?"


#: The words with which a statement other than a query may begin.
FIRST_WORDS = frozenset(
    (
        "alter",
        "analyze",
        "deallocate",
        "desc",
        "describe",
        "execute",
        "explain",
        "msck",
        "optimize",
        "prepare",
        "show",
        "table",
        "unload",
        "vacuum",
        "values",
    )
)


def check(sql: str) -> None:
    """Raise `MalformedQuery` for a text that does not begin like a statement."""
    first = (sql.split() or ["<EOF>"])[0]
    if first.lower() not in FIRST_WORDS:
        raise MalformedQuery(
            f"line 1:1: mismatched input '{first}'. Expecting: 'ALTER', 'CREATE', 'SELECT', 'WITH', ..."
        )


def run(athena: Any, sql: str, database: str) -> tuple[list[Column], list[Row]]:
    """Return columns and rows of the statement; raise `QueryError` for what the local cloud does not support."""
    statement = " ".join(sql.rstrip("; \n").split())
    for pattern, answer in STATEMENTS.items():
        if found := re.fullmatch(pattern, statement, re.IGNORECASE):
            header, values = answer(found.groupdict(), database)
            return [Column(header, "string", 0, 0)], [(value,) for value in values]
    ddl = athena._parse_ddl(sql)
    if ddl is None:
        first = statement.split(" ", 1)[0].upper()
        raise QueryError("NOT_SUPPORTED", f"the local cloud does not run {first} statements")
    try:
        athena._run_ddl(ddl, database)
    except ValueError as error:
        raise QueryError("GENERIC_USER_ERROR", str(error)) from error
    return [], []


Answer = Callable[[dict[str, Any], str], tuple[str, list[str]]]


def _databases(_: dict[str, Any], __: str) -> tuple[str, list[str]]:
    return "database_name", sorted(load("services.glue")._databases.keys())


def _tables(names: dict[str, Any], database: str) -> tuple[str, list[str]]:
    prefix = f"{(names.get('database') or database).lower()}/"
    return "tab_name", sorted(
        key.removeprefix(prefix) for key in load("services.glue")._tables if key.startswith(prefix)
    )


def _table(names: dict[str, Any], database: str) -> tuple[str, Any]:
    key = f"{(names.get('database') or database).lower()}/{names['table'].lower()}"
    record = load("services.glue")._tables.get(key)
    if record is None:
        raise QueryError("TABLE_NOT_FOUND", f"Table 'awsdatacatalog.{key.replace('/', '.')}' does not exist")
    return key, record


def _partitions(names: dict[str, Any], database: str) -> tuple[str, list[str]]:
    key, record = _table(names, database)
    columns = [column["Name"] for column in record.get("PartitionKeys") or []]
    found = load("services.glue")._partitions.get(key, [])
    return "partition", sorted(
        "/".join(f"{name}={value}" for name, value in zip(columns, part["Values"], strict=True)) for part in found
    )


def _columns(names: dict[str, Any], database: str) -> tuple[str, list[str]]:
    _, record = _table(names, database)
    columns = [*record["StorageDescriptor"]["Columns"], *(record.get("PartitionKeys") or [])]
    return "field", [column["Name"] for column in columns]


STATEMENTS: dict[str, Answer] = {
    r"show (databases|schemas)": _databases,
    r"show tables(?: in [`\"]?(?P<database>\w+)[`\"]?)?": _tables,
    rf"show partitions {NAME}": _partitions,
    rf"show columns (?:in|from) {NAME}": _columns,
}
