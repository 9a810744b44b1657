"""Following a job: its states, its log, its failure, and a second run at the same time."""

from typing import Any

import pytest
from fake_aws import FakeGlue, FakeLogs, FakeSession

from deployer import pauses
from deployer.errors import Locked
from deployer.lake.job_logs import JobLog, last_lines
from deployer.lake.jobs import (
    JobTimedOut,
    Watcher,
    active_run,
    find_run,
    follow_job,
    recent_runs,
    run_when_free,
    start_job,
)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time stand still between polls."""
    monkeypatch.setattr(pauses.time, "sleep", lambda seconds: None)


def run(session: Any, said: list[str] | None = None, **options: Any) -> Any:
    watcher = Watcher.of_lines(
        said.append if said is not None else lambda text: None, say_line=options.pop("say_line", None)
    )
    options = {"timeout_seconds": 60, **options}
    run_id = start_job(session.lake, {"--full_refresh": "true"}, watcher.say)
    return follow_job(session.lake, run_id, watcher, **options)


def test_a_run_that_succeeds() -> None:
    """Given a job, when it is run, then its states are said and its end comes back."""
    session: Any = FakeSession()
    said: list[str] = []
    done = run(session, said)
    assert (done.id, done.state, done.seconds, done.succeeded) == ("jr_00000000", "SUCCEEDED", 7.0, True)
    assert said == ["job run RUNNING, 0 s", "job run SUCCEEDED after 7 s"]
    assert session.glue.runs[0]["Arguments"] == {"--full_refresh": "true"}


def test_a_run_that_fails_carries_the_cause() -> None:
    """Given a job that fails, when it is run, then the error is Glue's message."""
    session: Any = FakeSession(glue=FakeGlue(ends=[{"JobRunState": "FAILED", "ErrorMessage": "ValueError: no"}]))
    done = run(session)
    assert (done.state, done.error, done.succeeded) == ("FAILED", "ValueError: no", False)


def test_a_second_run_is_locked_out() -> None:
    """Given an active run, when another is started, then the error names the active one and exits with 5."""
    session: Any = FakeSession()
    session.glue.is_running_already("jr_other")
    with pytest.raises(Locked, match="jr_other") as caught:
        run(session)
    assert caught.value.exit_code == 5


def test_a_slot_that_glue_frees_late_is_waited_for() -> None:
    """Given a run that has ended, when Glue still refuses the next one, then that is said once, and the next one starts."""
    session: Any = FakeSession(glue=FakeGlue(frees_late=3))
    said: list[str] = []
    assert run(session, said).succeeded
    assert said[0] == "waiting up to 60 s for Glue to see that the job's last run has ended"
    assert len(said) == 3 and session.glue.frees_late == 0


def test_a_slot_that_never_comes_free_ends_with_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given no active run, when Glue refuses for a minute, then the command ends as locked, and says what was seen."""
    monkeypatch.setattr("deployer.lake.jobs.FREEING_SECONDS", 0.05)
    session: Any = FakeSession(glue=FakeGlue(frees_late=10**9))
    with pytest.raises(Locked, match="Glue starts no run"):
        run(session)
    assert session.glue.runs == []


def test_a_run_that_does_not_end() -> None:
    """Given a run that goes on, when the time is over, then the error says that it goes on and how to follow it."""
    session: Any = FakeSession(glue=FakeGlue(polls_until_done=10**9))
    with pytest.raises(JobTimedOut) as caught:
        run(session, timeout_seconds=0.05)
    assert caught.value.hint is not None and "--follow" in caught.value.hint


def when_free(session: Any, said: list[str], seconds: float) -> Any:
    return run_when_free(session.lake, {}, Watcher.of_lines(said.append), left=lambda: seconds)


def test_a_run_of_ours_that_does_not_end_is_stopped() -> None:
    """Given our own run and a time limit, when the time is over, then the run is stopped, and the error says just that."""
    session: Any = FakeSession(glue=FakeGlue(polls_until_done=10**9))
    with pytest.raises(JobTimedOut, match="run jr_00000000 had not ended after 0 s and was stopped") as caught:
        when_free(session, [], 0.05)
    assert session.glue.stopped == ["jr_00000000"]
    assert caught.value.hint is not None and "dataops logs --env test --run jr_00000000" in caught.value.hint


def test_a_run_of_somebody_else_that_does_not_end_goes_on() -> None:
    """Given another's run, when it does not end in time, then it is not stopped, and nothing of ours was started."""
    session: Any = FakeSession(glue=FakeGlue(polls_until_done=10**9))
    session.glue.is_running_already("jr_nightly")
    session.glue.runs[0]["polls"] = 10**9
    with pytest.raises(JobTimedOut, match="run jr_nightly has not ended after 0 s and continues"):
        when_free(session, [], 0.05)
    assert session.glue.stopped == []
    assert len(session.glue.runs) == 1


def test_an_interruption_stops_our_run() -> None:
    """Given Ctrl-C while our run goes on, then it is stopped, and the interruption is what is raised."""
    session: Any = FakeSession(glue=FakeGlue(polls_until_done=10**9))

    def interrupted(run_id: str, arguments: Any) -> None:
        session.glue.get_job_run = lambda **_: (_ for _ in ()).throw(KeyboardInterrupt)

    session.glue.on_start = interrupted
    with pytest.raises(KeyboardInterrupt):
        when_free(session, [], 60)
    assert session.glue.stopped == ["jr_00000000"]


def test_newest_runs_first() -> None:
    """Given several runs, when they are listed, then the newest is the first, and a missing one is None."""
    session: Any = FakeSession()
    run(session)
    run(session)
    assert [each.id for each in recent_runs(session.lake)] == ["jr_00000001", "jr_00000000"]
    assert active_run(session.lake) is None
    assert find_run(session.lake, "jr_nothing") is None


def test_each_log_line_comes_once_and_in_order() -> None:
    """Given a log that grows, when it is read again and again, then each line comes once, in order of time."""
    logs = FakeLogs(events=[("/job/output", 2, "two"), ("/job/error", 1, "one\nand a half\n")])
    log = JobLog(FakeSession(logs=logs).lake, "jr_1")
    assert list(log.new_lines()) == ["one", "and a half", "two"]
    logs.events += [("/job/output", 2, "two as well"), ("/job/output", 3, "three")]
    assert list(log.new_lines()) == ["two as well", "three"]
    assert list(log.new_lines()) == []


def test_a_log_that_does_not_exist_yet_is_empty() -> None:
    """Given no log group yet, when the log is read, then there are no lines and no error."""
    logs = FakeLogs(events=[("/job/error", 1, "hello")], missing=frozenset({"/job/output"}))
    session: Any = FakeSession(logs=logs)
    assert list(JobLog(session.lake, "jr_1").new_lines()) == ["hello"]
    assert last_lines(session.lake, "jr_1") == []


def test_what_failed_is_read_where_glue_writes_what_a_script_says() -> None:
    """Given Glue 5 and 6, which write a script's stderr beside its stdout, then Spark's own log is not even asked for."""
    logs = FakeLogs(events=[("/job/output", 1, "error: no month"), ("/job/error", 2, "ERROR Executor: lost")])
    session: Any = FakeSession(logs=logs)
    assert last_lines(session.lake, "jr_1") == ["error: no month"]
    assert logs.asked == ["/job/output"]


def test_log_lines_are_said_while_the_run_goes_on() -> None:
    """Given a watcher of the whole log, when a run is followed, then its lines are said as they are, progress too."""
    events = [("/job/output", 1, "progress: 49 objects to read"), ("/job/error", 2, "WARN slow")]
    session: Any = FakeSession(logs=FakeLogs(events=events))
    said, lines = list[str](), list[str]()
    run(session, said, say_line=lines.append)
    assert lines == ["progress: 49 objects to read", "WARN slow"]
    assert said == ["job run RUNNING, 0 s", "job run SUCCEEDED after 7 s"]


def test_the_jobs_own_progress_is_shown_while_it_runs() -> None:
    """Given a job that tells how far it is, when its run is followed, then that is shown, and nothing else of its log."""
    logs = FakeLogs(events=[("/job/output", 1, "progress: 49 objects to read"), ("/job/output", 2, '{"run_id": null}')])
    session: Any = FakeSession(logs=logs, glue=FakeGlue(polls_until_done=3))
    later = [("/job/output", 3, "progress: writing purchase (24 months)")]
    session.glue.on_poll = lambda: logs.events.extend(later[:1]) or later.clear()
    said: list[str] = []
    run(session, said)
    assert said == [
        "job run RUNNING, 0 s",
        "49 objects to read, 0 s",
        "writing purchase (24 months), 0 s",
        "job run SUCCEEDED after 7 s",
    ]


def test_a_poll_asks_the_log_once() -> None:
    """Given a run that is followed, then each poll asks Glue once and the log once."""
    logs = FakeLogs()
    session: Any = FakeSession(logs=logs, glue=FakeGlue(polls_until_done=4))
    run(session)
    assert logs.asked == ["/job/output"] * 5
    assert session.glue.asked == 5


def test_after_a_silence_it_is_said_that_the_job_still_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a job that says nothing for long, then what it last said is shown again, with the time that went by."""
    logs = FakeLogs(events=[("/job/output", 1, "progress: writing purchase (24 months)")])
    session: Any = FakeSession(logs=logs, glue=FakeGlue(polls_until_done=4))
    monkeypatch.setattr("deployer.lake.jobs.poll", lambda timeout: iter((0, 20, 35, 50, 66)))
    said: list[str] = []
    run(session, said)
    assert said[1:-1] == ["writing purchase (24 months), 0 s", "writing purchase (24 months), 35 s"]


def test_a_terminal_is_told_when_the_run_is_over() -> None:
    """Given a watcher that shows one thing at a time, then an empty text takes it away at the end."""
    session, shown = FakeSession(), list[str]()
    run_id = start_job(session.lake, {}, print)
    follow_job(session.lake, run_id, Watcher(print, lambda text, seconds: shown.append(text)), timeout_seconds=60)
    assert shown == ["job run RUNNING", ""]


def test_a_log_that_cannot_be_read_ends_no_run() -> None:
    """Given a role without the right to read logs, when a run is followed, then that is said once, and the run goes on."""
    session: Any = FakeSession(logs=FakeLogs(refuses=True), glue=FakeGlue(polls_until_done=3))
    said: list[str] = []
    assert run(session, said).succeeded
    assert [line for line in said if "log cannot be read" in line] == [
        "the job's log cannot be read, but its run continues: AWS denies operation: no right to logs"
    ]
    assert len(session.logs.asked) == 1
