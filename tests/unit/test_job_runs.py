"""Following a job: its states, its log, its failure, and a second run at the same time."""

from typing import Any

import pytest
from fake_aws import FakeGlue, FakeLogs, FakeSession

from deployer import polling
from deployer.errors import Locked
from deployer.jobs import JobTimedOut, active_run, find_run, recent_runs, run_job
from deployer.logs import JobLog, last_lines


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time stand still between polls."""
    monkeypatch.setattr(polling.time, "sleep", lambda seconds: None)


def run(session: Any, said: list[str] | None = None, **options: Any) -> Any:
    say = said.append if said is not None else lambda text: None
    options = {"timeout_seconds": 60, **options}
    return run_job(session, "base-tables", {"--full_refresh": "true"}, say=say, **options)


def test_a_run_that_succeeds() -> None:
    """Given a job, when it is run, then its states are said and its end comes back."""
    session: Any = FakeSession()
    said: list[str] = []
    done = run(session, said)
    assert (done.id, done.state, done.seconds, done.succeeded) == ("jr_00000000", "SUCCEEDED", 7.0, True)
    assert said == ["job run jr_00000000 started", "job run RUNNING, 0 s", "job run SUCCEEDED after 7 s"]
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


def test_a_run_that_does_not_end() -> None:
    """Given a run that goes on, when the time is over, then the error says that it goes on and how to follow it."""
    session: Any = FakeSession(glue=FakeGlue(polls_until_done=10**9))
    with pytest.raises(JobTimedOut) as caught:
        run(session, timeout_seconds=0.05)
    assert caught.value.hint is not None and "--follow" in caught.value.hint


def test_newest_runs_first() -> None:
    """Given several runs, when they are listed, then the newest is the first, and a missing one is None."""
    session: Any = FakeSession()
    run(session)
    run(session)
    assert [each.id for each in recent_runs(session, "base-tables")] == ["jr_00000001", "jr_00000000"]
    assert active_run(session, "base-tables") is None
    assert find_run(session, "base-tables", "jr_nothing") is None


def test_each_log_line_comes_once_and_in_order() -> None:
    """Given a log that grows, when it is read again and again, then each line comes once, in order of time."""
    logs = FakeLogs(events=[("/job/output", 2, "two"), ("/job/error", 1, "one\nand a half\n")])
    log = JobLog(FakeSession(logs=logs), "/job", "jr_1")  # type: ignore[arg-type]
    assert list(log.new_lines()) == ["one", "and a half", "two"]
    logs.events += [("/job/output", 2, "two as well"), ("/job/output", 3, "three")]
    assert list(log.new_lines()) == ["two as well", "three"]
    assert list(log.new_lines()) == []


def test_a_log_that_does_not_exist_yet_is_empty() -> None:
    """Given no log group yet, when the log is read, then there are no lines and no error."""
    logs = FakeLogs(events=[("/job/output", 1, "hello")], missing=frozenset({"/job/error"}))
    session: Any = FakeSession(logs=logs)
    assert list(JobLog(session, "/job", "jr_1").new_lines()) == ["hello"]
    assert last_lines(session, "/job", "jr_1") == []


def test_log_lines_are_said_while_the_run_goes_on() -> None:
    """Given a log, when its run is followed, then its lines are said."""
    session: Any = FakeSession(logs=FakeLogs(events=[("/job/output", 1, "this run: read 5")]))
    lines: list[str] = []
    run(session, log=JobLog(session, "/job", "jr_00000000"), say_log=lines.append)
    assert lines == ["this run: read 5"]
