"""One row of a refund report, and how its amount is written."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class RefundRow(NamedTuple):
    """What one customer got back."""

    customer_id: str  #: the customer
    total_refund: Decimal  #: the customer's total refund


def money(amount: Decimal) -> str:
    """Write an amount with its two decimals and no grouping."""
    return f"{amount:.2f}"
