"""Gathers the facts of the finance page about a report: from tables, run manifests, statements and the validation.

What stands on the page and how it looks is the business of refunds_statements, which makes the page of a statement, too.
"""

from __future__ import annotations

import datetime as dt

from refunds_statements.changes import changes_since
from refunds_statements.page import Adjustment, FinancePage, Provenance
from refunds_statements.page_facts import adjustments_of, last_validation, moment_text, read_groups, sums, trend
from refunds_statements.register import read_statements
from refunds_statements.snapshot import Source

from deployer.lake.deployed_lake import Lake
from deployer.lake.refund_report import RefundReport
from deployer.lake.run_manifests import base_store, recorded_runs
from deployer.lake.statements import as_our_errors, source_of


def gather_page(lake: Lake, report: RefundReport, release: str, now: dt.datetime) -> FinancePage:
    """Ask for everything on the page. Raise DataopsError."""
    with as_our_errors(lake.environment):
        source = source_of(lake)
        groups = read_groups(source.query)
        runs = recorded_runs(lake, lake.live)
        return FinancePage(
            month=report.month,
            rows=report.rows,
            trend=trend(groups),
            groups=sums(each.group for each in groups if report.month in (None, each.month)),
            provenance=Provenance(
                environment=lake.environment,
                run=runs[-1].run_id if runs else "none",
                release=release or "not recorded",
                loaded_at=moment_text(runs[-1].finished_at) if runs else "never",
                made_at=moment_text(now),
            ),
            adjustments=_pending(source),
            quality=last_validation(base_store(lake), now.date()),
        )


def _pending(source: Source) -> tuple[Adjustment, ...] | None:
    """Return what the next statement will carry; None before the first."""
    if not read_statements(source.store):
        return None
    return adjustments_of(changes_since(source, None).pending)
