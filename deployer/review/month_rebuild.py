"""One month rebuilt by the jobs of two releases, into the side tables that the smoke test uses too.

Both run in the job of reviews, which has the deployed job's data and time zone, takes its code per run, and whose role
can write the side tables only. What differs is shown by review_page.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from deployer.aws.calls import translated
from deployer.errors import DataopsError
from deployer.lake.deployed_lake import Lake
from deployer.lake.job_logs import last_lines
from deployer.lake.jobs import Watcher, run_when_free
from deployer.lake.queries import QUERY_TIMEOUT_SECONDS, quoted, run_query
from deployer.lake.refund_report import MONTH, refund_rows
from deployer.lake.report_comparison import ReportComparison, totals
from deployer.lake.run_manifests import RecordUnreadable, manifest_of
from deployer.ledger.identity import new_run_id, utc_now
from deployer.ledger.lock import EnvironmentLock
from deployer.ledger.store import RecordStore
from deployer.pauses import Deadline
from deployer.release.artifacts import store_file
from deployer.release.release import ReleaseFile

SCRIPT, LIBRARY, MONTHLY_SQL = "JobScriptKey", "JobLibraryKey", "MonthlyRefundsSql"  # artifacts of a release
TIMEOUT_SECONDS = 1500.0  # of each wait: for a run that is active, and for each of the two
LATEST_MONTH = "select max(month) as month from refund_detail where counted"
Say = Callable[[str], None]


@dataclass(frozen=True)
class JobCode:
    """What a release runs as its job."""

    script: ReleaseFile
    library: ReleaseFile

    @property
    def identity(self) -> tuple[str, str]:
        """Equal for two releases whose job is the same."""
        return self.script.sha256, self.library.sha256


@dataclass(frozen=True)
class MonthRebuild:
    """The report of one month after each job, and what each job counted; `comparison.why` says why there is none."""

    comparison: ReportComparison
    month: str = ""
    before: Mapping[str, int] | None = None
    after: Mapping[str, int] | None = None

    @classmethod
    def absent(cls, why: str) -> MonthRebuild:
        """Return the result for a month that was not rebuilt."""
        return cls(ReportComparison(None, None, why))


def error_sentence(error: DataopsError) -> str:
    """Return an error as a sentence of the page: where, what, what next."""
    return f"{error}. Next: {error.hint}." if error.hint else f"{error}."


def rebuild_month(
    lake: Lake,
    store: RecordStore,
    codes: tuple[JobCode, JobCode],
    monthly_sql: str,
    *,
    month: str | None,
    say: Say,
    deadline: Deadline,
) -> MonthRebuild:
    """Rebuild the side tables with the earlier job, then with the later one, and report a month after each.

    A full refresh of all raw files each time: a month's refunds need the purchases of all months before it.
    What an operator can act on is shown on the page; anything else is a bug, and raised.
    """
    if codes[0].identity == codes[1].identity:
        return MonthRebuild.absent("The job's script and library are the same in both releases.")
    try:
        return _rebuild(lake, store, codes, monthly_sql, month, say, deadline)
    except DataopsError as error:
        return MonthRebuild.absent(f"Could not be rebuilt: {error_sentence(error)}")


@translated
def _rebuild(
    lake: Lake,
    store: RecordStore,
    codes: tuple[JobCode, JobCode],
    monthly_sql: str,
    month: str | None,
    say: Say,
    deadline: Deadline,
) -> MonthRebuild:
    month = month or _latest_month(lake, deadline)
    reviews = lake.for_reviews()
    if reviews is None:
        raise DataopsError(
            "the deployed release has no job for reviews",
            where=f"environment {lake.environment}",
            hint=f"dataops deploy --env {lake.environment}, or skip the rebuild with --no-rebuild",
        )
    sides = []
    with _side_tables(lake, store, say) as still_ours:
        for code, whose in zip(codes, ("the deployed job", "this release's job"), strict=True):
            say(f"review: rebuilding with {whose}")
            counts = _run(reviews, store, code, say=say, deadline=deadline)
            report = run_query(
                lake,
                monthly_sql,
                database=lake.side.database,
                parameters=[quoted(month)],
                timeout_seconds=deadline.left(QUERY_TIMEOUT_SECONDS),
            )
            sides.append((totals(refund_rows(report)), counts))
            still_ours()
    (before, counts_before), (after, counts_after) = sides
    return MonthRebuild(ReportComparison(before, after), month, counts_before, counts_after)


def _latest_month(lake: Lake, deadline: Deadline) -> str:
    seconds = deadline.left(QUERY_TIMEOUT_SECONDS)
    rows = run_query(lake, LATEST_MONTH, database=lake.live.database, timeout_seconds=seconds).rows
    month = rows[0][0] if rows else None
    if month is None or not MONTH.fullmatch(month):
        raise DataopsError(
            "the tables have no month with a refund that counts",
            where=lake.live.database,
            hint=f"dataops run --env {lake.environment}, or give the month with --month",
        )
    return month


@contextmanager
def _side_tables(lake: Lake, store: RecordStore, say: Say) -> Iterator[Callable[[], None]]:
    """Reserve the side tables for this review; smoke tests run under the same lock."""
    lost: list[str] = []

    def still_ours() -> None:
        if lost:
            raise DataopsError(
                f"this run no longer holds the environment's lock: {lost[0]}",
                where=f"environment {lake.environment}",
                hint="run the same command again when that run has ended",
            )

    lock = EnvironmentLock(store, lake.environment)
    with lock.held(new_run_id(utc_now()), say=say, on_loss=lost.append):
        yield still_ours


def _run(lake: Lake, store: RecordStore, code: JobCode, *, say: Say, deadline: Deadline) -> Mapping[str, int] | None:
    """Rebuild the side tables with a release's code; what it counted, None when its record cannot be read."""
    for file in (code.script, code.library):
        store_file(store, file)
    artifacts = f"s3://{lake.artifacts_bucket}"
    arguments = {
        # Named per run, which leaves the job as it is; all else is the job's own and not to be chosen.
        # https://docs.aws.amazon.com/glue/latest/dg/aws-glue-programming-etl-glue-arguments.html
        "--scriptLocation": f"{artifacts}/{code.script.key}",
        "--extra-py-files": f"{artifacts}/{code.library.key}",
    }
    run = run_when_free(lake, arguments, Watcher.of_lines(say), left=lambda: deadline.left(TIMEOUT_SECONDS))
    if not run.succeeded:
        lines = "; ".join(last_lines(lake, run.id)[-2:])
        raise DataopsError(
            f"its run {run.id} ended {run.state}: {run.error or lines or 'no reason given'}",
            where=f"{lake.job} with {code.script.path} {code.script.sha256[:12]}",
            hint=f"dataops logs --env {lake.environment} --run {run.id}",
        )
    try:
        manifest = manifest_of(lake, lake.side, run.id)
    except RecordUnreadable:  # another release's format
        return None
    return manifest.counts if manifest else None
