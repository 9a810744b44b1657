"""ingest, run, report, logs, sample and data on the command line: what is printed where, and the exit codes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_aws import Failure, FakeAthena, FakeGlue, FakeLogs, FakeSession
from refunds_lake.publishing.manifests import InputObject, Manifest, Month, Problem, RunKind, manifest_key

from deployer import pauses

Run = Callable[..., tuple[int, str, str]]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
MANIFEST = Manifest(
    number=1,
    run_id="20261101T000000Z-00000000",
    parent=None,
    job_run_id="jr_00000000",
    kind=RunKind.INCREMENT,
    started_at=NOW,
    finished_at=NOW,
    reporting_time_zone="UTC",
    inputs=(InputObject("transactions/a.csv", "etag", NOW, 10, 5, 1),),
    counts={"read": 5, "kept": 2, "duplicate": 1, "superseded": 1, "rejected": 1},
    problems=(Problem("transactions/b.xyz", "unknown suffix"),),
    tables={
        "purchase": {"2026-10": Month("s3://base/x/", 1, None), "2026-09": Month("s3://base/y/", 1, None)},
        "rejected": {"2026-11": Month("s3://base/z/", 1, None)},
    },
    changed={"purchase": ("2026-09", "2026-10"), "rejected": ("2026-11",)},
)


@pytest.fixture
def session() -> Any:
    return FakeSession(athena=FakeAthena(results={("refunds_base_test", "all time"): [("anna", "50.25")]}))


def records(session: Any, manifest: Manifest) -> Callable[[str, Mapping[str, str]], None]:
    """Let the job record a manifest when it starts."""

    def on_start(run_id: str, arguments: Mapping[str, str]) -> None:
        session.s3.objects["base", manifest_key("base/", manifest.number)] = manifest.as_json()

    return on_start


def test_a_run_that_is_no_longer_followed_goes_on(dataops: Run, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a run that is followed, when Ctrl-C comes, then it says that the job goes on and how to follow it again."""

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pauses.time, "sleep", interrupt)
    session.glue.polls_until_done = 3
    code, _, err = dataops("run", "--env", "test")
    assert code == 130
    assert "job run jr_00000000 continues; to follow it: dataops logs --env test --run jr_00000000 --follow\n" in err
    assert session.glue.stopped == []


def test_report_as_a_table(dataops: Run) -> None:
    """Given refunds, when they are reported, then the table is the result and the rest is talk."""
    code, out, err = dataops("report", "--env", "test")
    assert code == 0
    assert out.splitlines()[2].split() == ["anna", "50.25"]
    assert err == "refunds of all time: 1 customer, 50.25 in total; 1,234 bytes scanned\n"


def test_report_as_json_is_a_list(dataops: Run) -> None:
    """Given --format json, when refunds are reported, then stdout is the list and nothing else."""
    code, out, _ = dataops("report", "--env", "test", "--format", "json")
    assert (code, json.loads(out)) == (0, [{"customer_id": "anna", "total_refund": "50.25"}])


def test_report_with_output_json_is_an_object(dataops: Run) -> None:
    """Given --output json, when refunds are reported, then stdout is one object with a version; --format wins over it."""
    _, out, _ = dataops("--output", "json", "report", "--env", "test")
    document = json.loads(out)
    assert document["version"] == 1 and document["command"] == "report"
    assert document["rows"] == [{"customer_id": "anna", "total_refund": "50.25"}]
    _, out, _ = dataops("--output", "json", "report", "--env", "test", "--format", "csv")
    assert out == "customer_id,total_refund\nanna,50.25\n"


def test_report_for_a_spreadsheet(dataops: Run, session: Any) -> None:
    """Given an id that a spreadsheet would compute, when safe CSV is asked for, then it is text; other formats have none."""
    session.athena.results["refunds_base_test", "all time"] = [("=1+1", "50.25")]
    _, out, _ = dataops("report", "--env", "test", "--format", "csv", "--csv-safe")
    assert out == "customer_id,total_refund\n'=1+1,50.25\n"
    _, out, _ = dataops("report", "--env", "test", "--format", "csv")
    assert out == "customer_id,total_refund\n=1+1,50.25\n"
    code, _, err = dataops("report", "--env", "test", "--csv-safe")
    assert (code, "--format csv" in err) == (2, True)


def test_report_into_a_file(dataops: Run, tmp_path: Path) -> None:
    """Given --out, when refunds are reported, then the file has them, stdout nothing, and no half file stays behind."""
    target = tmp_path / "refunds.csv"
    target.write_text("old")
    code, out, err = dataops("report", "--env", "test", "--format", "csv", "--out", str(target))
    assert (code, out) == (0, "")
    assert target.read_text() == "customer_id,total_refund\nanna,50.25\n"
    assert list(tmp_path.iterdir()) == [target]
    assert f"written to {target}" in err


def test_report_into_a_file_with_output_json(dataops: Run, tmp_path: Path) -> None:
    """Given --out and --output json, when refunds are reported, then both the file and the object are there."""
    target = tmp_path / "refunds.txt"
    code, out, _ = dataops("--output", "json", "report", "--env", "test", "--out", str(target))
    assert (code, json.loads(out)["customers"]) == (0, 1)
    assert "50.25" in target.read_text()


def test_report_into_a_folder_that_is_not_there(dataops: Run, session: Any, tmp_path: Path) -> None:
    """Given --out below a missing folder, when refunds are reported, then nothing is queried and the exit code is 2."""
    code, _, err = dataops("report", "--env", "test", "--out", str(tmp_path / "no" / "refunds.csv"))
    assert code == 2 and "there is no folder" in err
    assert session.athena.started == []


@pytest.mark.parametrize("month", ["2026-13", "2026-1", "october"])
def test_report_of_a_month_that_is_none(dataops: Run, session: Any, month: str) -> None:
    """Given something that is not a month, when it is reported, then the exit code is 2 and nothing is queried."""
    code, out, err = dataops("report", "--env", "test", "--month", month)
    assert (code, out) == (2, "")
    assert err == f"error: '{month}' is not a month\nhint: write a month as YYYY-MM, for example 2026-10\n"
    assert session.athena.started == []


def test_report_before_any_run_is_empty_and_says_why(dataops: Run, session: Any) -> None:
    """Given no run yet, when refunds are reported, then the report is empty, the reason is said, and all is well."""
    session.athena.results = {}
    code, out, err = dataops("report", "--env", "test", "--format", "json")
    assert (code, out) == (0, "[]\n")
    assert "no run has loaded anything yet; next: dataops run --env test" in err


def test_report_of_a_month_without_refunds(dataops: Run, session: Any) -> None:
    """Given runs but no refund in a month, when it is reported, then it says so and does not blame a missing run."""
    session.s3.objects["base", manifest_key("base/", MANIFEST.number)] = MANIFEST.as_json()
    code, out, err = dataops("report", "--env", "test", "--month", "2020-01", "--format", "csv")
    assert (code, out) == (0, "customer_id,total_refund\n")
    assert "no customer has refunds of 2020-01" in err


def test_no_finance_page_before_any_run(
    dataops: Run, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given no run yet, when a finance page is asked for, then there is none, because it could not say where it comes from."""
    monkeypatch.setattr("deployer.commands.report.deployed_release", lambda session: "release")
    code, out, err = dataops("report", "--env", "test", "--html", str(tmp_path / "page.html"))
    assert (code, out, list(tmp_path.iterdir())) == (1, "", [])
    assert err == "error: no run has loaded anything yet\nhint: dataops run --env test\n"


@pytest.mark.parametrize(
    ("key", "said", "next_step"),
    [
        (manifest_key("base/", 2), "the manifest of run gone is missing, but run 2026", "restore its previous version"),
        ("base/_runs/20261101T000000Z-00000000.json", "recorded by an earlier version", "dataops run --env test, or"),
    ],
)
def test_report_of_runs_that_cannot_be_read(dataops: Run, session: Any, key: str, said: str, next_step: str) -> None:
    """Given a missing manifest, or those of an earlier version, when an empty report is explained, then it says what to do."""
    session.athena.results = {}
    session.s3.objects["base", key] = replace(MANIFEST, number=2, parent="gone").as_json()
    code, _, err = dataops("report", "--env", "test")
    assert code == 1 and "Traceback" not in err
    assert "error: environment test: " in err and said in err and next_step in err.splitlines()[-1]


def test_report_that_athena_fails(dataops: Run, session: Any) -> None:
    """Given a failing query, when refunds are reported, then Athena's reason is the error and the exit code is 1."""
    session.athena.results["refunds_base_test", "all time"] = Failure("TABLE_NOT_FOUND: line 3")
    code, out, err = dataops("report", "--env", "test")
    assert (code, out) == (1, "")
    assert "TABLE_NOT_FOUND: line 3" in err and "Traceback" not in err


def test_run_prints_the_counts_of_the_manifest(dataops: Run, session: Any) -> None:
    """Given new files, when the job runs, then files, the equation, the months and the unread files are printed."""
    session.glue = FakeGlue(on_start=records(session, MANIFEST))
    code, out, err = dataops("run", "--env", "test")
    assert code == 0
    assert out.splitlines() == [
        "run 20261101T000000Z-00000000: 1 files in 7 s",
        "5 read = 2 kept + 1 duplicate + 1 superseded + 1 rejected",
        "2 months published, 2026-09 to 2026-10",
        "1 files could not be read:",
        "  transactions/b.xyz: unknown suffix",
    ]
    assert "job run jr_00000000 started" in err
    assert session.glue.runs[0]["Arguments"] == {}


def test_run_as_json(dataops: Run, session: Any) -> None:
    """Given --output json, when the job runs, then stdout is one object with the counts."""
    session.glue = FakeGlue(on_start=records(session, MANIFEST))
    _, out, _ = dataops("--output", "json", "run", "--env", "test", "--full-refresh")
    document = json.loads(out)
    assert document["counts"]["read"] == 5 and document["months"] == ["2026-09", "2026-10"]
    assert document["problems"] == [{"key": "transactions/b.xyz", "reason": "unknown suffix"}]
    assert session.glue.runs[0]["Arguments"] == {"--full_refresh": "true"}


def test_run_with_nothing_new(dataops: Run, session: Any) -> None:
    """Given no new files, when the job runs, then it says so; files that it still cannot read are named again."""
    said = json.dumps({"run_id": None, "problems": [{"key": "transactions/b.xyz", "reason": "unknown suffix"}]})
    session.logs = FakeLogs(events=[("/job/output", 1, "nothing new to read"), ("/job/output", 2, said)])
    code, out, _ = dataops("run", "--env", "test")
    assert code == 0
    assert out.startswith("nothing new: every readable raw file is already in the tables\n")
    assert "transactions/b.xyz: unknown suffix" in out


def test_run_lists_what_waits(dataops: Run, session: Any) -> None:
    """Given uploads that are not renamed yet, when the job runs, then they are listed, apart from what cannot be read."""
    waiting = "transactions/source=sftp/acme/day.csv.tmp"
    session.glue = FakeGlue(on_start=records(session, replace(MANIFEST, waiting=(waiting,), problems=())))
    assert dataops("run", "--env", "test")[1].splitlines()[-2:] == [
        "1 files are waiting for their senders to rename them:",
        f"  {waiting}",
    ]
    session.glue = FakeGlue()
    session.logs = FakeLogs(events=[("/job/output", 1, json.dumps({"run_id": None, "waiting": [waiting]}))])
    assert waiting in dataops("run", "--env", "test")[1]


def test_run_that_fails_prints_cause_and_log(dataops: Run, session: Any) -> None:
    """Given a job that fails, when it runs, then the log's end comes first, the cause last, and the next step."""
    session.glue = FakeGlue(ends=[{"JobRunState": "FAILED", "ErrorMessage": "SystemExit: 1"}])
    session.logs = FakeLogs(
        events=[("/job/output", 1, "reading"), ("/job/output", 2, "error: 5 read, 4 accounted for")]
    )
    code, out, err = dataops("run", "--env", "test")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert lines[-5:-2] == ["the end of the job's log:", "  reading", "  error: 5 read, 4 accounted for"]
    assert lines[-2] == "error: base-tables: job run jr_00000000 ended FAILED: 5 read, 4 accounted for"
    assert lines[-1].startswith("hint: ") and "--run jr_00000000" in lines[-1]


def test_run_while_another_runs(dataops: Run, session: Any) -> None:
    """Given an active run, when the job is started, then the error names it and the exit code is 5."""
    session.glue.is_running_already("jr_nightly")
    code, _, err = dataops("run", "--env", "test")
    assert code == 5
    assert "jr_nightly" in err


def test_run_against_the_tables_lock(dataops: Run, session: Any) -> None:
    """Given tables that somebody else is at work on, when the job runs, then the exit code is 5 as well."""
    session.glue = FakeGlue(ends=[{"JobRunState": "FAILED", "ErrorMessage": "SystemExit: 1"}])
    session.logs = FakeLogs(events=[("/job/output", 1, "error: run x is at work on these tables; its lock ...")])
    code, _, err = dataops("run", "--env", "test")
    assert code == 5
    assert "run x is at work" in err


def test_run_of_some_months_only(dataops: Run, session: Any) -> None:
    """Given a deployed job that does not know --from, when months are to be rebuilt, then it is an error, not silence."""
    session.glue = FakeGlue(on_start=records(session, MANIFEST))
    code, _, err = dataops("run", "--env", "test", "--from", "2026-01", "--to", "2026-02")
    assert code == 1 and "--full-refresh" in err
    session.glue = FakeGlue(on_start=records(session, replace(MANIFEST, kind=RunKind.BACKFILL)))
    assert dataops("run", "--env", "test", "--from", "2026-01", "--to", "2026-02")[0] == 0
    assert session.glue.runs[0]["Arguments"] == {"--from_month": "2026-01", "--to_month": "2026-02"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "2026-01"),
        ("--to", "2026-01"),
        ("--from", "2026-02", "--to", "2026-01"),
        ("--from", "2026-1", "--to", "2026-02"),
        ("--full-refresh", "--from", "2026-01", "--to", "2026-02"),
    ],
)
def test_run_of_months_that_make_no_sense(dataops: Run, session: Any, arguments: tuple[str, ...]) -> None:
    """Given half a range, a reversed one or no month, when the job is to run, then it is a usage error, nothing runs."""
    assert dataops("run", "--env", "test", *arguments)[0] == 2
    assert session.glue.runs == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), {"--replay": "true"}),
        (("--reason", "amount_invalid"), {"--replay": "true", "--replay_reason": "amount_invalid"}),
    ],
)
def test_replay_asks_the_job_for_rejected_records(
    dataops: Run, session: Any, options: tuple[str, ...], expected: dict[str, str]
) -> None:
    """Given rejected records, when they are replayed, then the job is asked for them and what it repaired is printed."""
    repaired = {"read": 0, "kept": 1, "duplicate": 0, "superseded": 0, "rejected": -1}
    session.glue = FakeGlue(on_start=records(session, replace(MANIFEST, kind=RunKind.REPLAY, counts=repaired)))
    code, out, _ = dataops("replay", "--env", "test", *options)
    assert (code, session.glue.runs[0]["Arguments"]) == (0, expected)
    assert "0 read = 1 kept + 0 duplicate + 0 superseded + -1 rejected" in out


def test_replay_of_nothing_says_so(dataops: Run) -> None:
    """Given no rejected record of a reason, when it is replayed, then that is said and is no failure."""
    code, out, _ = dataops("replay", "--env", "test", "--reason", "id_missing")
    assert code == 0
    assert out.startswith("nothing was rejected for the reason id_missing")


def test_replay_of_what_is_no_reason(dataops: Run, session: Any) -> None:
    """Given a reason that cannot be one, when it is to be replayed, then it is a usage error and nothing runs."""
    assert dataops("replay", "--env", "test", "--reason", "Amount!")[0] == 2
    assert session.glue.runs == []


def test_verbose_run_prints_the_log(dataops: Run, session: Any) -> None:
    """Given -v, when the job runs, then its log lines are talk on stderr."""
    session.logs = FakeLogs(events=[("/job/output", 1, "this run: read 5")])
    assert "this run: read 5" in dataops("-v", "run", "--env", "test")[2]
    assert "this run: read 5" not in dataops("run", "--env", "test")[2]


@pytest.mark.parametrize("arguments", [("nothing.csv",), ("dataops.yml",), ("athena",)])
def test_ingest_of_a_bad_file(dataops: Run, session: Any, arguments: tuple[str, ...]) -> None:
    """Given a missing file, an unknown suffix or a directory, when it is ingested, then the exit code is 2."""
    code, out, err = dataops("ingest", "--env", "test", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {arguments[0]}: ") and "Traceback" not in err
    assert session.s3.objects == {}


def test_ingest_without_a_file(dataops: Run) -> None:
    """Given no file at all, when ingest is called, then it is a usage error."""
    assert dataops("ingest", "--env", "test")[0] == 2


def test_ingest_by_an_unknown_route(dataops: Run) -> None:
    """Given a route that does not exist, when it is asked for, then those that exist are named."""
    code, _, err = dataops("ingest", "--env", "test", "--route", "fax", "a.csv")
    assert code == 2
    assert "'s3'" in err and "'stream'" in err


def test_logs_before_any_run(dataops: Run) -> None:
    """Given no run, when the log is asked for, then that is said and all is well."""
    code, out, err = dataops("logs", "--env", "test")
    assert (code, out) == (0, "")
    assert "has not run yet" in err


def test_logs_of_the_latest_run(dataops: Run, session: Any) -> None:
    """Given a run, when the log is asked for, then its lines are the result; an unknown run is a usage error."""
    session.logs = FakeLogs(events=[("/job/output", 1, "hello")])
    dataops("run", "--env", "test")
    code, out, err = dataops("logs", "--env", "test")
    assert (code, out) == (0, "hello\n")
    assert "jr_00000000" in err
    code, _, err = dataops("logs", "--env", "test", "--run", "jr_x")
    assert code == 2 and "jr_x" in err


def test_logs_of_a_review_s_run(dataops: Run, session: Any) -> None:
    """Given a run of the job of reviews, when its log is asked for by its id, then it comes from that job's groups."""
    session.logs = FakeLogs(events=[("/review/output", 1, "rebuilding")])
    run_id = session.glue.start_job_run(JobName="review", Arguments={})["JobRunId"]
    code, out, _ = dataops("logs", "--env", "test", "--run", run_id)
    assert (code, out) == (0, "rebuilding\n")


def test_logs_of_a_part_since_a_moment(dataops: Run, session: Any) -> None:
    """Given lines of a function, when its log is asked for, then those of the last hour come with their times, no older."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    session.logs = FakeLogs(events=[("/validation", now - 7_200_000, "old"), ("/validation", now - 1000, "new\nline")])
    code, out, err = dataops("logs", "--env", "test", "--validate")
    assert code == 0 and [line[20:] for line in out.splitlines()] == ["new", "line"]
    assert "validate since " in err and "/validation" in err
    assert "old" in dataops("logs", "--env", "test", "--validate", "--since", "3h")[1]
    document = json.loads(dataops("--output", "json", "logs", "--env", "test", "--validate")[1])
    assert (document["part"], document["run"], len(document["lines"])) == ("validate", None, 2)


def test_logs_of_all_runs_since_a_moment(dataops: Run, session: Any) -> None:
    """Given runs, when the job's log since a moment is asked for, then both of its groups are read, whatever the run."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    session.logs = FakeLogs(events=[("/job/error", now - 1000, "two"), ("/job/output", now - 2000, "one")])
    code, out, _ = dataops("logs", "--env", "test", "--job", "--since", "1h")
    assert code == 0 and [line[20:] for line in out.splitlines()] == ["one", "two"]


def test_logs_that_are_followed_until_the_time_is_over(dataops: Run, session: Any) -> None:
    """Given a log that grows, when it is followed, then each line comes once, and --timeout ends it."""
    now = int(datetime.now(UTC).timestamp() * 1000)
    session.logs = FakeLogs(events=[("/validation", now - 2, "one")])
    session.logs.on_read = lambda: session.logs.events.append(("/validation", now - 1, "two"))
    code, out, _ = dataops("logs", "--env", "test", "--validate", "--follow", "--timeout", "0.05")
    lines = [line[20:] for line in out.splitlines()]
    assert code == 0 and lines[0] == "one" and lines.count("one") == 1 and "two" in lines[1:]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--sftp",), 1, "no deployed stack has a log group for sftp"),
        (("--validate", "--run", "x"), 2, "--run prints the whole log of one job run"),
        (("--since", "soon"), 2, "'soon' is not a time"),
        (("--validate", "--follow", "--output", "json"), 2, "--timeout"),
    ],
)
def test_logs_of_what_is_not_there(dataops: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    """Given a part that is not deployed, or options that do not go together, when a log is asked for, then that is said."""
    found, _, err = dataops("logs", "--env", "test", *arguments)
    assert found == code and said in err
    assert "--job, --validate" in err or code == 2


def test_sample_says_where_the_answer_is(dataops: Run, tmp_path: Path) -> None:
    """Given a folder, when a sample is made, then its size and the place of the answer are printed."""
    folder = tmp_path / "sample"
    code, out, err = dataops("sample", "--out", str(folder), "--transactions", "100", "--months", "3", "--seed", "7")
    assert code == 0
    assert out.splitlines()[0].startswith("100 transactions of 3 months in ")
    assert out.splitlines()[-1] == f"the answer: {tmp_path / 'sample.answer.json'}"
    assert err == f"next: dataops ingest --env local {folder}/*\n"


def test_data_runs_lists_the_newest_first(dataops: Run, session: Any) -> None:
    """Given recorded runs, when they are listed, then each says its counts and whether it is in force."""
    session.s3.objects["base", manifest_key("base/", MANIFEST.number)] = MANIFEST.as_json()
    code, out, _ = dataops("data", "runs", "--env", "test")
    assert code == 0
    assert out.split() == [MANIFEST.run_id, "increment", "5", "read", "2", "kept", "in", "force"]


def test_data_rollback_of_an_unknown_run(dataops: Run) -> None:
    """Given a run that nobody recorded, when it is to be rolled back, then the guard refuses with exit code 6."""
    code, _, err = dataops("data", "rollback", "--env", "test", "--run", "x", "--yes")
    assert code == 6
    assert "not recorded" in err and "dataops data runs" in err


def test_data_rollback_asks_first(dataops: Run, session: Any) -> None:
    """Given no terminal and no --yes, when a run is to be rolled back, then the plan is shown and nothing changes."""
    session.s3.objects["base", manifest_key("base/", MANIFEST.number)] = MANIFEST.as_json()
    before = dict(session.s3.objects)
    code, _, err = dataops("data", "rollback", "--env", "test", "--run", MANIFEST.run_id)
    assert code == 2
    assert f"undoes 1 runs: {MANIFEST.run_id}" in err and "--yes" in err
    assert session.s3.objects == before
