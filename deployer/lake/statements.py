"""Statements from the command line: the deployed lake for refunds_statements, and its errors translated.

What a statement is, and when one may be issued, is the business of refunds_statements; how one is shown is statement_text.py's.
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal

from refunds_checks.athena import Workgroup
from refunds_checks.registry import Check
from refunds_checks.validation import CheckBroken
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_statements.changes import Changes, NoStatement, changes_since, statement_of
from refunds_statements.issuing import AlreadyIssued, ChecksFail, NotIssued, Request, issue
from refunds_statements.lines import by_customer, total
from refunds_statements.page import Adjustment
from refunds_statements.page_facts import UnknownReason, adjustments_of
from refunds_statements.reasons import reasons_of
from refunds_statements.register import adjustment_lines, own_lines, read_statements
from refunds_statements.snapshot import NothingLoaded, Source, Unsettled
from refunds_statements.statement import CheckFound, Statement, StatementDamaged

from deployer.aws.calls import translated
from deployer.errors import DataopsError, Refused
from deployer.lake.deployed_lake import Lake
from deployer.lake.published_tables import as_dataops_errors
from deployer.lake.queries import QueryFailed
from deployer.lake.run_manifests import base_store
from deployer.ledger.identity import utc_now
from deployer.refunds import RefundRow

TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class StatementLine:
    """A statement as a list shows it."""

    month: str  #: YYYY-MM
    number: int  #: 1 for the first statement; each month has the next one
    issued_at: dt.datetime  #: when it was issued
    issued_by: str  #: who issued it: a person's user name, or `month end` for the schedule
    run: str  #: the run of the job that published its tables
    release: str  #: the release that was deployed
    customers: int  #: customers with a refund in the month
    total_refund: Decimal  #: of the month, as issued
    adjustments_total: Decimal  #: the change in earlier months since the previous statement
    override: str  #: why it was issued although checks failed; empty if none failed
    location: str  #: the prefix of its documents in the base bucket


@dataclass(frozen=True)
class WholeStatement(StatementLine):
    """A statement with what the checks said when it was issued, and what it says of each customer, in order."""

    checks: tuple[CheckFound, ...]  #: the blocking checks
    refunds: tuple[RefundRow, ...]  #: the report of the month, in customer order
    adjustments: tuple[Adjustment, ...]  #: in order of month and customer


@dataclass(frozen=True)
class CustomerChange:
    """By how much a customer's refunds changed."""

    customer_id: str  #: the customer
    amount: Decimal  #: by how much, with its sign


@dataclass(frozen=True)
class TransactionChange:
    """A refund that did it: by how much, and what the tables say of it now."""

    month: str  #: the month that changed
    customer_id: str  #: the customer
    refund_id: str  #: the refund
    amount: Decimal  #: by how much, with its sign
    #: what is true of it now: `counted`; `voided_purchase`, `voided_refund`, `same_month` or `orphan`, and so left
    #: out; `other_month` or `other_customer`, where it counts instead; `gone`
    reason: str
    voids: tuple[str, ...]  #: the voids that name it or its purchase


@dataclass(frozen=True)
class StatementChanges:
    """What changed since a statement was issued, in all months up to its own."""

    month: str  #: the month of the statement
    issued_at: dt.datetime  #: when it was issued
    issued_run: str  #: the run of the job that published its tables
    run: str  #: the run that is compared with it
    total: Decimal  #: by how much all months up to the statement's changed since
    carried_total: Decimal  #: what later statements carried of it as adjustments
    pending_total: Decimal  #: what the next statement will carry
    customers: tuple[CustomerChange, ...]  #: in order; a customer whose changes cancel out is left out
    transactions: tuple[TransactionChange, ...]  #: the refunds behind the changes, in order of month, customer and id


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
        hint = f"dataops check --env {environment} --blocking; --override REASON issues it anyway"
        raise Refused(str(error), hint=hint) from error
    except NotIssued as error:
        raise Refused(str(error), hint=f"dataops statement list --env {environment}") from error
    except NoStatement as error:
        raise DataopsError(str(error), hint=f"dataops statement list --env {environment}") from error
    except NothingLoaded as error:
        raise DataopsError(str(error), hint=f"dataops run --env {environment}") from error
    except Unsettled as error:
        hint = f"when no run is active: dataops data rebuild-catalog --env {environment}"
        raise DataopsError(str(error), hint=hint) from error
    except CheckBroken as error:
        raise QueryFailed(str(error), hint="try again; see the query in Athena's history") from error
    except UnknownReason as error:
        hint = f"deploy this version, or use the one that is deployed: dataops status --env {environment}"
        raise DataopsError(str(error), hint=hint) from error
    except StatementDamaged as error:
        raise DataopsError(str(error), hint="restore its previous version from the versioned bucket") from error


def issue_statement(
    lake: Lake, month: str | None, release: str, checks: Sequence[Check], override: str
) -> WholeStatement:
    """Issue a statement. Raise Refused and DataopsError."""
    with as_our_errors(lake.environment):
        request = Request(lake.environment, month, release, getpass.getuser(), override)
        return _whole(lake, issue(source_of(lake), request, checks, clock=utc_now))


@translated
def announce(lake: Lake, function: str) -> None:
    """Let the function of the month end announce what was issued; it announces each statement once."""
    event = json.dumps({"issue": False}).encode()
    lake.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload=event)


def list_statements(lake: Lake) -> tuple[StatementLine, ...]:
    """Return all statements, newest first."""
    with as_our_errors(lake.environment):
        return tuple(_line(lake, each) for each in reversed(read_statements(base_store(lake))))


def find_statement(lake: Lake, month: str | None) -> WholeStatement:
    """Return the statement of a month, or the last one. Raise DataopsError if there is none."""
    with as_our_errors(lake.environment):
        return _whole(lake, statement_of(read_statements(base_store(lake)), month))


def find_changes(lake: Lake, month: str | None) -> StatementChanges:
    """Return what changed since the statement of a month, or the last one. Raise DataopsError."""
    with as_our_errors(lake.environment):
        source = source_of(lake)
        changes = changes_since(source, month)
        transactions = [
            TransactionChange(*line, reason.says, reason.voids)
            for line, reason in zip(changes.lines, reasons_of(changes.lines, source.query), strict=True)
        ]
    return _changes(changes, tuple(transactions))


def _changes(changes: Changes, transactions: tuple[TransactionChange, ...]) -> StatementChanges:
    statement = changes.statement
    customers = by_customer(changes.lines)
    return StatementChanges(
        statement.month,
        statement.issued_at,
        statement.run,
        changes.run,
        total(changes.lines),
        total(changes.carried),
        total(changes.pending),
        tuple(CustomerChange(customer, amount) for customer, amount in customers.items() if amount),
        transactions,
    )


def _whole(lake: Lake, statement: Statement) -> WholeStatement:
    store = base_store(lake)
    refunds = by_customer(own_lines(store, statement))
    return WholeStatement(
        **vars(_line(lake, statement)),
        checks=statement.checks,
        refunds=tuple(RefundRow(customer, amount) for customer, amount in refunds.items()),
        adjustments=adjustments_of(adjustment_lines(store, statement)),
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
