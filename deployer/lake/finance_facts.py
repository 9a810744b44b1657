"""Gathers a report and the facts of its finance page: from tables, run manifests, statements and the validation.

What stands on the page and how it looks is the business of refunds_statements, which makes the page of a statement, too.
"""

from __future__ import annotations

import datetime as dt

from refunds_statements.changes import changes_since
from refunds_statements.page import Adjustment, FinancePage, Provenance
from refunds_statements.page_facts import adjustments_of, last_validation, moment_text, read_groups, sums, trend
from refunds_statements.register import read_statements
from refunds_statements.snapshot import Source, require_unchanged, settled, take_snapshot

from deployer.lake.deployed_lake import Lake
from deployer.lake.refund_report import RefundReport, fetch_report
from deployer.lake.run_manifests import base_store
from deployer.lake.statements import as_our_errors, source_of


def report_with_page(lake: Lake, month: str | None, release: str, now: dt.datetime) -> tuple[RefundReport, FinancePage]:
    """Return a report and its page, from the tables of one run. Raise DataopsError, also if runs publish at each attempt."""
    with as_our_errors(lake.environment):
        source = source_of(lake)
        return settled(lambda: _read(lake, source, month, release, now))


def _read(
    lake: Lake, source: Source, month: str | None, release: str, now: dt.datetime
) -> tuple[RefundReport, FinancePage]:
    snapshot = take_snapshot(source)
    report = fetch_report(lake, lake.live, month)
    groups, adjustments = read_groups(source.query), _pending(source)
    require_unchanged(source, snapshot)
    page = FinancePage(
        month=month,
        rows=report.rows,
        trend=trend(groups),
        groups=sums(each.group for each in groups if month in (None, each.month)),
        provenance=Provenance(
            environment=lake.environment,
            run=snapshot.run,
            release=release or "not recorded",
            loaded_at=moment_text(snapshot.loaded_at),
            made_at=moment_text(now),
        ),
        adjustments=adjustments,
        quality=last_validation(base_store(lake), now.date()),
    )
    return report, page


def _pending(source: Source) -> tuple[Adjustment, ...] | None:
    """Return what the next statement will carry; None before the first."""
    if not read_statements(source.store):
        return None
    return adjustments_of(changes_since(source, None).pending)
