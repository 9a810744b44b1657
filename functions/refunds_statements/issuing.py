"""Issues the statement of a month: in order, once, checked, and from the tables of one run.

The caller decides who may override a check, and who is notified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from refunds_checks.facts import read_facts
from refunds_checks.registry import Check, blocking
from refunds_checks.validation import Report, validate

from refunds_statements.calendar import current_month, next_month, previous_month
from refunds_statements.documents import PAGE, render_documents
from refunds_statements.lines import by_customer, difference, total
from refunds_statements.page_facts import read_groups, statement_page
from refunds_statements.page_html import render_page
from refunds_statements.register import IssuedMeanwhile, issued_lines, read_statements, write
from refunds_statements.snapshot import (
    PAUSE_SECONDS,
    Snapshot,
    Source,
    changed_months,
    read_lines,
    require_unchanged,
    settled,
    take_snapshot,
)
from refunds_statements.statement import CheckFound, Statement

Clock = Callable[[], datetime]


class NotIssued(Exception):
    """A statement was refused; the message says why."""


class AlreadyIssued(NotIssued):
    """The month has its statement."""

    def __init__(self, statement: Statement) -> None:
        issued = f"{statement.issued_at:%Y-%m-%d %H:%M} UTC by {statement.issued_by}"
        super().__init__(f"the statement of {statement.month} was issued on {issued}")
        self.statement = statement


class NotDue(NotIssued):
    """The month is not over, or another one comes first."""


class ChecksFail(NotIssued):
    """Blocking checks have rows, or could not be run."""

    def __init__(self, report: Report) -> None:
        found = ", ".join(f"{each.check.name} ({_finding(each.rows, each.note)})" for each in report.failing)
        super().__init__(f"blocking checks fail: {found}")
        self.report = report


@dataclass(frozen=True)
class Request:
    """Whose statement of which month. `override` says why to issue despite failing checks; empty: do not."""

    environment: str
    month: str | None
    """None for the month before the current one."""
    release: str
    issued_by: str
    override: str = ""


def issue(
    source: Source, request: Request, checks: Sequence[Check], *, clock: Clock, pause_seconds: float = PAUSE_SECONDS
) -> Statement:
    """Issue a statement. Raise NotIssued, NothingLoaded, and Unsettled if a run publishes at each attempt."""
    return settled(lambda: _issue_once(source, request, checks, clock), pause_seconds=pause_seconds)


def _issue_once(source: Source, request: Request, checks: Sequence[Check], clock: Clock) -> Statement:
    statements, snapshot = read_statements(source.store), take_snapshot(source)
    current = current_month(clock(), snapshot.reporting_time_zone)
    month = request.month or previous_month(current)
    refuse_unless_due(month, statements, current)
    report = check_now(source, checks, clock)
    if report.failing and not request.override:
        raise ChecksFail(report)

    last = statements[-1] if statements else None
    earlier = changed_months(snapshot, last.locations if last else {}, previous_month(month))
    now = read_lines(source, snapshot, {month, *earlier})
    lines = sorted(line for line in now if line.month == month)
    adjustments = difference(
        (line for line in now if line.month != month), issued_lines(source.store, statements, earlier)
    )
    groups = read_groups(source.query)
    require_unchanged(source, snapshot)
    statement = Statement(
        number=len(statements) + 1,
        month=month,
        run=snapshot.run,
        release=request.release,
        issued_at=clock(),
        issued_by=request.issued_by,
        customers=len(by_customer(lines)),
        total_refund=total(lines),
        adjustments_total=total(adjustments),
        checks=tuple(CheckFound(each.check.name, each.verdict, each.rows, each.note) for each in report.results),
        override=request.override if report.failing else "",
        locations=_trusted_locations(snapshot, report),
        lines=dict(sorted(Counter(line.month for line in (*lines, *adjustments)).items())),
    )
    try:
        page = statement_page(statement, request.environment, snapshot.loaded_at, groups, lines, adjustments)
        documents = {**render_documents(statement, lines, adjustments), PAGE: render_page(page).encode()}
        return write(source.store, statement, documents)
    except IssuedMeanwhile as error:
        raise NotDue(f"another statement was issued in the meantime ({error})") from error


def due_month(source: Source, now: datetime) -> str | None:
    """Return the month to be issued next, if it is over: the first statement is that of the month before this one.

    Raise NothingLoaded and Unsettled.
    """
    statements = read_statements(source.store)
    current = current_month(now, take_snapshot(source).reporting_time_zone)
    due = next_month(statements[-1].month) if statements else previous_month(current)
    return due if due < current else None


def refuse_unless_due(month: str, statements: Sequence[Statement], current: str) -> None:
    """Raise AlreadyIssued or NotDue unless the month is over and follows the last one issued; any may be the first."""
    if issued := next((each for each in statements if each.month == month), None):
        raise AlreadyIssued(issued)
    if month >= current:
        raise NotDue(f"{month} is not over: the current month is {current}")
    if statements and month < statements[0].month:
        raise NotDue(
            f"the first statement is that of {statements[0].month}, which carries earlier months as adjustments"
        )
    if statements and month != (due := next_month(statements[-1].month)):
        raise NotDue(f"months are issued in order, the next one is {due}")


def check_now(source: Source, checks: Sequence[Check], clock: Clock) -> Report:
    """Run the blocking checks over all months."""
    facts = read_facts(source.store, source.base_prefix, clock().date(), all_months=True)
    return validate(blocking(checks), facts, {}, source.query, clock=clock)


def _trusted_locations(snapshot: Snapshot, report: Report) -> dict[str, str]:
    """Return the locations of checked files; none after an override, so that the next statement reads every month."""
    return {} if report.failing else dict(snapshot.locations)


def _finding(rows: int, note: str) -> str:
    return note or f"{rows:,} row{'' if rows == 1 else 's'}"
