"""What a release does to the refund report: totals per customer on two sides, and where they differ. How the sides come
about is the business of review.py (two SQL texts) and rebuild.py (two jobs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployer.athena import QueryResult
    from deployer.errors import DataopsError

Totals = Mapping[str, Decimal]  # customer -> total refund


@dataclass(frozen=True)
class Numbers:
    """The refund report on both sides. A side is None when it could not be computed; `why` says so."""

    before: Totals | None
    after: Totals | None
    why: str = ""

    def differences(self) -> list[tuple[str, Decimal, Decimal]]:
        before, after = self.before or {}, self.after or {}
        zero = Decimal("0.00")
        return [
            (customer, before.get(customer, zero), after.get(customer, zero))
            for customer in sorted(before.keys() | after.keys())
            if before.get(customer) != after.get(customer)
        ]

    def document(self) -> list[dict[str, str]]:
        return [{"customer_id": c, "before": f"{b:.2f}", "after": f"{a:.2f}"} for c, b, a in self.differences()]


@dataclass(frozen=True)
class Rebuilt:
    """The report of one month after each job, and what each job counted; `numbers.why` says why there is none."""

    numbers: Numbers
    month: str = ""
    before: Mapping[str, int] | None = None
    after: Mapping[str, int] | None = None

    def document(self) -> dict[str, Any]:
        return {
            "month": self.month or None,
            "why_not": self.numbers.why or None,
            "differences": self.numbers.document(),
            "counts": [None if counts is None else dict(counts) for counts in (self.before, self.after)],
        }


def not_rebuilt(why: str) -> Rebuilt:
    return Rebuilt(Numbers(None, None, why))


def told(error: DataopsError) -> str:
    """An error as a sentence of the page: where, what, what next."""
    return f"{error}. Next: {error.hint}." if error.hint else f"{error}."


def totals(result: QueryResult) -> Totals:
    """The rows of a refund query by customer."""
    from deployer.report import refund_rows  # with Athena's adapter behind it, which reading a page does not need

    return {row.customer_id: row.total_refund for row in refund_rows(result)}
