"""Runs one query: resolves its tables, counts the bytes that it needs, executes it in a DuckDB that sees nothing else.

A query reads only what its caller may read. Its connection lives as long as the query, and can open only the data files
of the query's tables: no other file, no network.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from deployer.local.athena.errors import Cancelled, QueryError, from_duckdb
from deployer.local.athena.sql import TableRead, bind, parse, translate
from deployer.local.athena.tables import Footer, Footers, Table, columns_of, read_tables, view_sql
from deployer.local.athena.types import Column, literal, quoted, result_column

MEMORY_LIMIT = "2GB"


@dataclass(frozen=True)
class Result:
    """The rows of a finished query, as Python values."""

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]


class Query:
    """A query while it runs; any thread may call `cancel`."""

    def __init__(
        self, sql: str, database: str, parameters: Sequence[str], cutoff_bytes: int | None, principal: Any
    ) -> None:
        self._sql, self._database, self._principal = sql, database, principal
        self._parameters, self._cutoff_bytes = parameters, cutoff_bytes
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._cancelled = threading.Event()
        self.bytes_scanned = 0

    def cancel(self) -> None:
        """Interrupt DuckDB; `run` then raises `Cancelled`."""
        self._cancelled.set()
        if self._connection is not None:
            self._connection.interrupt()

    def run(self, footers: Footers, temporary: Path) -> Result:
        """Run the query. Raise `QueryError` or `Cancelled`; `bytes_scanned` is set before the first row is read."""
        tree = bind(parse(self._sql), self._parameters)
        translation = translate(tree, self._database, columns_of)
        tables = read_tables(sorted(translation.tables), self._principal)
        with duckdb.connect(":memory:") as connection:
            self._connection = connection
            connection.execute(f"set memory_limit = '{MEMORY_LIMIT}'; set TimeZone = 'UTC'")
            connection.execute(f"set temp_directory = {literal(str(temporary))}")
            try:
                found = {key: footers.read(connection, parquet_files(table)) for key, table in tables.items()}
                self.bytes_scanned = bytes_needed(connection, translation.reads, tables, found)
                if self._cutoff_bytes is not None and self.bytes_scanned > self._cutoff_bytes:
                    raise Cancelled("Bytes scanned limit was exceeded")
                create_views(connection, tables, found)
                lock_down(connection, [file for table in tables.values() for file in table.files])
                if self._cancelled.is_set():
                    raise Cancelled("Query was cancelled by user")
                cursor = connection.execute(translation.sql)
                rows = cursor.fetchall()
                described = cursor.description or []
            except duckdb.InterruptException as error:
                raise Cancelled("Query was cancelled by user") from error
            except duckdb.Error as error:
                raise from_duckdb(str(error)) from error
            finally:
                self._connection = None
        return Result(tuple(result_column(name, kind) for name, kind, *_ in described), rows)


def parquet_files(table: Table) -> Sequence[str]:
    return table.files if table.format == "parquet" else ()


def bytes_needed(
    connection: duckdb.DuckDBPyConnection,
    reads: Sequence[TableRead],
    tables: Mapping[tuple[str, str], Table],
    footers: Mapping[tuple[str, str], Mapping[str, Footer]],
) -> int:
    """Return the compressed bytes of the column chunks that the query needs, in the partitions that it needs."""
    total = 0
    for read in reads:
        table = tables[read.database, read.table]
        for position in needed_partitions(connection, table, read.conditions):
            for file in table.partitions[position].files:
                footer = footers[read.database, read.table].get(file)
                if footer is None:
                    total += os.stat(file).st_size
                else:
                    total += sum(footer.bytes_of.get(column, 0) for column in read.columns if column in table.columns)
    return total


def needed_partitions(connection: duckdb.DuckDBPyConnection, table: Table, conditions: Sequence[str]) -> Sequence[int]:
    """Return which partitions may have rows that satisfy the conditions; conditions on other columns prune nothing."""
    everything = range(len(table.partitions))
    if not conditions or not table.partition_keys or not table.partitions:
        return everything
    names = ", ".join(["position", *(quoted(name) for name in table.partition_keys)])
    rows = ", ".join(
        f"({position}, {', '.join(literal(value) for value in partition.values)})"
        for position, partition in enumerate(table.partitions)
    )
    kept = set(everything)
    for condition in conditions:
        statement = f"select position from (values {rows}) as partitions({names}) where {condition}"
        try:
            kept &= {position for (position,) in connection.execute(statement).fetchall()}
        except duckdb.Error:
            continue  # a condition on other columns
    return sorted(kept)


def create_views(
    connection: duckdb.DuckDBPyConnection,
    tables: Mapping[tuple[str, str], Table],
    footers: Mapping[tuple[str, str], Mapping[str, Footer]],
) -> None:
    """Create one view per table, under the catalog's names."""
    for (database, name), table in tables.items():
        connection.execute(f"create schema if not exists {quoted(database)}")
        connection.execute(
            f"create view {quoted(database)}.{quoted(name)} as {view_sql(table, footers[database, name])}"
        )


def lock_down(connection: duckdb.DuckDBPyConnection, files: Sequence[str]) -> None:
    """Restrict the connection to these files for good; no statement can lift the restriction."""
    connection.execute(f"set allowed_paths = [{', '.join(literal(file) for file in files)}]")
    connection.execute("set enable_external_access = false; set lock_configuration = true")


def check(sql: str) -> None:
    """Raise `MalformedQuery` for what StartQueryExecution refuses, so that the caller hears of it at once."""
    parse(sql)


__all__ = ["Query", "QueryError", "Result", "check"]
