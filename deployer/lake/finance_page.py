"""The page for finance: one refund report as a single HTML file that needs nothing from the network.

What stands on it is gathered elsewhere (`finance_facts`); the looks are in finance_page.html.j2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined, Template

from deployer.lake.refund_report import RefundReport
from deployer.printable import printable
from deployer.refunds import RefundRow, money

TOP_CUSTOMERS = 10
ZERO = Decimal("0.00")
BANDS = (Decimal(10), Decimal(50), Decimal(100), Decimal(500), Decimal(1000), Decimal(5000))
"""Upper bounds of the distribution's bands, in money; the last band is open."""


@dataclass(frozen=True)
class MonthTotal:
    """What was refunded in one month."""

    month: str
    total: Decimal


@dataclass(frozen=True)
class RefundGroup:
    """Refunds that are counted, or left out for one reason: how many, and their sum."""

    reason: str  # counted, voided_purchase, voided_refund, same_month, orphan
    refunds: int
    amount: Decimal


@dataclass(frozen=True)
class Adjustment:
    """What changed for one customer in months whose statement was issued already."""

    month: str
    customer_id: str
    amount: Decimal


@dataclass(frozen=True)
class Provenance:
    """Where the figures come from; times are UTC texts."""

    environment: str
    run: str
    release: str
    loaded_at: str
    made_at: str


@dataclass(frozen=True)
class Quality:
    """What the last daily validation said; `failing` names the checks that have rows."""

    date: str
    passed: bool
    failing: tuple[str, ...] = ()


@dataclass(frozen=True)
class FinancePage:
    """Everything on the page. `adjustments` and `quality` are None where they are not known; then nothing is said of them."""

    report: RefundReport
    trend: tuple[MonthTotal, ...]
    groups: tuple[RefundGroup, ...]
    provenance: Provenance
    adjustments: tuple[Adjustment, ...] | None = None
    quality: Quality | None = None

    @property
    def previous(self) -> MonthTotal | None:
        """The month before the reported one, when it has refunds."""
        earlier = [each for each in self.trend if self.report.month and each.month < self.report.month]
        return earlier[-1] if earlier else None

    @property
    def change(self) -> Decimal | None:
        """The total less that of the month before."""
        return self.report.total - self.previous.total if self.previous else None

    @property
    def top(self) -> tuple[RefundRow, ...]:
        """The customers with the largest totals, largest first."""
        return tuple(sorted(self.report.rows, key=lambda row: (-row.total_refund, row.customer_id))[:TOP_CUSTOMERS])

    @property
    def all_refunds(self) -> RefundGroup:
        """Counted and left out together."""
        return RefundGroup(
            "all", sum(each.refunds for each in self.groups), sum((each.amount for each in self.groups), ZERO)
        )


@dataclass(frozen=True)
class Band:
    """Customers whose total lies in one band of the distribution."""

    label: str
    customers: int


@dataclass(frozen=True)
class Bar:
    """One bar of the trend chart, in the units of its view box."""

    x: float
    y: float
    width: float
    height: float
    month: str
    total: Decimal
    is_reported: bool


def distribution(rows: Sequence[RefundRow]) -> tuple[Band, ...]:
    """Count the customers in each band; every customer is in exactly one."""
    bounds = [(low, high) for low, high in zip((ZERO, *BANDS), (*BANDS, None), strict=True)]
    return tuple(
        Band(
            f"{low:,.0f} to under {high:,.0f}" if high is not None else f"{low:,.0f} and more",
            sum(low <= row.total_refund and (high is None or row.total_refund < high) for row in rows),
        )
        for low, high in bounds
    )


CHART_WIDTH, CHART_HEIGHT = 640.0, 160.0


def bars(trend: Sequence[MonthTotal], reported: str | None) -> tuple[Bar, ...]:
    """Lay out the trend chart: one bar a month."""
    greatest = max((each.total for each in trend), default=ZERO) or Decimal(1)
    step = CHART_WIDTH / max(1, len(trend))
    return tuple(
        Bar(
            x=round(number * step + step * 0.1, 2),
            y=round(CHART_HEIGHT - (height := max(0.0, float(each.total / greatest)) * CHART_HEIGHT), 2),
            width=round(step * 0.8, 2),
            height=round(height, 2),
            month=each.month,
            total=each.total,
            is_reported=each.month == reported,
        )
        for number, each in enumerate(trend)
    )


def render_page(page: FinancePage) -> str:
    """Write the page. Every text from the data is escaped."""
    return _template().render(
        page=page,
        bars=bars(page.trend, page.report.month),
        bands=distribution(page.report.rows),
        chart_width=CHART_WIDTH,
        chart_height=CHART_HEIGHT,
    )


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["money"] = lambda amount: f"{amount:,.2f}"
    environment.filters["signed"] = lambda amount: f"{amount:+,.2f}"
    environment.filters["plain"] = money
    environment.filters["visible"] = printable
    source = resources.files("deployer.lake").joinpath("finance_page.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source)
