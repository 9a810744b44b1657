"""The content of the finance page: a report or a statement, with its trend, what was left out, and its source.

Pure values: `page_facts` gathers them, `page_html` renders them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from refunds_statements.lines import ZERO

TOP_CUSTOMERS: Final = 10
BANDS: Final = (Decimal(10), Decimal(50), Decimal(100), Decimal(500), Decimal(1000), Decimal(5000))
"""Upper bounds of the distribution's bands, in money; the last band is open."""
REASONS: Final = {
    "counted": "Counted",
    "voided_purchase": "Left out: the purchase was voided",
    "voided_refund": "Left out: the refund was voided",
    "same_month": "Left out: in the month of the purchase",
    "orphan": "Left out: the purchase has not arrived",
}
"""What becomes of a refund, in words and in the order of the page: refund_detail gives each exactly one."""
CustomerTotal = tuple[str, Decimal]
"""A customer and what the customer got back."""


@dataclass(frozen=True)
class MonthTotal:
    """What was refunded in one month."""

    month: str
    total: Decimal


@dataclass(frozen=True)
class RefundGroup:
    """Refunds that are counted, or left out for one reason: how many, and their sum."""

    reason: str  # one of REASONS
    refunds: int
    amount: Decimal


@dataclass(frozen=True)
class Adjustment:
    """What changed for one customer in months whose statement was issued already."""

    month: str  #: the month that changed
    customer_id: str  #: the customer
    amount: Decimal  #: by how much, with its sign


@dataclass(frozen=True)
class Provenance:
    """Where the figures come from; times are UTC texts.

    `run` is the one in force, which loaded them. `release` was deployed when the page was made: which one the run came from is
    not recorded.
    """

    environment: str
    run: str
    release: str
    loaded_at: str
    made_at: str


@dataclass(frozen=True)
class Quality:
    """What checks said; `failing` names those that have rows, `override` why a statement was issued anyway."""

    date: str
    passed: bool
    failing: tuple[str, ...] = ()
    override: str = ""


@dataclass(frozen=True)
class FinancePage:
    """Everything on the page; `rows` are in customer order, and all time has no month.

    `adjustments` and `quality` are None if they are not known; the page then does not mention them.
    """

    month: str | None
    rows: Sequence[CustomerTotal]
    trend: tuple[MonthTotal, ...]
    groups: tuple[RefundGroup, ...]
    provenance: Provenance
    adjustments: tuple[Adjustment, ...] | None = None
    quality: Quality | None = None
    is_statement: bool = False

    @property
    def title(self) -> str:
        """The title: what the page is about."""
        subject = "Statement" if self.is_statement else "Refunds"
        return f"{subject} of {self.month}" if self.month else f"{subject} of all time"

    @property
    def total(self) -> Decimal:
        """The total refund of all customers."""
        return sum((amount for _, amount in self.rows), ZERO)

    @property
    def adjustments_total(self) -> Decimal:
        """The sum of the adjustments."""
        return sum((each.amount for each in self.adjustments or ()), ZERO)

    @property
    def previous(self) -> MonthTotal | None:
        """The month before the reported one, if it has refunds."""
        earlier = [each for each in self.trend if self.month and each.month < self.month]
        return earlier[-1] if earlier else None

    @property
    def change(self) -> Decimal | None:
        """The total less that of the month before."""
        return self.total - self.previous.total if self.previous else None

    @property
    def top(self) -> tuple[CustomerTotal, ...]:
        """The customers with the largest totals, largest first."""
        return tuple(sorted(self.rows, key=lambda row: (-row[1], row[0]))[:TOP_CUSTOMERS])

    @property
    def all_refunds(self) -> RefundGroup:
        """The refunds that count and those left out, together."""
        return RefundGroup(
            "all", sum(each.refunds for each in self.groups), sum((each.amount for each in self.groups), ZERO)
        )


@dataclass(frozen=True)
class Band:
    """Customers whose total is in one band of the distribution."""

    label: str
    customers: int


def distribution(rows: Sequence[CustomerTotal]) -> tuple[Band, ...]:
    """Count the customers in each band; every customer is in exactly one."""
    bounds = [(low, high) for low, high in zip((ZERO, *BANDS), (*BANDS, None), strict=True)]
    return tuple(
        Band(
            f"{low:,.0f} to under {high:,.0f}" if high is not None else f"{low:,.0f} and more",
            sum(low <= amount and (high is None or amount < high) for _, amount in rows),
        )
        for low, high in bounds
    )
