"""The refund report: asks Athena for it and renders it as a table, CSV or JSON.

The rules are in athena/refunds.sql; which environment and where the text goes is the command's business.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from deployer.athena import QUERY_TIMEOUT_SECONDS, QueryFailed, QueryResult, deployed_sql, quoted, run_query
from deployer.deployed_lake import Lake, TableSet
from deployer.errors import UsageError
from deployer.refunds import RefundRow, money

ALL_TIME_QUERY = "refunds"
MONTHLY_QUERY = "monthly_refunds"
COLUMNS = ("customer_id", "total_refund")
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])", re.ASCII)


class NoRefundReport(QueryFailed):
    """The deployed SQL ran, and gives something else than a refund report."""


@dataclass(frozen=True)
class RefundReport:
    """The report of one month, or of all time when month is None; rows are in customer order."""

    month: str | None
    rows: tuple[RefundRow, ...]
    bytes_scanned: int = 0

    @property
    def total(self) -> Decimal:
        """What all customers got back."""
        return sum((row.total_refund for row in self.rows), Decimal("0.00"))

    @property
    def title(self) -> str:
        """Which refunds the report is about."""
        return f"refunds of {self.month}" if self.month else "refunds of all time"


def checked_month(text: str) -> str:
    """Return a month as it was given, or raise UsageError when it is none."""
    if MONTH.fullmatch(text) is None or text.startswith("0000"):
        raise UsageError(f"'{text}' is no month", hint="write a month as YYYY-MM, for example 2026-10")
    return text


def fetch_report(
    lake: Lake,
    tables: TableSet,
    month: str | None = None,
    *,
    timeout_seconds: float = QUERY_TIMEOUT_SECONDS,
) -> RefundReport:
    """Run the deployed report on a set of tables."""
    sql = deployed_sql(lake, MONTHLY_QUERY if month else ALL_TIME_QUERY)
    parameters = [quoted(month)] if month else []
    result = run_query(lake, sql, database=tables.database, parameters=parameters, timeout_seconds=timeout_seconds)
    return RefundReport(month, refund_rows(result), result.bytes_scanned)


def refund_rows(result: QueryResult) -> tuple[RefundRow, ...]:
    """Read the rows of a refund query; NoRefundReport when it does not have the report's shape."""
    if result.columns != COLUMNS:
        raise NoRefundReport(f"the report has the columns {', '.join(result.columns)} instead of {', '.join(COLUMNS)}")
    rows = []
    for customer_id, total in result.rows:
        if customer_id is None or total is None:
            raise NoRefundReport(f"the report has a row without a customer or a total: {customer_id}, {total}")
        rows.append(RefundRow(customer_id, Decimal(total)))
    return tuple(rows)


def render(report: RefundReport, form: str) -> str:
    """Render a report as table, csv or json; the text ends with a line break."""
    return RENDERERS[form](report.rows)


def render_table(rows: Sequence[RefundRow]) -> str:
    """Align customers left and amounts right, with a total line."""
    total = money(sum((row.total_refund for row in rows), Decimal("0.00")))
    lines = [(row.customer_id, money(row.total_refund)) for row in rows]
    left = max(len(text) for text in [COLUMNS[0], "total", *(customer for customer, _ in lines)])
    right = max(len(text) for text in [COLUMNS[1], total, *(amount for _, amount in lines)])
    rule = ("-" * left, "-" * right)
    table = [COLUMNS, rule, *lines, rule, ("total", total)]
    return "".join(f"{name:<{left}}  {amount:>{right}}\n" for name, amount in table)


def render_csv(rows: Sequence[RefundRow]) -> str:
    """Write CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((row.customer_id, money(row.total_refund)) for row in rows)
    return text.getvalue()


def render_json(rows: Sequence[RefundRow]) -> str:
    """Write a JSON list, one customer a line."""
    if not rows:
        return "[]\n"
    lines = (json.dumps(row.document(), ensure_ascii=False) for row in rows)
    return "[\n" + ",\n".join(lines) + "\n]\n"


RENDERERS = {"table": render_table, "csv": render_csv, "json": render_json}


def summary(report: RefundReport) -> str:
    """Say in one line what was reported and what it cost to read."""
    customers = "1 customer" if len(report.rows) == 1 else f"{len(report.rows):,} customers"
    scanned = f"{report.bytes_scanned:,} bytes scanned"
    return f"{report.title}: {customers}, {money(report.total)} in total; {scanned}"
