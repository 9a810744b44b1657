"""One row of a refund report, and how its amount is written."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class RefundRow(NamedTuple):
    """What one customer got back."""

    customer_id: str
    total_refund: Decimal

    def document(self) -> dict[str, str]:
        """Return the row in the form of the JSON output."""
        return {"customer_id": self.customer_id, "total_refund": money(self.total_refund)}


def money(amount: Decimal) -> str:
    """Write an amount with its two decimals and no grouping."""
    return f"{amount:.2f}"
