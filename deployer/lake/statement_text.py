"""Statements and what changed since, as text; pure functions."""

from __future__ import annotations

from decimal import Decimal

from deployer.lake.report_formats import render_table
from deployer.lake.statements import StatementChanges, StatementLine, TransactionChange, WholeStatement
from deployer.printable import aligned, printable
from deployer.refunds import money


def statement_text(whole: WholeStatement) -> str:
    """Show a statement: where it comes from, the refunds as a table, the adjustments below it."""
    head = [
        f"statement of {whole.month}, issued {whole.issued_at:%Y-%m-%d %H:%M} UTC by {printable(whole.issued_by)}",
        f"run {whole.run}, release {whole.release[:12]}",
        whole.location,
    ]
    overridden = [f"issued although checks failed: {printable(whole.override)}"] if whole.override else []
    return "\n".join([*head, *overridden, "", render_table(whole.refunds).rstrip(), *_adjustments(whole)])


def _adjustments(whole: WholeStatement) -> list[str]:
    """Show what a statement adjusts."""
    if not whole.adjustments:
        return ["", "no adjustments of earlier months"]
    rows = [f"  {each.month}  {printable(each.customer_id)}  {signed(each.amount)}" for each in whole.adjustments]
    return ["", f"adjustments of earlier months: {signed(whole.adjustments_total)}", *rows]


def changes_text(changes: StatementChanges) -> str:
    """Show what changed: the totals, then each customer, then each refund and why."""
    head = f"statement of {changes.month}, issued {changes.issued_at:%Y-%m-%d %H:%M} UTC from run {changes.issued_run}"
    if not changes.transactions:
        return f"{head}\nnothing has changed since, by run {changes.run}"
    said = f"by run {changes.run}: {signed(changes.total)}"
    carried = f"later statements carried {signed(changes.carried_total)}"
    parts = f"{said}; {carried}, the next one carries {signed(changes.pending_total)}"
    customers = [("customer_id", "change"), *((printable(c.customer_id), signed(c.amount)) for c in changes.customers)]
    refunds = [("month", "customer_id", "refund_id", "change", "now"), *map(_transaction, changes.transactions)]
    return "\n".join([head, parts, "", *aligned(customers, right={1}), "", *aligned(refunds, right={3})])


def _transaction(change: TransactionChange) -> tuple[str, ...]:
    ids = printable(change.customer_id), printable(change.refund_id)
    voids = f" by {', '.join(map(printable, change.voids))}" if change.voids else ""
    return (change.month, *ids, signed(change.amount), change.reason.replace("_", " ") + voids)


def summary_line(line: StatementLine) -> str:
    """Say a statement in one line."""
    customers = "1 customer" if line.customers == 1 else f"{line.customers:,} customers"
    figures = f"{customers}, {money(line.total_refund)} in total, adjustments {signed(line.adjustments_total)}"
    mark = "  (checks overridden)" if line.override else ""
    return f"{line.month}  {line.issued_at:%Y-%m-%d %H:%M} UTC  {figures}{mark}"


def signed(amount: Decimal) -> str:
    """Write an amount with its sign."""
    return f"{amount:+.2f}"
