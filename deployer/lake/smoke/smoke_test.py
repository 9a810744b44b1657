"""The smoke test: raw fixtures with a known answer go through the deployed job and the deployed SQL.

It writes below smoke/ only; live tables are read, never touched. The fixtures and the answer are the release's own
(fixtures.py); what a failed test means for a release is the business of deploy and promote.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from deployer.aws.translation import explain
from deployer.errors import DataopsError
from deployer.lake.deployed_lake import Lake, MissingOutput
from deployer.lake.job_logs import last_lines
from deployer.lake.jobs import JobRun, JobTimedOut, Watcher, run_when_free
from deployer.lake.queries import QUERY_TIMEOUT_SECONDS, QueryFailed, QueryTimedOut
from deployer.lake.refund_report import NoRefundReport, RefundReport, fetch_report
from deployer.lake.report_comparison import Totals, differing_customers, totals
from deployer.lake.run_manifests import counts_text, manifest_of
from deployer.lake.smoke.faults import speaks_of_the_code, speaks_of_the_query
from deployer.lake.smoke.fixtures import INGEST_DATE, Fixtures, load_fixtures
from deployer.ledger.verdict import SmokeOutcome, Verdict
from deployer.pauses import Deadline
from deployer.refunds import RefundRow, money
from deployer.release.release import Release

JOB_TIMEOUT_SECONDS = 1800.0  # of each wait: for a run that is active, and for our own


class WrongAnswer(Exception):
    """The release does not give the answer; the differences are lines for people."""

    def __init__(self, message: str, differences: Sequence[str] = (), rows: tuple[RefundRow, ...] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)
        self.rows = rows


class NotJudged(Exception):
    """There is no answer, for a reason that says nothing about the release."""


def run_smoke_test(
    open_lake: Callable[[], Lake],
    watcher: Watcher,
    *,
    release: Release,
    deadline: Deadline | None = None,
) -> Verdict:
    """Test what is deployed, once, and return the verdict; whether to try again is attempts.py's business.

    `open_lake` raises MissingOutput when the release's stacks do not give what its own test needs.

    At the deadline the verdict is TIMEOUT, and neither a job run nor a query is left behind.
    """
    started = time.monotonic()
    verdict = _judged(open_lake, watcher, release=release, deadline=deadline or Deadline())
    return replace(verdict, seconds=round(time.monotonic() - started, 2))


def _run_name(release_id: str) -> str:
    """Name the fixtures' prefix: what an earlier test uploaded is never read again."""
    return f"{release_id[:16]}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:8]}"


def _judged(open_lake: Callable[[], Lake], watcher: Watcher, *, release: Release, deadline: Deadline) -> Verdict:
    fixtures = load_fixtures(release)
    try:
        return _test(open_lake(), fixtures, watcher, run_name=_run_name(release.id), deadline=deadline)
    except WrongAnswer as wrong:
        return Verdict(SmokeOutcome.WRONG_ANSWER, str(wrong), rows=wrong.rows, differences=wrong.differences)
    except (MissingOutput, NoRefundReport) as missing:  # the release does not give what its own test needs: no try will
        return Verdict(SmokeOutcome.WRONG_ANSWER, str(missing))
    except (QueryTimedOut, JobTimedOut) as late:
        return Verdict(SmokeOutcome.TIMEOUT, str(late))
    except QueryFailed as failed:
        is_wrong = speaks_of_the_query(failed)
        return Verdict(SmokeOutcome.WRONG_ANSWER if is_wrong else SmokeOutcome.INFRASTRUCTURE_ERROR, str(failed))
    except Exception as fault:
        if not isinstance(fault, NotJudged | DataopsError) and explain(fault) is None:
            raise
        return Verdict(SmokeOutcome.INFRASTRUCTURE_ERROR, str(fault))


def _test(
    lake: Lake,
    fixtures: Fixtures,
    watcher: Watcher,
    *,
    run_name: str,
    deadline: Deadline,
) -> Verdict:
    raw_prefix = f"smoke/{run_name}/transactions/"
    _upload(lake, raw_prefix, fixtures)
    watcher.say(f"smoke test: {len(fixtures.files)} raw files uploaded, starting the job")
    run = _run_job(lake, raw_prefix, watcher.prefixed("smoke test: "), deadline=deadline)
    _require_counts(lake, run, fixtures)
    rows, scanned = _require_reports(lake, fixtures, say=watcher.say, deadline=deadline)
    live = fetch_report(lake, lake.live, timeout_seconds=deadline.left(QUERY_TIMEOUT_SECONDS))
    scanned += live.bytes_scanned
    watcher.say(f"smoke test: the live report runs, {len(live.rows):,} customers, {live.bytes_scanned:,} bytes scanned")
    message = f"{len(rows)} customers, {money(sum((row.total_refund for row in rows), Decimal()))}, equal to the cent"
    return Verdict(SmokeOutcome.PASS, message, rows=rows, bytes_scanned=scanned)


def _upload(lake: Lake, raw_prefix: str, fixtures: Fixtures) -> None:
    for name, body in fixtures.files.items():
        key = f"{raw_prefix}source=smoke/ingest_date={INGEST_DATE}/{name}"
        lake.s3.put_object(Bucket=lake.raw_bucket, Key=key, Body=body)


def _run_job(lake: Lake, raw_prefix: str, watcher: Watcher, *, deadline: Deadline) -> JobRun:
    arguments = {
        "--raw_prefix": raw_prefix,
        "--base_prefix": lake.side.prefix,
        "--database": lake.side.database,
        "--full_refresh": "true",
        "--reporting_time_zone": "UTC",  # the answer's months are those of UTC, whatever the live tables are in
    }
    run = run_when_free(
        lake,
        arguments,
        watcher,
        left=lambda: deadline.left(JOB_TIMEOUT_SECONDS),
    )
    if run.succeeded:
        return run
    cause = run.error or f"the job run ended {run.state}"
    if run.state == "TIMEOUT":
        raise JobTimedOut(cause, where=lake.job)
    if run.state != "FAILED" or not speaks_of_the_code(cause):
        raise NotJudged(f"job run {run.id} ended {run.state}: {cause}")
    raise WrongAnswer(f"the job failed on the fixtures: {cause}", last_lines(lake, run.id))


def _require_counts(lake: Lake, run: JobRun, fixtures: Fixtures) -> None:
    manifest = manifest_of(lake, lake.side, run.id)
    if manifest is None:
        raise WrongAnswer(f"job run {run.id} succeeded but recorded no run manifest")
    counts = {name: manifest.counts.get(name) for name in fixtures.counts}
    problems = [f"{problem.key}: {problem.reason}" for problem in manifest.problems]
    if counts != fixtures.counts or problems:
        expected = f"expected {counts_text(fixtures.counts)}"
        found = f"found    {counts_text(manifest.counts)}"
        raise WrongAnswer("the job's counts differ from the records", [expected, found, *problems])


def _require_reports(
    lake: Lake,
    fixtures: Fixtures,
    *,
    say: Callable[[str], None],
    deadline: Deadline,
) -> tuple[tuple[RefundRow, ...], int]:
    def report_of(month: str | None = None) -> RefundReport:
        seconds = deadline.left(QUERY_TIMEOUT_SECONDS)
        return fetch_report(lake, lake.side, month, timeout_seconds=seconds)

    total = report_of()
    _require_rows("refunds.sql", total.rows, fixtures.total)
    scanned = total.bytes_scanned
    for month, expected in fixtures.monthly.items():
        report = report_of(month)
        _require_rows(f"monthly_refunds.sql for {month}", report.rows, expected)
        scanned += report.bytes_scanned
    months = len(fixtures.monthly)
    say(f"smoke test: {len(total.rows)} customers for all time and {months} months agree with the answer to the cent")
    return total.rows, scanned


def _require_rows(name: str, found: tuple[RefundRow, ...], expected: tuple[RefundRow, ...]) -> None:
    if found != expected:
        lines = _difference_lines(totals(found), totals(expected))
        lines = lines or ["the same rows in a different order, or a customer twice"]
        raise WrongAnswer(f"the rows of {name} differ from the answer", lines, found)


def _difference_lines(found: Totals, expected: Totals) -> list[str]:
    """Say for each customer who differs what was expected and what was found."""

    def amount(side: Totals, customer: str) -> str:
        return money(side[customer]) if customer in side else "no row"

    return [
        f"{customer}: expected {amount(expected, customer)}, found {amount(found, customer)}"
        for customer in differing_customers(expected, found)
    ]
