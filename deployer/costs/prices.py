"""AWS's list prices: one table in prices.json, with its region, and where and when each price was looked up.

What is bought at these prices is the business of month.py, and of the query that was run.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources

MB, TB = 2**20, 2**40
LEAST_QUERY_MB = 10


@dataclass(frozen=True)
class Price:
    """What one unit costs, in US dollars; `page` is AWS's page, `seen_in` where the same price was found."""

    usd: Decimal
    unit: str
    page: str
    seen_in: str


@dataclass(frozen=True)
class PriceTable:
    """The prices of a region, and the day on which they were compared with public pages."""

    region: str
    compared: str
    prices: Mapping[str, Price]

    def __getitem__(self, name: str) -> Price:
        return self.prices[name]


@functools.cache
def price_table() -> PriceTable:
    """Return the prices that this version knows."""
    text = resources.files("deployer.costs").joinpath("prices.json").read_text(encoding="utf-8")
    found = json.loads(text)
    prices = {
        name: Price(Decimal(each["usd"]), each["unit"], each["page"], each["seen_in"])
        for name, each in sorted(found["prices"].items())
    }
    return PriceTable(found["region"], found["compared"], prices)


def billed_bytes(bytes_scanned: int) -> int:
    """Return the bytes that Athena bills for a query: whole megabytes, and at least ten of them."""
    return max(LEAST_QUERY_MB, math.ceil(bytes_scanned / MB)) * MB


def query_cost(bytes_scanned: int) -> Decimal:
    """Return the cost of a query that scanned this many bytes, in US dollars."""
    return price_table()["athena_tb_scanned"].usd * billed_bytes(bytes_scanned) / TB


def dollars(amount: Decimal) -> str:
    """Write an amount with cents, or a smaller one with its first two digits."""
    if amount == 0 or amount >= Decimal("0.01"):
        return f"{amount:,.2f} USD"
    return f"{amount:.{1 - amount.adjusted()}f} USD"
