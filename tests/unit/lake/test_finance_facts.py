"""The page of a report: from one run, with what the statements and the validation add to it."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from fake_aws import FakeAthena, FakeSession
from month_end import MonthEnd, refund
from refunds_checks.validation import Answer
from refunds_lake.publishing.history import read_history
from refunds_lake.publishing.manifests import RunKind, manifest_key
from refunds_statements import snapshot
from refunds_statements.page import Adjustment, FinancePage, Quality

from deployer import pauses
from deployer.errors import DataopsError
from deployer.lake import finance_facts
from deployer.lake.finance_facts import report_with_page

NOW = datetime(2026, 12, 6, tzinfo=UTC)


@pytest.fixture
def lake(monkeypatch: pytest.MonkeyPatch) -> MonthEnd:
    lake = MonthEnd()
    monkeypatch.setattr(finance_facts, "source_of", lambda found: lake.source)
    monkeypatch.setattr(finance_facts, "base_store", lambda found: lake.store)
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(snapshot.time, "sleep", lambda seconds: None)
    return lake


def october(lake: MonthEnd) -> FinancePage:
    """Gather the page of October; Athena's report is what the lake has at that moment."""

    class Athena(FakeAthena):
        def start_query_execution(self, **request: object) -> dict[str, str]:
            rows = [(customer, str(amount)) for month, customer, amount in lake.refunds.values() if month == "2026-10"]
            self.results = {("refunds_base_test", "2026-10"): rows}
            return super().start_query_execution(**request)

    report, page = report_with_page(FakeSession(athena=Athena()).lake, "2026-10", "release", NOW)
    assert page.rows == report.rows
    return page


def test_a_report_says_what_the_next_statement_will_carry(lake: MonthEnd) -> None:
    """Given a statement and a late refund, when a page is gathered, then the refund is an adjustment; before, nothing is said."""
    lake.load({"R1": refund("2026-10", "anna", "12.50")})
    page = october(lake)
    assert (page.adjustments, page.quality) == (None, None)
    assert (page.total, page.all_refunds.refunds) == (Decimal("12.50"), 1)

    lake.issue("2026-10")
    lake.load({"R2": refund("2026-09", "ben", "3.00")})
    validation = {"date": "2026-12-05", "errors": ["stale_routes"], "failing": ["stale_routes"]}
    lake.store.put("validation/date=2026-12-05/report.json", json.dumps(validation).encode())
    page = october(lake)
    assert page.adjustments == (Adjustment("2026-09", "ben", Decimal("3.00")),)
    assert page.quality == Quality("2026-12-05", passed=False, failing=("stale_routes",))
    assert page.provenance.run == lake.run_id(2)


def publish_meanwhile(lake: MonthEnd, monkeypatch: pytest.MonkeyPatch, *, runs: int) -> None:
    """Let as many runs publish, each while the groups are read."""
    waiting = list(range(runs))

    def query(sql: str) -> Answer:
        answer = lake.query(sql)
        if waiting:
            number = waiting.pop()
            lake.load({f"late-{number}": refund("2026-10", "ben", "3.00")})
        return answer

    monkeypatch.setattr(finance_facts, "source_of", lambda found: replace(lake.source, query=query))


def test_every_figure_is_of_the_same_run(lake: MonthEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a run that publishes while a page is gathered, then all of it is read again: rows, groups and run belong together."""
    lake.load({"R1": refund("2026-10", "anna", "12.50")})
    publish_meanwhile(lake, monkeypatch, runs=1)
    page = october(lake)
    assert page.provenance.run == lake.run_id(2)
    assert page.total == page.groups[0].amount == page.trend[-1].total == Decimal("15.50")


def test_runs_that_publish_each_time_are_an_error(lake: MonthEnd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a run that publishes at each attempt, when a page is gathered, then there is none, and it says which run that was."""
    lake.load({"R1": refund("2026-10", "anna", "12.50")})
    publish_meanwhile(lake, monkeypatch, runs=snapshot.ATTEMPTS)
    with pytest.raises(DataopsError, match=f"run {lake.run_id(1 + snapshot.ATTEMPTS)} published while"):
        october(lake)


def test_after_a_rollback_the_run_in_force_is_named(lake: MonthEnd) -> None:
    """Given a run that was rolled back, when a page is gathered, then it names the run that loaded what it shows."""
    lake.load({"R1": refund("2026-10", "anna", "12.50")})
    first = read_history(lake.store, "base/")[0]
    later = datetime(2026, 12, 5, 23, tzinfo=UTC)
    lake.load({"R1": refund("2026-10", "anna", "99.00")})
    rollback = replace(
        first, number=3, run_id=lake.run_id(3), parent=first.run_id, kind=RunKind.ROLLBACK, finished_at=later
    )
    lake.store.put(manifest_key("base/", 3), rollback.as_json())
    lake.catalog = {month: each.location for month, each in first.tables[snapshot.TABLE].items()}
    provenance = october(lake).provenance
    assert (provenance.run, provenance.loaded_at) == (first.run_id, "2026-12-05 06:00 UTC")
