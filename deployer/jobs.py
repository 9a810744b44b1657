"""Starts a Glue job, follows its run and its log to the end, and says what became of it.

What the job did to the tables is in its manifest, which manifests.py reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.aws_calls import translated
from deployer.deployed_lake import Lake
from deployer.errors import DataopsError, Locked
from deployer.logs import JobLog
from deployer.pauses import poll

# https://docs.aws.amazon.com/glue/latest/dg/job-run-statuses.html
ACTIVE_STATES = frozenset({"STARTING", "RUNNING", "STOPPING", "WAITING"})
SAY_AGAIN_SECONDS = 30


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
        """Whether the run did what it was asked for."""
        return self.state == "SUCCEEDED"


def run_when_free(
    lake: Lake,
    arguments: Mapping[str, str],
    *,
    say: Callable[[str], None],
    left: Callable[[], float],
) -> JobRun:
    """Run the job once, after the end of a run that is active; `left` are the seconds that each wait may take now.

    Our own run is stopped when we break off: nobody needs it any more. Raises JobTimedOut when the time is over.
    """
    run_id = _started_when_free(lake, arguments, say=say, left=left)
    say(f"job run {run_id} started")
    seconds = left()
    try:
        return follow_job(lake, run_id, say=say, timeout_seconds=seconds)
    except BaseException as error:
        ending = _stopped(lake, run_id)
        if not isinstance(error, JobTimedOut):
            say(f"job run {run_id} {ending}")
            raise
        raise JobTimedOut(
            f"run {run_id} had not ended after {seconds:.0f} s and {ending}",
            where=lake.job,
            hint=f"its log says how far it came: dataops logs --env {lake.environment} --run {run_id}",
        ) from error


def _stopped(lake: Lake, run_id: str) -> str:
    """Stop a run that we give up; how that went. It never hides why we give up."""
    try:
        stop_run(lake, run_id)
    except DataopsError as error:
        return f"could not be stopped ({error}): it goes on to its own time limit"
    return "was stopped"


def _started_when_free(
    lake: Lake,
    arguments: Mapping[str, str],
    *,
    say: Callable[[str], None],
    left: Callable[[], float],
) -> str:
    try:
        return start_job(lake, arguments)
    except Locked:
        active = active_run(lake)
    if active is not None:
        say(f"waiting for job run {active.id}, which is active")
        follow_job(lake, active.id, say=say, timeout_seconds=left())
    return start_job(lake, arguments)


def start_job(lake: Lake, arguments: Mapping[str, str]) -> str:
    """Start a run and return its id. Raises Locked when the job runs already."""
    try:
        return str(lake.glue.start_job_run(JobName=lake.job, Arguments=dict(arguments))["JobRunId"])
    except lake.glue.exceptions.ConcurrentRunsExceededException as error:
        active = active_run(lake)
        named = f"run {active.id}" if active else "another run"
        raise Locked(
            f"{named} of the job is active already",
            where=lake.job,
            hint=f"wait for it: dataops logs --env {lake.environment} --follow",
        ) from error


def follow_job(
    lake: Lake,
    run_id: str,
    *,
    say: Callable[[str], None],
    timeout_seconds: float,
    log: JobLog | None = None,
    say_log: Callable[[str], None] | None = None,
) -> JobRun:
    """Wait for the end of a run; say each state that it enters, and now and then that it still lives."""
    last_said, last_state = 0.0, ""
    for waited in poll(timeout_seconds):
        run = read_run(lake, run_id)
        if log is not None and say_log is not None:
            for line in log.new_lines():
                say_log(line)
        if not run.is_active:
            say(f"job run {run.state} after {run.seconds:.0f} s")
            return run
        if run.state != last_state or waited - last_said >= SAY_AGAIN_SECONDS:
            say(f"job run {run.state}, {waited:.0f} s")
            last_said, last_state = waited, run.state
    raise JobTimedOut(
        f"run {run_id} has not ended after {timeout_seconds:.0f} s, it goes on",
        where=lake.job,
        hint=f"dataops logs --env {lake.environment} --run {run_id} --follow",
    )


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
    """Return the run that is going on, if any."""
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
