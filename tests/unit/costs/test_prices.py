"""The price table, and what a query costs at its prices."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from deployer.costs.prices import MB, TB, dollars, price_table, query_cost


def test_every_price_has_its_unit_and_says_where_it_was_found() -> None:
    """Given the price table, when it is read, then it has a day and a region, and each price its page and where it was seen."""
    table = price_table()
    assert date.fromisoformat(table.compared) and table.region == "us-east-1"
    assert all(
        price.usd > 0 and price.unit and price.seen_in and price.page.endswith(" pricing")
        for price in table.prices.values()
    )


@pytest.mark.parametrize(
    ("scanned", "billed"), [(0, 10 * MB), (10 * MB, 10 * MB), (10 * MB + 1, 11 * MB), (TB, TB), (3 * TB, 3 * TB)]
)
def test_a_query_is_billed_by_megabytes_and_at_least_ten(scanned: int, billed: int) -> None:
    """Given bytes that were scanned, when they are billed, then whole megabytes count, and ten at the least."""
    assert query_cost(scanned) == price_table()["athena_tb_scanned"].usd * billed / TB


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "0.00 USD"), ("1234.567", "1,234.57 USD"), ("0.01", "0.01 USD"), ("0.0000476837", "0.000048 USD")],
)
def test_small_amounts_keep_two_digits(amount: str, text: str) -> None:
    """Given an amount below a cent, when it is written, then it is not rounded to nothing."""
    assert dollars(Decimal(amount)) == text
