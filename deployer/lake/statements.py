"""Statements from the command line: the deployed lake as refunds_statements reads it, its errors as ours, and how they are shown.

What a statement is, and when one may be issued, is the business of refunds_statements.
"""

from __future__ import annotations

import datetime as dt
import getpass
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from refunds_checks.athena import Workgroup
from refunds_checks.registry import Check
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_statements.changes import NoStatement, statement_of
from refunds_statements.issuing import AlreadyIssued, ChecksFail, NotIssued, Request, issue
from refunds_statements.lines import Line, by_customer, by_month_and_customer
from refunds_statements.register import adjustment_lines, own_lines, read_statements
from refunds_statements.snapshot import NothingLoaded, Source, Unsettled
from refunds_statements.statement import CheckFound, Statement, StatementDamaged

from deployer.errors import DataopsError, Refused
from deployer.lake.deployed_lake import Lake
from deployer.lake.published_tables import as_dataops_errors
from deployer.lake.report_formats import render_table
from deployer.lake.run_manifests import base_store
from deployer.ledger.identity import utc_now
from deployer.printable import printable
from deployer.refunds import RefundRow, money

TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class StatementLine:
    """A statement as a list shows it. `location` is where its documents lie."""

    month: str
    number: int
    issued_at: dt.datetime
    issued_by: str
    run: str
    release: str
    customers: int
    total_refund: Decimal
    adjustments_total: Decimal
    override: str
    location: str


@dataclass(frozen=True)
class AdjustedCustomer:
    """What a statement, or the next one, makes good for a customer in an earlier month."""

    month: str
    customer_id: str
    amount: Decimal


@dataclass(frozen=True)
class WholeStatement:
    """A statement with what it says of each customer, and what the checks said when it was issued."""

    line: StatementLine
    checks: tuple[CheckFound, ...]
    refunds: tuple[RefundRow, ...]
    adjustments: tuple[AdjustedCustomer, ...]


def source_of(lake: Lake) -> Source:
    """Return the live tables as statements read them; the queries of one command end within TIMEOUT_SECONDS."""
    until = time.monotonic() + TIMEOUT_SECONDS
    return Source(
        store=base_store(lake),
        base_prefix=lake.live.prefix,
        months=GlueCatalog(lake.glue, lake.live.database).months,
        query=Workgroup(lake.athena, lake.workgroup, lake.live.database, until).query,
    )


@contextmanager
def as_our_errors(environment: str) -> Iterator[None]:
    """Raise what refunds_statements raises as errors of the command line."""
    try:
        with as_dataops_errors(environment):
            yield
    except AlreadyIssued as error:
        hint = f"dataops statement changes --env {environment} --month {error.statement.month}"
        raise Refused(str(error), hint=hint) from error
    except ChecksFail as error:
        hint = f"dataops check --env {environment} --blocking; --override REASON issues it all the same"
        raise Refused(str(error), hint=hint) from error
    except NotIssued as error:
        raise Refused(str(error), hint=f"dataops statement list --env {environment}") from error
    except NoStatement as error:
        raise DataopsError(str(error), hint=f"dataops statement list --env {environment}") from error
    except NothingLoaded as error:
        raise DataopsError(str(error), hint=f"dataops run --env {environment}") from error
    except Unsettled as error:
        hint = f"once no run is at work: dataops data rebuild-catalog --env {environment}"
        raise DataopsError(str(error), hint=hint) from error
    except StatementDamaged as error:
        raise DataopsError(str(error), hint="bring its former version back from the versioned bucket") from error


def issue_statement(
    lake: Lake, month: str | None, release: str, checks: Sequence[Check], override: str
) -> WholeStatement:
    """Issue a statement. Raises Refused and DataopsError."""
    with as_our_errors(lake.environment):
        request = Request(month, release, getpass.getuser(), override)
        return _whole(lake, issue(source_of(lake), request, checks, clock=utc_now))


def list_statements(lake: Lake) -> tuple[StatementLine, ...]:
    """Return all statements, newest first."""
    with as_our_errors(lake.environment):
        return tuple(_line(lake, each) for each in reversed(read_statements(base_store(lake))))


def find_statement(lake: Lake, month: str | None) -> WholeStatement:
    """Return the statement of a month, or the last one. Raises DataopsError when there is none."""
    with as_our_errors(lake.environment):
        return _whole(lake, statement_of(read_statements(base_store(lake)), month))


def _whole(lake: Lake, statement: Statement) -> WholeStatement:
    store = base_store(lake)
    return WholeStatement(
        _line(lake, statement),
        statement.checks,
        refund_rows(by_customer(own_lines(store, statement))),
        adjusted_customers(adjustment_lines(store, statement)),
    )


def _line(lake: Lake, statement: Statement) -> StatementLine:
    key = min(each.key for each in statement.documents.values())
    return StatementLine(
        statement.month,
        statement.number,
        statement.issued_at,
        statement.issued_by,
        statement.run,
        statement.release,
        statement.customers,
        statement.total_refund,
        statement.adjustments_total,
        statement.override,
        base_store(lake).uri(key.rpartition("/")[0] + "/"),
    )


def refund_rows(totals: Mapping[str, Decimal]) -> tuple[RefundRow, ...]:
    """Return totals by customer as rows of a report."""
    return tuple(RefundRow(customer, amount) for customer, amount in totals.items())


def adjusted_customers(lines: Iterable[Line]) -> tuple[AdjustedCustomer, ...]:
    """Return lines by month and customer."""
    return tuple(AdjustedCustomer(*place, amount) for place, amount in by_month_and_customer(lines).items())


def statement_text(whole: WholeStatement) -> str:
    """Show a statement: where it comes from, the refunds as a table, the adjustments below it."""
    line = whole.line
    head = [
        f"statement of {line.month}, issued {line.issued_at:%Y-%m-%d %H:%M} UTC by {printable(line.issued_by)}",
        f"run {line.run}, release {line.release[:12]}",
        line.location,
    ]
    overridden = [f"issued although checks failed: {printable(line.override)}"] if line.override else []
    return "\n".join([*head, *overridden, "", render_table(whole.refunds).rstrip(), *adjustment_lines_text(whole)])


def adjustment_lines_text(whole: WholeStatement) -> list[str]:
    """Show what a statement adjusts."""
    if not whole.adjustments:
        return ["", "no adjustments of earlier months"]
    rows = [f"  {each.month}  {printable(each.customer_id)}  {signed(each.amount)}" for each in whole.adjustments]
    return ["", f"adjustments of earlier months: {signed(whole.line.adjustments_total)}", *rows]


def summary_line(line: StatementLine) -> str:
    """Say a statement in one line."""
    customers = "1 customer" if line.customers == 1 else f"{line.customers:,} customers"
    figures = f"{customers}, {money(line.total_refund)} in total, adjustments {signed(line.adjustments_total)}"
    mark = "  (checks overridden)" if line.override else ""
    return f"{line.month}  {line.issued_at:%Y-%m-%d %H:%M} UTC  {figures}{mark}"


def signed(amount: Decimal) -> str:
    """Write an amount with its sign."""
    return f"{amount:+.2f}"
