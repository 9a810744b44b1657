"""One load of raw files into the tables: the request to the job, and the job's own report.

Starting and following the job is the business of jobs.py, the rules of the load that of glue/.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refunds_lake import log_lines
from refunds_lake.publishing.manifests import COUNTS, Manifest, Problem, RunKind
from refunds_lake.storage.lock import AT_WORK

from deployer.errors import DataopsError, Locked, UsageError
from deployer.lake.deployed_lake import Lake
from deployer.lake.job_logs import last_lines
from deployer.lake.jobs import JobRun, Watcher, follow_job, start_job
from deployer.lake.refund_report import checked_month
from deployer.lake.rejected_records import checked_reason
from deployer.lake.run_manifests import manifest_of, touched_months

TIMEOUT_SECONDS = 6 * 3600


class LoadFailed(DataopsError):
    """The job did not end well."""


@dataclass(frozen=True)
class Load:
    """A load that succeeded."""

    env: str  #: the environment
    job_run_id: str  #: Glue's id of the run
    state: str  #: how it ended in Glue
    seconds: float  #: how long it took
    nothing_new: bool  #: there was nothing to read, or to read again: no run was recorded, and nothing counted
    problems: tuple[Problem, ...] = ()  #: raw objects that could not be read
    waiting: tuple[str, ...] = ()  #: raw objects that wait until their senders rename them
    run_id: str | None = None  #: the id of the recorded run
    kind: str | None = None  #: `increment`, `full_refresh`, `backfill` or `replay`
    files: int = 0  #: raw objects read
    #: `read` = `kept` + `duplicate` + `superseded` + `rejected`; after a replay, records that are no longer rejected
    #: count against `rejected`
    counts: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    months: tuple[str, ...] = ()  #: months of transactions that were published


def load_arguments(*, full_refresh: bool, from_month: str | None, to_month: str | None) -> dict[str, str]:
    """Return the job's arguments, or raise UsageError for a request that makes no sense."""
    if (from_month is None) != (to_month is None):
        raise UsageError(
            "--from and --to must be given together", hint="--from 2026-01 --to 2026-03 rebuilds three months"
        )
    if from_month is None or to_month is None:
        return {"--full_refresh": "true"} if full_refresh else {}
    if full_refresh:
        raise UsageError("--full-refresh rebuilds every month already", hint="leave out --from and --to")
    if checked_month(from_month) > checked_month(to_month):
        raise UsageError(f"{from_month} is after {to_month}", hint=f"--from {to_month} --to {from_month}")
    return {"--from_month": from_month, "--to_month": to_month}


def replay_arguments(reason: str | None) -> dict[str, str]:
    """Return the job's arguments for a replay, or raise UsageError for an impossible reason."""
    if reason is None:
        return {"--replay": "true"}
    return {"--replay": "true", "--replay_reason": checked_reason(reason)}


def load(lake: Lake, arguments: Mapping[str, str], watcher: Watcher) -> Load:
    """Run the job on the live tables to its end. Raise LoadFailed with the cause, Locked when a run is active."""
    run_id = start_job(lake, arguments, watcher.say)
    watcher.say(f"job run {run_id} started")
    try:
        run = follow_job(lake, run_id, watcher, timeout_seconds=TIMEOUT_SECONDS)
    except KeyboardInterrupt:
        follow = f"dataops logs --env {lake.environment} --run {run_id} --follow"
        watcher.say(f"job run {run_id} continues; to follow it: {follow}")
        raise
    if not run.succeeded:
        raise _failure(lake, run, watcher.say)
    manifest = manifest_of(lake, lake.live, run.id)
    if "--from_month" in arguments and manifest is not None and manifest.kind is not RunKind.BACKFILL:
        raise LoadFailed(
            "the deployed job does not rebuild single months; it only loaded new files",
            where=lake.job,
            hint=f"dataops run --env {lake.environment} --full-refresh",
        )
    if manifest is not None:
        return _with_new(lake, run, manifest)
    result = job_result(last_lines(lake, run.id))
    problems = tuple(Problem(each["key"], each["reason"]) for each in result.get("problems", ()))
    waiting = tuple(result.get("waiting", ()))
    return Load(lake.environment, run.id, run.state, run.seconds, nothing_new=True, problems=problems, waiting=waiting)


def _with_new(lake: Lake, run: JobRun, manifest: Manifest) -> Load:
    return Load(
        lake.environment,
        run.id,
        run.state,
        run.seconds,
        nothing_new=False,
        problems=manifest.problems,
        waiting=manifest.waiting,
        run_id=manifest.run_id,
        kind=manifest.kind,
        files=len(manifest.inputs),
        counts=manifest.counts,
        months=touched_months(manifest),
    )


def job_result(lines: Sequence[str]) -> dict[str, Any]:
    """Return the job's own summary: the last line of its output that is a JSON object."""
    for line in reversed(lines):
        if line.startswith("{"):
            with contextlib.suppress(json.JSONDecodeError):
                found: dict[str, Any] = json.loads(line)
                return found
    return {}


def _failure(lake: Lake, run: JobRun, say: Callable[[str], None]) -> DataopsError:
    lines = last_lines(lake, run.id)
    say("the end of the job's log:" if lines else "the job's log is empty")
    for line in lines:
        say(f"  {line}")
    # The job says what is wrong in a line of its own; Glue then only knows that it ended.
    failures = [line.removeprefix(log_lines.ERROR) for line in lines if line.startswith(log_lines.ERROR)]
    cause = failures[-1] if failures else run.error or "Glue gives no reason"
    if AT_WORK in cause:
        return Locked(cause, where=lake.job, hint=f"dataops logs --env {lake.environment} --follow")
    return LoadFailed(
        f"job run {run.id} ended {run.state}: {cause}",
        where=lake.job,
        hint=f"nothing was published in part; for the whole log: dataops logs --env {lake.environment} --run {run.id}",
    )
