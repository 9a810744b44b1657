"""Gathers what stands on finance's page beside the report: trend, what was left out, and where the figures come from."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from deployer.lake.deployed_lake import Lake
from deployer.lake.finance_page import ZERO, FinancePage, MonthTotal, Provenance, RefundGroup
from deployer.lake.queries import Row, run_query
from deployer.lake.refund_report import RefundReport
from deployer.lake.run_manifests import recorded_runs

COUNTED = "counted"
REASONS = (COUNTED, "voided_purchase", "voided_refund", "same_month", "orphan")
"""In the order in which the page tells them; refund_detail gives each refund exactly one."""

GROUPS_SQL = """
select
    refund_detail.month,
    coalesce(refund_detail.reason, 'counted') as reason,
    count(*) as refunds,
    sum(refund_detail.amount) as amount
from refund_detail
group by refund_detail.month, coalesce(refund_detail.reason, 'counted')
"""


@dataclass(frozen=True)
class MonthGroup:
    """The refunds of one month that are counted, or left out for one reason."""

    month: str
    group: RefundGroup


def gather_page(lake: Lake, report: RefundReport, release: str, now: dt.datetime) -> FinancePage:
    """Ask for everything on the page. One query of refund_detail, whose bytes are those of three columns."""
    groups = month_groups(run_query(lake, GROUPS_SQL, database=lake.live.database).rows)
    runs = recorded_runs(lake, lake.live)
    return FinancePage(
        report=report,
        trend=trend(groups),
        groups=sums(each.group for each in groups if report.month in (None, each.month)),
        provenance=Provenance(
            environment=lake.environment,
            run=runs[-1].run_id if runs else "none",
            release=release or "not recorded",
            loaded_at=_moment(runs[-1].finished_at) if runs else "never",
            made_at=_moment(now),
        ),
    )


def month_groups(rows: Iterable[Row]) -> list[MonthGroup]:
    """Read the rows of GROUPS_SQL."""
    return [
        MonthGroup(str(month), RefundGroup(str(reason), int(refunds or 0), Decimal(amount or 0)))
        for month, reason, refunds, amount in rows
    ]


def trend(groups: Iterable[MonthGroup]) -> tuple[MonthTotal, ...]:
    """Return the counted total of every month that has refunds, in order."""
    totals: dict[str, Decimal] = defaultdict(lambda: ZERO)
    for each in groups:
        totals[each.month] += each.group.amount if each.group.reason == COUNTED else ZERO
    return tuple(MonthTotal(month, totals[month]) for month in sorted(totals))


def sums(groups: Iterable[RefundGroup]) -> tuple[RefundGroup, ...]:
    """Add groups up by reason: each reason once, also those without a refund."""
    found = list(groups)
    return tuple(
        RefundGroup(
            reason,
            sum(each.refunds for each in found if each.reason == reason),
            sum((each.amount for each in found if each.reason == reason), ZERO),
        )
        for reason in REASONS
    )


def _moment(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
