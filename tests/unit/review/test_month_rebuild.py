"""One month rebuilt by both releases' jobs: which code runs where, and what is told when it cannot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from fake_aws import OUTPUTS, FakeAthena, FakeGlue, FakeSession
from fake_cloud import FakeStore
from refunds_lake.publishing.manifests import Manifest, RunKind, manifest_key

from deployer import pauses
from deployer.lake.deployed_lake import lake_from
from deployer.lake.report_comparison import CustomerDifference
from deployer.ledger.lock import EnvironmentLock
from deployer.pauses import Deadline
from deployer.release.release import ReleaseFile
from deployer.review.month_rebuild import LATEST_MONTH, JobCode, MonthRebuild, rebuild_month

LIVE, SIDE = OUTPUTS["BaseDatabaseName"], OUTPUTS["SmokeDatabaseName"]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time stand still between polls."""
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)


def code(name: str) -> JobCode:
    return JobCode(
        ReleaseFile("glue/base_tables.py", "file", f"script {name}".encode()),
        ReleaseFile("glue/refunds_lake.zip", "zip", f"library {name}".encode()),
    )


class World:
    """A deployed uat; the job leaves behind what `after` says for the script that it ran."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.after = {code("old").script.key: "10.00", code("new").script.key: "12.50"}
        self.athena = FakeAthena(results={(LIVE, LATEST_MONTH): [("2026-09",)]})
        self.athena.columns = ("customer_id", "total_refund")
        self.glue = FakeGlue(on_start=self._run)
        self.session: Any = FakeSession(athena=self.athena, glue=self.glue)
        self.said: list[str] = []
        self.runs = 0

    def _run(self, run_id: str, arguments: Mapping[str, str]) -> None:
        key = arguments["--scriptLocation"].removeprefix("s3://artifacts/")
        assert key in self.store.objects, "Glue reads the script from the artifacts bucket of this account"
        assert arguments["--extra-py-files"].removeprefix("s3://artifacts/") in self.store.objects
        assert self.is_locked, "a smoke test would write to the same tables"
        self.athena.results[SIDE, "2026-09"] = [("ann", self.after[key]), ("bob", "1.00")]
        now = datetime(2026, 1, 1, tzinfo=UTC)
        counts = {"read": 3, "kept": 3, "duplicate": 0, "superseded": 0, "rejected": 0}
        self.runs += 1
        manifest = Manifest(
            self.runs, f"r{self.runs}", None, run_id, RunKind.FULL_REFRESH, now, now, "UTC", counts=counts
        )
        self.session.s3.objects["base", manifest_key("smoke/", manifest.number)] = manifest.as_json()

    @property
    def is_locked(self) -> bool:
        return EnvironmentLock(self.store, "test").key in self.store.objects

    def rebuild(self, new: str = "new", month: str | None = None, seconds: float | None = None) -> MonthRebuild:
        codes = (code("old"), code(new))
        deadline, say = Deadline(seconds), self.said.append
        return rebuild_month(self.session.lake, self.store, codes, "monthly", month=month, say=say, deadline=deadline)


def test_both_jobs_rebuild_the_latest_month_one_after_the_other() -> None:
    """Given two jobs, when a month is rebuilt, then each release's code ran, and the customer that differs is listed."""
    world = World()
    found = world.rebuild()
    assert found.month == "2026-09"
    assert found.comparison.differences() == [CustomerDifference("ann", Decimal("10.00"), Decimal("12.50"))]
    assert found.before == found.after
    assert [run["Arguments"]["--scriptLocation"] for run in world.glue.runs] == [
        f"s3://artifacts/{code(name).script.key}" for name in ("old", "new")
    ]
    assert not world.is_locked


def test_only_the_code_is_chosen() -> None:
    """Given both runs, then each is of the job of reviews, which writes the side tables, and only its code is named."""
    world = World()
    world.rebuild()
    for run in world.glue.runs:
        assert run["JobName"] == OUTPUTS["ReviewJobName"]
        assert set(run["Arguments"]) == {"--scriptLocation", "--extra-py-files"}


def test_the_same_job_is_not_run_twice() -> None:
    """Given the same script and library in both releases, then nothing runs, and that is said."""
    world = World()
    assert "are the same in both releases" in world.rebuild("old").comparison.why
    assert world.glue.runs == []


def test_a_job_that_fails_is_told_and_the_lock_given_back() -> None:
    """Given code that fails, then the page says so with Glue's reason, and no numbers are made up."""
    world = World()
    world.glue.ends = [{"JobRunState": "FAILED", "ErrorMessage": "KeyError: 'amount'"}]
    found = world.rebuild()
    assert found.comparison.before is None
    assert "review with glue/base_tables.py" in found.comparison.why
    assert "ended FAILED: KeyError: 'amount'. Next: dataops logs --env test --run jr_00000000." in found.comparison.why
    assert not world.is_locked


def test_a_deployment_that_is_going_on_keeps_the_side_tables() -> None:
    """Given somebody else's lock, then nothing runs, and the page says who has it."""
    world = World()
    EnvironmentLock(world.store, "test").take("another-run")
    assert "is locked by" in world.rebuild().comparison.why
    assert world.glue.runs == []


def test_a_run_that_another_review_left_is_waited_for() -> None:
    """Given an active run of the job, when a month is rebuilt, then it starts after that run's end."""
    world = World()
    world.glue.is_running_already("jr_other")
    assert world.rebuild(month="2026-09").comparison.why == ""
    assert any("waiting for job run jr_other" in line for line in world.said)


def test_an_older_deployment_without_a_job_for_reviews_is_told() -> None:
    """Given an environment whose release has no such job, then nothing runs, and the page says what to do."""
    world = World()
    without = {name: value for name, value in OUTPUTS.items() if not name.startswith("Review")}
    lake = lake_from("test", without, world.session.client)
    codes = (code("old"), code("new"))
    found = rebuild_month(
        lake, world.store, codes, "monthly", month="2026-09", say=world.said.append, deadline=Deadline()
    )
    assert "has no job for reviews" in found.comparison.why and "--no-rebuild" in found.comparison.why
    assert world.glue.runs == []


def test_a_rebuild_that_takes_too_long_is_told_with_what_was_stopped() -> None:
    """Given a job that does not end, when the review's time is over, then it is stopped, and the page says which and why."""
    world = World()
    world.glue.polls_until_done = 10**9
    why = world.rebuild(month="2026-09", seconds=0.05).comparison.why
    assert "review: run jr_00000000 had not ended after 0 s and was stopped. Next: " in why
    assert world.glue.stopped == ["jr_00000000"]
    assert not world.is_locked


@pytest.mark.parametrize("bug", [KeyError("customer"), TypeError("no number"), IndexError("list index out of range")])
def test_a_mistake_in_the_program_is_no_finding_about_the_release(bug: Exception) -> None:
    """Given a bug of ours on the way, then it is raised with its traceback, and the lock is given back."""
    world = World()

    def breaks(run_id: str, arguments: Mapping[str, str]) -> None:
        raise bug

    world.glue.on_start = breaks
    with pytest.raises(type(bug)):
        world.rebuild()
    assert not world.is_locked
