"""Gathers the facts of the finance page besides the refunds: trend, what was left out, adjustments, and verdicts of checks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from refunds_checks.validation import Query, newest_report
from refunds_lake.storage.objects import ObjectStore

from refunds_statements.lines import ZERO, Line, by_customer, by_month_and_customer
from refunds_statements.page import REASONS, Adjustment, FinancePage, MonthTotal, Provenance, Quality, RefundGroup
from refunds_statements.statement import Statement

COUNTED: Final = "counted"
GROUPS_SQL: Final = """select
    refund_detail.month,
    coalesce(refund_detail.reason, 'counted') as reason,
    count(*) as refunds,
    sum(refund_detail.amount) as amount
from refund_detail
group by refund_detail.month, coalesce(refund_detail.reason, 'counted')"""


class UnknownReason(Exception):
    """The tables leave refunds out for a reason that has no line on the page; the message names it."""


@dataclass(frozen=True)
class MonthGroup:
    """The refunds of one month that are counted, or left out for one reason."""

    month: str
    group: RefundGroup


def read_groups(query: Query) -> list[MonthGroup]:
    """Query all groups at once, which scans three columns. Raise UnknownReason."""
    return month_groups(query(GROUPS_SQL).rows)


def month_groups(rows: Iterable[Sequence[Any]]) -> list[MonthGroup]:
    """Read the rows of GROUPS_SQL. Raise UnknownReason: without its refunds the groups would not add up to all."""
    groups = [
        MonthGroup(str(month), RefundGroup(str(reason), int(refunds or 0), Decimal(amount or 0)))
        for month, reason, refunds, amount in rows
    ]
    if unknown := sorted({each.group.reason for each in groups} - REASONS.keys()):
        raise UnknownReason(f"refunds are left out for reasons that this version does not know: {', '.join(unknown)}")
    return groups


def trend(groups: Iterable[MonthGroup]) -> tuple[MonthTotal, ...]:
    """Return the counted total of every month that has refunds, in order."""
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for each in groups:
        totals[each.month] += each.group.amount if each.group.reason == COUNTED else ZERO
    return tuple(MonthTotal(month, totals[month]) for month in sorted(totals))


def sums(groups: Iterable[RefundGroup]) -> tuple[RefundGroup, ...]:
    """Add groups up by reason: each reason once, even without a refund."""
    found = list(groups)
    return tuple(
        RefundGroup(
            reason,
            sum(each.refunds for each in found if each.reason == reason),
            sum((each.amount for each in found if each.reason == reason), ZERO),
        )
        for reason in REASONS
    )


def adjustments_of(lines: Iterable[Line]) -> tuple[Adjustment, ...]:
    """Return lines by month and customer."""
    return tuple(Adjustment(*place, amount) for place, amount in by_month_and_customer(lines).items())


def last_validation(store: ObjectStore, today: date) -> Quality | None:
    """Return the verdict of the newest report of the daily validation; None if there is none of the last weeks."""
    document = newest_report(store, today)
    if document is None:
        return None
    return Quality(document["date"], passed=not document["errors"], failing=tuple(document["failing"]))


def statement_page(
    statement: Statement,
    environment: str,
    loaded_at: datetime,
    groups: Sequence[MonthGroup],
    lines: Sequence[Line],
    adjustments: Sequence[Line],
) -> FinancePage:
    """Return the page of a statement that is being issued."""
    found = tuple(each.name for each in statement.checks if each.verdict != "passed")
    return FinancePage(
        month=statement.month,
        rows=tuple(by_customer(lines).items()),
        trend=trend(each for each in groups if each.month <= statement.month),
        groups=sums(each.group for each in groups if each.month == statement.month),
        provenance=Provenance(
            environment, statement.run, statement.release, moment_text(loaded_at), moment_text(statement.issued_at)
        ),
        adjustments=adjustments_of(adjustments),
        quality=Quality(f"{statement.issued_at:%Y-%m-%d}", not found, found, statement.override),
        is_statement=True,
    )


def moment_text(moment: datetime) -> str:
    """Write a moment for readers."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
