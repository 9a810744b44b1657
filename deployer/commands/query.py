"""dataops query: run SQL on the live tables, in the reports' workgroup."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from decimal import Decimal

import click

from deployer.composition.environment import lake_of
from deployer.costs.prices import dollars, query_cost
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.lake.deployed_lake import Lake
from deployer.lake.queries import QUERY_TIMEOUT_SECONDS, QueryFailed, QueryResult, run_query
from deployer.lake.query_errors import marked
from deployer.lake.query_formats import RENDERERS, render_csv
from deployer.lake.read_only import checked_sql
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples
from deployer.terminal.output import write_result
from deployer.terminal.pager import show_paged

FREE_STATEMENTS = frozenset({"DDL", "UTILITY"})


@dataclass(frozen=True)
class QueryColumn:
    """A column of a query's result."""

    name: str  #: its name
    type: str  #: Athena's name of its type


@dataclass(frozen=True)
class QueryOutput:
    """The rows of a query. `--format json` prints them alone, as a list with one object a row."""

    env: str  #: the environment
    query_id: str  #: Athena's id of the query
    columns: tuple[QueryColumn, ...]  #: in order
    rows: tuple[tuple[str | None, ...], ...]  #: values as Athena writes them; null is null
    bytes_scanned: int  #: what Athena read
    cost_usd: str  #: what that costs, in US dollars, at the list prices of [costs](costs.md)


@click.command(
    epilog=examples(
        'dataops query --env local "select count(*) from purchase"',
        "dataops query --env prod --format csv \"select * from refund where month = '2026-10'\"",
        'dataops query --env prod --max-bytes 1000000000 "select distinct merchant_id from purchase"',
        "dataops query --env prod - < question.sql",
    )
)
@env_option
@click.argument("sql")
@click.option("--format", "form", type=click.Choice(list(RENDERERS)), help="Default: table, paged on a terminal.")
@click.option("--csv-safe", is_flag=True, help="With --format csv: formulas in values become text in spreadsheets.")
@click.option("--max-bytes", type=click.IntRange(min=0), metavar="N", help="Stop when more than N bytes were scanned.")
@click.pass_obj
def query(app: App, env_name: str, sql: str, form: str | None, csv_safe: bool, max_bytes: int | None) -> None:
    """Run SQL that reads the live tables, and print its rows, the bytes scanned and the cost.

    SQL is one statement in quotes, or - to read it from stdin. The workgroup's own limit of bytes applies as well.
    """
    if csv_safe and form != "csv":
        raise UsageError("--csv-safe is for CSV only", hint="--format csv --csv-safe")
    statement = checked_sql(sys.stdin.read() if sql == "-" else sql)
    lake = lake_of(app.connect(env_name))
    result = ask(app, lake, statement, max_bytes)
    cost = Decimal(0) if result.statement in FREE_STATEMENTS else query_cost(result.bytes_scanned)
    rows = "1 row" if len(result.rows) == 1 else f"{len(result.rows):,} rows"
    app.say(f"{rows}; {result.bytes_scanned:,} bytes scanned, {dollars(cost)}")
    if app.output == "json" and form is None:
        columns = tuple(map(QueryColumn, result.columns, result.types))
        output = QueryOutput(
            env_name, result.query_id, columns, tuple(result.rows), result.bytes_scanned, f"{cost:.10f}"
        )
        app.emit(as_document(output), "")
        return
    text = render_csv(result, is_safe=True) if csv_safe else RENDERERS[form or "table"](result)
    (show_paged if form is None else write_result)(text)


def ask(app: App, lake: Lake, sql: str, max_bytes: int | None) -> QueryResult:
    """Run a query; before its error is raised, show where in the SQL Athena found it."""
    try:
        return run_query(
            lake, sql, database=lake.live.database, timeout_seconds=QUERY_TIMEOUT_SECONDS, max_bytes=max_bytes
        )
    except QueryFailed as error:
        for line in marked(error.message, sql):
            app.say(line)
        raise
