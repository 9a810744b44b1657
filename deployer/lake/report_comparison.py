"""Two refund reports side by side, customer by customer: the one comparison of the smoke test and of the review.

How the two sides come about is the business of smoke.py (an answer), review.py (two SQL texts) and rebuild.py (two jobs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from deployer.refunds import RefundRow

Totals = Mapping[str, Decimal]  # customer -> total refund
NOTHING = Decimal("0.00")


@dataclass(frozen=True)
class CustomerDifference:
    """A customer whom two reports disagree about; a report without the customer counts as 0.00."""

    customer_id: str  #: the customer
    before: Decimal  #: the customer's total with the deployed release
    after: Decimal  #: the customer's total with the release that would be deployed


@dataclass(frozen=True)
class ReportComparison:
    """The refund report on both sides. A side is None when it could not be computed; `why` says so."""

    before: Totals | None
    after: Totals | None
    why: str = ""

    def differences(self) -> list[CustomerDifference]:
        """Return the customers that differ, in their order."""
        before, after = self.before or {}, self.after or {}
        return [
            CustomerDifference(customer, before.get(customer, NOTHING), after.get(customer, NOTHING))
            for customer in differing_customers(before, after)
        ]


def totals(rows: Iterable[RefundRow]) -> Totals:
    """Return the rows of a refund report by customer."""
    return {row.customer_id: row.total_refund for row in rows}


def differing_customers(before: Totals, after: Totals) -> list[str]:
    """Return the customers who have a different total, or no row, on the other side."""
    return sorted(customer for customer in before.keys() | after.keys() if before.get(customer) != after.get(customer))
