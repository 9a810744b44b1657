"""The refund report: asks Athena for it and reads the answer.

The rules are in athena/refunds.sql, how a report is written is report_formats.py's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from deployer.errors import UsageError
from deployer.lake.deployed_lake import Lake, TableLocation
from deployer.lake.queries import QUERY_TIMEOUT_SECONDS, QueryFailed, QueryResult, deployed_sql, quoted, run_query
from deployer.refunds import RefundRow

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
    """Return a month as it was given, or raise UsageError if it is not a month."""
    if MONTH.fullmatch(text) is None or text.startswith("0000"):
        raise UsageError(f"'{text}' is not a month", hint="write a month as YYYY-MM, for example 2026-10")
    return text


def fetch_report(
    lake: Lake,
    tables: TableLocation,
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
