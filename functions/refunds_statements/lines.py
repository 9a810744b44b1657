"""The refund lines of statements, and the difference between two sets of them. Pure functions.

A line says that a refund counts for a customer in a month. The lines of an adjustment carry signed amounts; so whatever
was issued of a month is the sum of all lines of all statements that name it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final, NamedTuple

ZERO: Final = Decimal("0.00")


class Line(NamedTuple):
    """A refund of a month that counts for a customer; `amount` is signed where the line adjusts an issued one."""

    month: str
    customer_id: str
    refund_id: str
    amount: Decimal


def total(lines: Iterable[Line]) -> Decimal:
    """Return the sum of lines."""
    return sum((line.amount for line in lines), ZERO)


def difference(now: Iterable[Line], issued: Iterable[Line]) -> tuple[Line, ...]:
    """Return the lines to be added to what was issued to arrive at the current state, sorted."""
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(lambda: ZERO)
    for line in now:
        sums[line[:3]] += line.amount
    for line in issued:
        sums[line[:3]] -= line.amount
    return tuple(Line(*place, amount) for place, amount in sorted(sums.items()) if amount)


def by_customer(lines: Iterable[Line]) -> Mapping[str, Decimal]:
    """Return the sum of each customer's lines, in customer order."""
    sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        sums[line.customer_id] += line.amount
    return {customer: sums[customer] for customer in sorted(sums)}


def by_month_and_customer(lines: Iterable[Line]) -> Mapping[tuple[str, str], Decimal]:
    """Return the sum of each customer's lines in each month, in order of month and customer, without zeros."""
    sums: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)
    for line in lines:
        sums[line.month, line.customer_id] += line.amount
    return {place: sums[place] for place in sorted(sums) if sums[place]}
