"""Gathers what the person who approves a release should see. markdown_page.py writes the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployer.aws.calls import translated
from deployer.composition.deployments import plan_target
from deployer.composition.environment import artifacts_store, built_target, evidence_of, lake_of, release_target
from deployer.deploying.promotion import refusals
from deployer.errors import DataopsError
from deployer.lake.queries import QUERY_TIMEOUT_SECONDS, run_query
from deployer.lake.refund_report import refund_rows
from deployer.lake.report_comparison import ReportComparison, Totals, totals
from deployer.ledger.store import RecordStore
from deployer.pauses import Deadline
from deployer.planning.plan import Options
from deployer.release.artifacts import fetch_file, fetch_manifest, fetch_release
from deployer.release.diff import changed_files, settings_changed
from deployer.release.release import ReleaseFile
from deployer.review.markdown_page import Review
from deployer.review.month_rebuild import (
    LIBRARY,
    MONTHLY_SQL,
    SCRIPT,
    JobCode,
    MonthRebuild,
    error_sentence,
    rebuild_month,
)
from deployer.validation.validate import validate_project

if TYPE_CHECKING:
    from deployer.aws.session import Session

REPORT_SQL = "RefundsSql"  # the artifact that holds the refund report
Say = Callable[[str], None]
_NOTHING: Mapping[str, Any] = {"files": {}, "stacks": {}, "artifacts": {}}


@dataclass(frozen=True)
class ReviewedRelease:
    """A release's manifest, and the bucket that holds its files."""

    manifest: Mapping[str, Any]
    store: RecordStore

    def file(self, path: str) -> ReleaseFile:
        return fetch_file(self.store, path, self.manifest["files"][path])

    def artifact(self, name: str) -> ReleaseFile | None:
        item = self.manifest["artifacts"].get(name)
        return self.file(item["path"]) if item else None

    def text(self, name: str) -> str | None:
        file = self.artifact(name)
        return file.content.decode() if file else None

    def job(self) -> JobCode | None:
        script, library = self.artifact(SCRIPT), self.artifact(LIBRARY)
        return JobCode(script, library) if script and library else None


def review_of(
    source: Session, target: Session, *, rebuild: bool, month: str | None, say: Say, deadline: Deadline
) -> Review:
    """Return the facts about the release of the source environment, for the one that it would go to."""
    environment = target.environment
    evidence, there = evidence_of(source, environment.release_max_age_days, None), evidence_of(target, 0, None)
    if evidence.current is None:
        name = source.environment.name
        raise DataopsError(f"nothing was deployed to {name}", hint=f"dataops deploy --env {name}")
    store = artifacts_store(source)
    release = fetch_release(store, evidence.current.release)
    after, before = ReviewedRelease(release.manifest, store), ReviewedRelease(_NOTHING, store)
    if there.current is not None:
        theirs = artifacts_store(target)
        before = ReviewedRelease(fetch_manifest(theirs, there.current.release), theirs)
    plan = plan_target(target, release_target(target, release), Options(), say=say, deadline=deadline)
    return Review(
        source=source.environment.name,
        target=environment.name,
        current=evidence.current,
        against=there.current,
        refusals=refusals(evidence),
        files=changed_files(
            before.manifest,
            after.manifest,
            lambda manifest, path: (before if manifest is before.manifest else after).file(path).content,
        ),
        settings_differ=settings_changed(before.manifest, after.manifest),
        plan=plan,
        validation=_validation(source, release.id, say),
        report=_under_both_sqls(source, before.text(REPORT_SQL), after.text(REPORT_SQL), deadline),
        rebuild=_by_both_jobs(source, before, after, month, say, deadline)
        if rebuild
        else MonthRebuild.absent("Not requested."),
    )


def _under_both_sqls(session: Session, before: str | None, after: str | None, deadline: Deadline) -> ReportComparison:
    """Return the report with both releases' SQL on the tables of the source environment."""
    if after is None:
        return ReportComparison(None, None, "This release has no refund report.")
    if before is None:
        return ReportComparison(None, None, "There is no earlier release to compare with.")
    if before == after:
        return ReportComparison(None, None, "The SQL of the refund report is the same in both releases.")

    @translated
    def computed() -> ReportComparison:
        lake = lake_of(session)

        def report(sql: str) -> Totals:
            seconds = deadline.left(QUERY_TIMEOUT_SECONDS)
            result = run_query(lake, sql, database=lake.live.database, timeout_seconds=seconds)
            return totals(refund_rows(result))

        return ReportComparison(report(before), report(after))

    try:
        return computed()
    except DataopsError as error:
        return ReportComparison(None, None, f"Could not be computed: {error_sentence(error)}")


def _by_both_jobs(
    session: Session, before: ReviewedRelease, after: ReviewedRelease, month: str | None, say: Say, deadline: Deadline
) -> MonthRebuild:
    jobs, sql = (before.job(), after.job()), after.text(MONTHLY_SQL)
    if jobs[1] is None or sql is None:
        return MonthRebuild.absent("This release has no job or no monthly report.")
    if jobs[0] is None:
        return MonthRebuild.absent("There is no earlier release to compare with.")
    try:
        lake = lake_of(session)
    except DataopsError as error:
        return MonthRebuild.absent(f"Could not be rebuilt: {error_sentence(error)}")
    codes = (jobs[0], jobs[1])
    return rebuild_month(lake, after.store, codes, sql, month=month, say=say, deadline=deadline)


def _validation(session: Session, release: str, say: Say) -> list[str] | None:
    """Return the findings about the checkout if it is the reviewed release."""
    try:
        if built_target(session).release.id != release:
            return None
    except DataopsError:
        return None
    return [
        str(finding) for check in validate_project(session.project.directory, say=say) for finding in check.findings
    ]
