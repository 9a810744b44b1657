"""The page of a report: what the statements and the validation add to it."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from fake_aws import FakeSession
from month_end import MonthEnd, refund
from refunds_lake.publishing.history import read_history
from refunds_statements.page import Adjustment, Quality

from deployer.lake import finance_facts
from deployer.lake.finance_facts import gather_page
from deployer.lake.refund_report import RefundReport
from deployer.refunds import RefundRow

NOW = datetime(2026, 12, 6, tzinfo=UTC)


def test_a_report_says_what_the_next_statement_will_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a statement and a late refund, when a page is gathered, then the refund is an adjustment; before, nothing is said."""
    lake = MonthEnd()
    lake.load({"R1": refund("2026-10", "anna", "12.50")})
    monkeypatch.setattr(finance_facts, "source_of", lambda found: lake.source)
    monkeypatch.setattr(finance_facts, "base_store", lambda found: lake.store)
    monkeypatch.setattr(finance_facts, "recorded_runs", lambda found, tables: read_history(lake.store, "base/"))
    deployed = FakeSession().lake
    report = RefundReport("2026-10", (RefundRow("anna", Decimal("12.50")),))
    page = gather_page(deployed, report, "release", NOW)
    assert (page.adjustments, page.quality) == (None, None)
    assert (page.total, page.all_refunds.refunds) == (Decimal("12.50"), 1)

    lake.issue("2026-10")
    lake.load({"R2": refund("2026-09", "ben", "3.00")})
    validation = {"date": "2026-12-05", "errors": ["stale_routes"], "failing": ["stale_routes"]}
    lake.store.put("validation/date=2026-12-05/report.json", json.dumps(validation).encode())
    page = gather_page(deployed, report, "release", NOW)
    assert page.adjustments == (Adjustment("2026-09", "ben", Decimal("3.00")),)
    assert page.quality == Quality("2026-12-05", passed=False, failing=("stale_routes",))
    assert page.provenance.run == lake.run_id(2)
