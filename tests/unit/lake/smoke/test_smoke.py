"""The smoke test: its fixtures have the answer that they claim, and each way to fail gets its own verdict."""

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from fake_aws import OUTPUTS, ROOT, Failure, FakeAthena, FakeGlue, FakeLogs, FakeSession, client_error
from refunds_lake.publishing.manifests import Manifest, Problem, RunKind, manifest_key
from sql_harness import answer

from deployer import pauses
from deployer.errors import ConfigError
from deployer.lake.deployed_lake import lake_from
from deployer.lake.jobs import Watcher
from deployer.lake.smoke.fixtures import FIXTURES_PREFIX, Fixtures, load_fixtures
from deployer.lake.smoke.smoke_test import run_smoke_test
from deployer.ledger.verdict import SmokeOutcome
from deployer.pauses import Deadline
from deployer.release.release import Release, ReleaseFile

FOLDER = ROOT / FIXTURES_PREFIX
SMOKE_DATABASE = OUTPUTS["SmokeDatabaseName"]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time stand still between polls."""
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)


def release_with_fixtures() -> Release:
    """A release of the checkout's fixtures alone."""
    paths = {path.relative_to(ROOT).as_posix(): path for path in FOLDER.iterdir()}
    return Release({}, {name: ReleaseFile(name, "sql", path.read_bytes()) for name, path in paths.items()})


def as_text(rows: Any) -> list[tuple[str | None, ...]]:
    return [(row.customer_id, f"{row.total_refund:.2f}") for row in rows]


class World:
    """A deployed lakehouse in which everything is right; tests then break one thing."""

    def __init__(self) -> None:
        self.release = release_with_fixtures()
        self.fixtures: Fixtures = load_fixtures(self.release)
        results: dict[tuple[str, str], Any] = {(SMOKE_DATABASE, "all time"): as_text(self.fixtures.total)}
        for month, rows in self.fixtures.monthly.items():
            results[SMOKE_DATABASE, month] = as_text(rows)
        self.counts: Mapping[str, int] = self.fixtures.counts
        self.problems: tuple[Problem, ...] = ()
        self.records_a_manifest = True
        self.session: Any = FakeSession(
            athena=FakeAthena(results=results), glue=FakeGlue(on_start=self._record), logs=FakeLogs()
        )
        self.said: list[str] = []

    def _record(self, job_run_id: str, arguments: Mapping[str, str]) -> None:
        if not self.records_a_manifest:
            return
        now = datetime(2026, 1, 1, tzinfo=UTC)
        manifest = Manifest(
            number=1,
            run_id="20260101T000000Z-00000000",
            parent=None,
            job_run_id=job_run_id,
            kind=RunKind.FULL_REFRESH,
            started_at=now,
            finished_at=now,
            reporting_time_zone="UTC",
            counts=self.counts,
            problems=self.problems,
        )
        self.session.s3.objects["base", manifest_key("smoke/", manifest.number)] = manifest.as_json()

    def test(self, deadline: Deadline | None = None) -> Any:
        return run_smoke_test(
            lambda: self.session.lake, Watcher.of_lines(self.said.append), release=self.release, deadline=deadline
        )


def test_the_fixtures_have_the_answer_that_they_claim() -> None:
    """Given the raw fixtures, when plain Python works their answer out, then it is the one beside them."""
    claimed = json.loads((FOLDER / "answer.json").read_text(encoding="utf-8"))
    found = answer([FOLDER / name for name in sorted(claimed["uploads"])])
    assert found["counts"] == claimed["counts"]
    assert found["total"] == claimed["total"]
    assert found["monthly"] == claimed["monthly"]


def test_every_fixture_is_uploaded_and_explained() -> None:
    """Given the folder, when it is read, then each raw file is uploaded and each id stands in the README."""
    fixtures = load_fixtures(release_with_fixtures())
    raw = {path.name for path in FOLDER.iterdir() if path.name[0].isdigit()}
    assert {name.removesuffix(".gz") for name in fixtures.files} == raw
    assert gzip.decompress(fixtures.files["02-second.csv.gz"]) == (FOLDER / "02-second.csv").read_bytes()
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    ids = {row["customer_id"] for row in json.loads((FOLDER / "answer.json").read_text(encoding="utf-8"))["total"]}
    assert [customer for customer in ids if customer not in readme] == []


def test_a_right_answer_passes() -> None:
    """Given a lakehouse that gives the answer, when it is tested, then it passes, and the rows come along."""
    world = World()
    verdict = world.test()
    assert (verdict.outcome, verdict.differences) == (SmokeOutcome.PASS, ())
    assert verdict.rows == world.fixtures.total
    assert verdict.bytes_scanned == 1234 * 6
    assert verdict.message.startswith("11 customers, ")


def test_only_the_side_tables_are_written() -> None:
    """Given a smoke test, when it runs, then raw files and tables are those of smoke/, with the months of UTC."""
    world = World()
    world.test()
    (run,) = world.session.glue.runs
    assert run["Arguments"]["--base_prefix"] == "smoke/"
    assert run["Arguments"]["--database"] == SMOKE_DATABASE
    assert run["Arguments"]["--full_refresh"] == "true"
    assert run["Arguments"]["--reporting_time_zone"] == "UTC"
    prefix = run["Arguments"]["--raw_prefix"]
    uploaded = [key for bucket, key in world.session.s3.objects if bucket == "raw"]
    assert prefix.startswith("smoke/") and prefix.endswith("/transactions/")
    assert len(uploaded) == 3 and all(key.startswith(f"{prefix}source=smoke/ingest_date=") for key in uploaded)


def test_another_test_reads_none_of_the_first_ones_files() -> None:
    """Given two smoke tests, when they run, then each has raw files of its own."""
    world = World()
    world.test()
    world.test()
    first, second = (run["Arguments"]["--raw_prefix"] for run in world.session.glue.runs)
    assert first != second


def test_a_cent_too_much_is_a_wrong_answer() -> None:
    """Given a total that is one cent off, when it is tested, then the verdict names customer and both amounts."""
    world = World()
    world.session.athena.results[SMOKE_DATABASE, "all time"][0] = ("anna", "50.26")
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert verdict.differences == ("anna: expected 50.25, found 50.26",)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda rows: rows.pop(), "zoë: expected 3.30, found no row"),
        (lambda rows: rows.append(("eve", "10.00")), "eve: expected no row, found 10.00"),
        (lambda rows: rows.reverse(), "the same rows in a different order, or a customer twice"),
    ],
)
def test_missing_additional_and_unordered_rows(change: Any, line: str) -> None:
    """Given a report with other rows, when it is tested, then it is wrong, and the difference is named."""
    world = World()
    change(world.session.athena.results[SMOKE_DATABASE, "all time"])
    verdict = world.test()
    assert (verdict.outcome, verdict.differences) == (SmokeOutcome.WRONG_ANSWER, (line,))


def test_a_wrong_month_is_a_wrong_answer() -> None:
    """Given a monthly report that disagrees, when it is tested, then the verdict names the month."""
    world = World()
    world.session.athena.results[SMOKE_DATABASE, "2025-03"] = []
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert "2025-03" in verdict.message


def test_lost_records_are_a_wrong_answer() -> None:
    """Given counts that differ from the known ones, when it is tested, then both equations are shown."""
    world = World()
    world.counts = {**world.fixtures.counts, "rejected": 17, "kept": 45}
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert verdict.differences == (
        "expected 68 read = 44 kept + 2 duplicate + 4 superseded + 18 rejected",
        "found    68 read = 45 kept + 2 duplicate + 4 superseded + 17 rejected",
    )


def test_an_unread_fixture_is_a_wrong_answer() -> None:
    """Given a job that could not read a fixture, when it is tested, then the verdict names it."""
    world = World()
    world.problems = (Problem("smoke/x/02-second.csv.gz", "not gzip"),)
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert "smoke/x/02-second.csv.gz: not gzip" in verdict.differences


def test_no_manifest_is_a_wrong_answer() -> None:
    """Given a job that recorded nothing, when it is tested, then it does not pass."""
    world = World()
    world.records_a_manifest = False
    assert world.test().outcome is SmokeOutcome.WRONG_ANSWER


def test_a_job_that_our_code_fails_is_a_wrong_answer() -> None:
    """Given a script that raises, when it is tested, then the release is to blame and the log's end is shown."""
    world = World()
    world.session.glue.ends = [{"JobRunState": "FAILED", "ErrorMessage": "SystemExit: 1"}]
    world.session.logs.events = [("/job/output", 1, "error: does not add up")]
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert verdict.differences == ("error: does not add up",)


@pytest.mark.parametrize(
    "end",
    [
        {"JobRunState": "FAILED", "ErrorMessage": "Resource unavailable: no capacity"},
        {"JobRunState": "ERROR", "ErrorMessage": "Internal service error"},
        {"JobRunState": "STOPPED"},
        {"JobRunState": "FAILED"},
        {"JobRunState": "FAILED", "ErrorMessage": "LockHeld: another run holds the lock smoke/_lock"},
        {"JobRunState": "FAILED", "ErrorMessage": "Py4JError: An error occurred while calling o12.collect"},
        {"JobRunState": "FAILED", "ErrorMessage": "PySparkRuntimeError: [JAVA_GATEWAY_EXITED] Java gateway exited"},
        {"JobRunState": "FAILED", "ErrorMessage": "WorkerFailed: OSError: [Errno 28] No space left on device"},
    ],
)
def test_a_job_that_never_got_to_our_code_says_nothing_about_the_release(end: dict[str, str]) -> None:
    """Given a run that Glue could not carry out, when it is tested, then the verdict blames the infrastructure."""
    world = World()
    world.session.glue.ends = [end]
    assert world.test().outcome is SmokeOutcome.INFRASTRUCTURE_ERROR


def test_a_job_that_takes_too_long_is_a_timeout() -> None:
    """Given a run that Glue ended at its time limit, when it is tested, then the verdict is a timeout."""
    world = World()
    world.session.glue.ends = [{"JobRunState": "TIMEOUT"}]
    assert world.test().outcome is SmokeOutcome.TIMEOUT


def test_the_deadline_ends_a_job_that_does_not_end() -> None:
    """Given a job run that goes on, when the command's time is over, then the verdict is a timeout, and the run is stopped."""
    world = World()
    world.session.glue.polls_until_done = 10**9
    verdict = world.test(Deadline(0.05))
    assert verdict.outcome is SmokeOutcome.TIMEOUT
    assert "had not ended after 0 s and was stopped" in verdict.message
    assert world.session.glue.stopped == ["jr_00000000"]


def test_the_deadline_ends_a_query_that_does_not_end() -> None:
    """Given a query that goes on, when the command's time is over, then the verdict is a timeout, and the query is stopped."""
    world = World()
    world.session.athena.polls_until_done = 10**9
    verdict = world.test(Deadline(0.05))
    assert verdict.outcome is SmokeOutcome.TIMEOUT
    assert "query 0 was stopped after 0 s" in verdict.message
    assert world.session.athena.stopped == ["0"]


@pytest.mark.parametrize(
    ("category", "outcome"),
    [(1, SmokeOutcome.INFRASTRUCTURE_ERROR), (2, SmokeOutcome.WRONG_ANSWER), (3, SmokeOutcome.INFRASTRUCTURE_ERROR)],
)
def test_a_failed_query_counts_against_the_release_when_it_is_the_query(category: int, outcome: SmokeOutcome) -> None:
    """Given a query that fails, when it is tested, then only a fault of the query counts against the release."""
    world = World()
    world.session.athena.results[SMOKE_DATABASE, "all time"] = Failure("SYNTAX_ERROR: line 1", category)
    assert world.test().outcome is outcome


def test_a_denied_right_says_nothing_about_the_release() -> None:
    """Given a reader without a right, when it is tested, then Athena calls it the user's fault, and it is not the release's."""
    world = World()
    denied = Failure("PERMISSION_DENIED: Access Denied (Service: Amazon S3; Status Code: 403)", 2)
    world.session.athena.results[SMOKE_DATABASE, "all time"] = denied
    assert world.test().outcome is SmokeOutcome.INFRASTRUCTURE_ERROR


def test_a_report_with_other_columns_is_a_wrong_answer() -> None:
    """Given SQL that runs and gives something else, when it is tested, then the release is to blame."""
    world = World()
    world.session.athena.columns = ("customer", "refund")
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert "customer, refund instead of customer_id, total_refund" in verdict.message


def test_the_live_report_must_stay_within_the_limit() -> None:
    """Given a live report that the bytes limit cancels, when it is tested, then the release does not pass."""
    world = World()
    failure = Failure("Bytes scanned limit was exceeded", 2, "CANCELLED")
    world.session.athena.results[OUTPUTS["BaseDatabaseName"], "all time"] = failure
    assert world.test().outcome is SmokeOutcome.WRONG_ANSWER


def test_a_failing_upload_is_the_infrastructure() -> None:
    """Given S3 that refuses a write, when it is tested, then the verdict blames the infrastructure."""
    world = World()
    world.session.s3.failures = [client_error(ClientError, "SlowDown", "Please reduce your request rate")]
    verdict = world.test()
    assert verdict.outcome is SmokeOutcome.INFRASTRUCTURE_ERROR
    assert "SlowDown" in verdict.message


def test_a_run_of_the_live_tables_is_waited_for() -> None:
    """Given a run that is active, when the test starts, then it waits for that run and then passes."""
    world = World()
    world.session.glue.is_running_already("jr_nightly")
    assert world.test().outcome is SmokeOutcome.PASS
    assert "smoke test: waiting for job run jr_nightly, which is active" in world.said


@pytest.mark.parametrize("name", ["answer.json", "03-late.jsonl"])
def test_the_fixtures_are_those_of_the_release(name: str) -> None:
    """Given a release without one of them, when it is tested, then the error names it and is not hidden behind a verdict."""
    world = World()
    world.release = Release({}, {path: file for path, file in world.release.files.items() if not path.endswith(name)})
    with pytest.raises(ConfigError, match=f"athena/smoke/{name}: release .* has no such file"):
        world.test()
    assert world.session.s3.objects == {}


def test_a_release_without_the_outputs_that_its_test_needs_does_not_pass() -> None:
    """Given stacks that name no side database, when it is tested, then the release is to blame, and the output is named."""
    world = World()
    outputs = {name: value for name, value in OUTPUTS.items() if name != "SmokeDatabaseName"}
    verdict = run_smoke_test(
        lambda: lake_from("uat", outputs, world.session.client),
        Watcher.of_lines(world.said.append),
        release=world.release,
    )
    assert verdict.outcome is SmokeOutcome.WRONG_ANSWER
    assert verdict.message == "environment uat: no deployed stack has an output SmokeDatabaseName"


def test_the_jobs_progress_is_shown_as_the_tests() -> None:
    """Given a job that tells how far it is, when the smoke test runs it, then that is shown under the test's name."""
    world = World()
    world.session.logs.events = [("/job/output", 1, "progress: 3 objects to read")]
    world.test()
    assert "smoke test: 3 objects to read, 0 s" in world.said
