"""Starts a Glue job, follows its run and its log to the end, and reports the outcome.

What the job did to the tables is in its manifest, which manifests.py reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from refunds_lake.log_lines import PROGRESS
from refunds_lake.storage.lock import ACTIVE_STATES

from deployer.aws.calls import translated
from deployer.errors import DataopsError, Locked
from deployer.lake.deployed_lake import Lake
from deployer.lake.job_logs import SCRIPT_KINDS, STREAM_KINDS, JobLog
from deployer.pauses import Interrupted, poll

SHOW_AGAIN_SECONDS = 30
FREEING_SECONDS = 60.0  # Glue counts a run as active for a moment after its end
Say = Callable[[str], None]


class JobTimedOut(DataopsError):
    """A job run did not end in time; it may still be running."""


@dataclass(frozen=True)
class JobRun:
    """One run of a job; error is Glue's message, None when there is none."""

    id: str
    state: str
    error: str | None = None
    seconds: float = 0.0

    @property
    def is_active(self) -> bool:
        """Whether the run has not ended."""
        return self.state in ACTIVE_STATES

    @property
    def succeeded(self) -> bool:
        """Whether the run succeeded."""
        return self.state == "SUCCEEDED"


@dataclass(frozen=True)
class Watcher:
    """Who watches a run: `say` takes lasting lines, `show` the current step and its seconds ("" when it has ended).

    `say_line` takes every line of the log, None for none.
    """

    say: Say
    show: Callable[[str, float], None]
    say_line: Say | None = None

    @classmethod
    def of_lines(cls, say: Say, *, say_line: Say | None = None) -> Watcher:
        """Return a watcher that receives everything as lines."""

        def show(text: str, seconds: float) -> None:
            if text:
                say(f"{text}, {seconds:.0f} s")

        return cls(say, show, say_line)

    def prefixed(self, prefix: str) -> Watcher:
        """Return the same watcher with a prefix that says whose job it is."""
        return replace(
            self,
            say=lambda text: self.say(prefix + text),
            show=lambda text, seconds: self.show(text and prefix + text, seconds),
        )


def run_when_free(lake: Lake, arguments: Mapping[str, str], watcher: Watcher, *, left: Callable[[], float]) -> JobRun:
    """Run the job once, after the end of a run that is active; `left` are the seconds that each wait may take now.

    Our own run is stopped when we stop waiting, as it is no longer needed. Raise JobTimedOut when the time is up.
    """
    run_id = _start_when_free(lake, arguments, watcher, left=left)
    watcher.say(f"job run {run_id} started")
    seconds = left()
    try:
        return follow_job(lake, run_id, watcher, timeout_seconds=seconds)
    except BaseException as error:
        ending = _stop_ours(lake, run_id)
        if not isinstance(error, JobTimedOut):
            watcher.say(f"job run {run_id} {ending}")
            raise
        raise JobTimedOut(
            f"run {run_id} had not ended after {seconds:.0f} s and {ending}",
            where=lake.job,
            hint=f"its log shows how far it got: dataops logs --env {lake.environment} --run {run_id}",
        ) from error


def _stop_ours(lake: Lake, run_id: str) -> str:
    """Stop a run that we give up; how that went. It never hides why we give up."""
    try:
        stop_run(lake, run_id)
    except DataopsError as error:
        return f"could not be stopped ({error}): it continues until its own time limit"
    return "was stopped"


def _start_when_free(lake: Lake, arguments: Mapping[str, str], watcher: Watcher, *, left: Callable[[], float]) -> str:
    try:
        return start_job(lake, arguments, watcher.say)
    except Locked:
        active = active_run(lake)
    if active is not None:
        watcher.say(f"waiting for job run {active.id}, which is active")
        follow_job(lake, active.id, watcher, timeout_seconds=left())
    return start_job(lake, arguments, watcher.say)


def start_job(lake: Lake, arguments: Mapping[str, str], say: Say) -> str:
    """Start a run and return its id. Raise Locked when the job runs already.

    When Glue refuses although no run is active, it has not taken note of the end of the last one: that is waited for.
    """
    for attempt, _ in enumerate(poll(FREEING_SECONDS)):
        try:
            return str(lake.glue.start_job_run(JobName=lake.job, Arguments=dict(arguments))["JobRunId"])
        except lake.glue.exceptions.ConcurrentRunsExceededException:
            active = active_run(lake)
        if active is not None:
            raise Locked(
                f"run {active.id} of the job is already active",
                where=lake.job,
                hint=f"wait for it: dataops logs --env {lake.environment} --follow",
            )
        if attempt == 0:
            say(f"waiting up to {FREEING_SECONDS:.0f} s for Glue to see that the job's last run has ended")
    raise Locked(
        f"Glue starts no run because too many are active, but there is no active run after {FREEING_SECONDS:.0f} s",
        where=lake.job,
        hint="run the same command again in a few minutes",
    )


def follow_job(
    lake: Lake, run_id: str, watcher: Watcher, *, timeout_seconds: float, log: JobLog | None = None
) -> JobRun:
    """Wait for the end of a run: its states and what the job says of its progress are shown, after a silence again.

    One call for the state and one for the log in each poll; two for the log when every line is wanted.
    """
    told = _Told(log or JobLog(lake, run_id, STREAM_KINDS if watcher.say_line else SCRIPT_KINDS), watcher)
    state, step, shown_at = "", "", 0.0
    for waited in poll(timeout_seconds):
        run = read_run(lake, run_id)
        steps = told.new_steps()
        if not run.is_active:
            watcher.show("", waited)
            watcher.say(f"job run {run.state} after {run.seconds:.0f} s")
            return run
        if run.state != state:
            steps = [f"job run {run.state}", *steps]
        elif not steps and waited - shown_at >= SHOW_AGAIN_SECONDS:
            steps = [step]
        for step in steps:
            watcher.show(step, waited)
            shown_at = waited
        state = run.state
    raise JobTimedOut(
        f"run {run_id} has not ended after {timeout_seconds:.0f} s and continues",
        where=lake.job,
        hint=f"dataops logs --env {lake.environment} --run {run_id} --follow",
    )


class _Told:
    """A job's reports in its log. A log that cannot be read does not end a run; this is reported once."""

    def __init__(self, log: JobLog, watcher: Watcher) -> None:
        self._log, self._watcher, self._can_be_read = log, watcher, True

    def new_steps(self) -> list[str]:
        """Return the progress steps since the last call; a watcher of every line receives them as lines."""
        lines = self._new_lines() if self._can_be_read else []
        if self._watcher.say_line is None:
            return [line.removeprefix(PROGRESS) for line in lines if line.startswith(PROGRESS)]
        for line in lines:
            self._watcher.say_line(line)
        return []

    def _new_lines(self) -> list[str]:
        try:
            return self._log.new_lines()
        except Interrupted:
            raise
        except DataopsError as error:
            self._can_be_read = False
            self._watcher.say(f"the job's log cannot be read, but its run continues: {error}")
            return []


def read_run(lake: Lake, run_id: str) -> JobRun:
    """Ask for the state of one run."""
    return _job_run(lake.glue.get_job_run(JobName=lake.job, RunId=run_id)["JobRun"])


def find_run(lake: Lake, run_id: str) -> JobRun | None:
    """Ask for a run that may not exist."""
    try:
        return read_run(lake, run_id)
    except lake.glue.exceptions.EntityNotFoundException:
        return None


def recent_runs(lake: Lake, *, limit: int = 20) -> list[JobRun]:
    """Return the latest runs, newest first."""
    found = lake.glue.get_job_runs(JobName=lake.job, MaxResults=limit)["JobRuns"]
    newest_first = sorted(found, key=lambda run: str(run.get("StartedOn", "")), reverse=True)
    return [_job_run(run) for run in newest_first]


def active_run(lake: Lake) -> JobRun | None:
    """Return the active run, if any."""
    return next((run for run in recent_runs(lake) if run.is_active), None)


@translated
def stop_run(lake: Lake, run_id: str) -> None:
    """Ask Glue to stop a run; a run that has ended is fine."""
    lake.glue.batch_stop_job_run(JobName=lake.job, JobRunIds=[run_id])


def _job_run(found: Mapping[str, Any]) -> JobRun:
    return JobRun(
        id=found["Id"],
        state=found["JobRunState"],
        error=found.get("ErrorMessage") or None,
        seconds=float(found.get("ExecutionTime", 0) or 0),
    )
