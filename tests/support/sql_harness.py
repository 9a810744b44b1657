"""Runs the SQL of athena/ on small tables in DuckDB, translated from Athena's dialect by sqlglot as the local cloud does.

The tests bring the cases and the answers.
"""

import atexit
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import sqlglot
from independent_answer import Transaction, answer, refunds
from repository import ROOT

REFUNDS = (ROOT / "athena" / "refunds.sql").read_text(encoding="utf-8")
MONTHLY_REFUNDS = (ROOT / "athena" / "monthly_refunds.sql").read_text(encoding="utf-8")
# The design's query that must run unchanged on the base tables.
REFERENCE = (
    "select p.customer_id, sum(r.amount) total_refund from refund r join purchase p on p.id = r.parent_id "
    "left join void v on v.parent_id = p.id where v.id is null "
    "and date_trunc('month', p.timestamp) != date_trunc('month', r.timestamp) group by p.customer_id"
)

__all__ = ["Transaction", "answer", "refunds"]

SCHEMA = """
create table purchase (id varchar, timestamp timestamp, customer_id varchar, merchant_id varchar,
    amount decimal(18, 2), month varchar, ingested_at timestamp, source_file varchar);
create table refund (id varchar, timestamp timestamp, parent_id varchar, amount decimal(18, 2), month varchar,
    ingested_at timestamp, source_file varchar);
create table void (id varchar, timestamp timestamp, parent_id varchar, amount decimal(18, 2), month varchar,
    ingested_at timestamp, source_file varchar);
create table refund_detail (refund_id varchar, customer_id varchar, merchant_id varchar, purchase_month varchar,
    amount decimal(18, 2), counted boolean, reason varchar, month varchar);
create table rejected (raw_text varchar, reasons varchar[], source_file varchar, line_number bigint, run_id varchar,
    ingested_at timestamp, month varchar);
"""

Rows = list[tuple[Any, ...]]


def check_sql(name: str) -> str:
    """Return the text of a check."""
    return (ROOT / "athena" / "checks" / f"{name}.sql").read_text(encoding="utf-8")


def day(text: str) -> datetime:
    """Return a moment in UTC from YYYY-MM-DD."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def purchase(identifier: str, when: str, customer: str, amount: str = "100.00") -> Transaction:
    """Build a purchase."""
    return Transaction("purchase", identifier, day(when), Decimal(amount), customer, "m1", "")


def refund(identifier: str, when: str, parent: str, amount: str = "10.00") -> Transaction:
    """Build a refund of a purchase."""
    return Transaction("refund", identifier, day(when), Decimal(amount), "", "", parent)


def void(identifier: str, parent: str, when: str = "2025-06-15") -> Transaction:
    """Build a void of a purchase or a refund."""
    return Transaction("void", identifier, day(when), Decimal("1.00"), "", "", parent)


def month_of(transaction: Transaction) -> str:
    """Return the partition of a transaction, for the reporting time zone UTC."""
    return transaction.timestamp.strftime("%Y-%m")


def detail_rows(transactions: Sequence[Transaction]) -> Rows:
    """Return the rows of refund_detail that belong to the transactions, by the rules in plain Python."""
    purchases = {each.id: each for each in transactions if each.type == "purchase"}
    voided = {each.parent_id for each in transactions if each.type == "void"}
    rows: Rows = []
    for each in transactions:
        if each.type != "refund":
            continue
        parent = purchases.get(each.parent_id)
        if parent is None:
            rows.append((each.id, None, None, None, each.amount, False, "orphan", month_of(each)))
            continue
        reasons = [
            reason
            for reason, applies in (
                ("voided_purchase", parent.id in voided),
                ("voided_refund", each.id in voided),
                ("same_month", month_of(parent) == month_of(each)),
            )
            if applies
        ]
        found = (each.id, parent.customer_id, parent.merchant_id, month_of(parent), each.amount)
        rows.append((*found, not reasons, reasons[0] if reasons else None, month_of(each)))
    return rows


@dataclass
class Lake:
    """The tables of one test; the next lake replaces them."""

    transactions: Sequence[Transaction] = ()

    def __post_init__(self) -> None:
        self.connection = database()
        for name in ("purchase", "refund", "void", "refund_detail", "rejected"):
            self.connection.execute(f"delete from {name}")
        for name in ("purchase", "refund", "void"):
            self.insert(name, [base_row(each) for each in self.transactions if each.type == name])
        self.insert("refund_detail", detail_rows(self.transactions))

    def insert(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Add rows to a table."""
        rows = list(rows)
        if rows:
            marks = ", ".join("?" for _ in rows[0])
            every = ", ".join(f"({marks})" for _ in rows)
            self.connection.execute(f"insert into {table} values {every}", [value for row in rows for value in row])

    def query(self, athena_sql: str, parameters: Sequence[str] = ()) -> Rows:
        """Run Athena SQL and return its rows."""
        return self.connection.execute(as_duckdb(athena_sql), list(parameters)).fetchall()


def base_row(each: Transaction) -> tuple[Any, ...]:
    """Return a transaction as a row of its base table; it arrived at noon of its day."""
    moment = each.timestamp.replace(tzinfo=None)
    arrival = (moment.replace(hour=12), "transactions/source=s3/a.jsonl")
    if each.type == "purchase":
        return (each.id, moment, each.customer_id, each.merchant_id, each.amount, month_of(each), *arrival)
    return (each.id, moment, each.parent_id, each.amount, month_of(each), *arrival)


@cache
def database() -> Any:
    """Open the one database: a new one for each of hundreds of generated examples would take most of the time."""
    import duckdb  # imported late: hypothesis keeps test modules alive, and duckdb then complains at length at exit

    connection = duckdb.connect(":memory:", config={"threads": 1})
    connection.execute(SCHEMA)
    atexit.register(database.cache_clear)
    return connection


@cache
def as_duckdb(athena_sql: str) -> str:
    """Translate one statement."""
    (statement,) = sqlglot.transpile(athena_sql, read="athena", write="duckdb")
    return statement
