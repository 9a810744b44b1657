"""`dataops status`: show the release and the stacks of an environment, its alarms, and when the job runs next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from deployer.cloudformation.outputs import outputs_of
from deployer.cloudformation.port import StackState
from deployer.cloudformation.statuses import row_of
from deployer.composition.environment import evidence_of, lock_owner
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.lake.api_counts import ApiCounts
from deployer.lake.arrivals import Arrivals, arrivals_of
from deployer.lake.deployed_lake import Lake, MissingOutput, lake_from
from deployer.lake.run_manifests import base_store, recorded_runs
from deployer.lake.watch import (
    SCHEDULE_OUTPUT,
    LastRun,
    LastValidation,
    NextRun,
    OpenAlarm,
    last_run,
    last_validation,
    next_run,
    next_run_line,
    open_alarms,
    standing_lines,
)
from deployer.ledger.identity import utc_now
from deployer.ledger.ledger import Current
from deployer.ledger.lock import Owner
from deployer.printable import printable
from deployer.release.release import short, short_commit
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples
from deployer.terminal.output import write_lines

if TYPE_CHECKING:
    from deployer.aws.session import Session

WAITING_SHOWN = 5


@dataclass(frozen=True)
class StackStatus:
    """One stack now."""

    stack: str  #: its name in dataops.yml
    name: str | None  #: its name in CloudFormation; null when it is not deployed
    status: str  #: CloudFormation's status, or `not deployed`
    last_updated: str | None  #: when it last changed, in ISO 8601
    reason: str  #: why it has this status
    as_recorded: bool  #: nothing was changed since the last deployment; false if there was none
    way_out: str  #: what to do about a stuck stack
    #: CloudFormation's result of the last drift detection, such as `IN_SYNC` or `DRIFTED`; empty if the stack is not
    #: deployed
    drift: str = ""
    drift_checked: str | None = None  #: when that was, in ISO 8601; null before the first


@dataclass(frozen=True)
class StatusResult:
    """An environment now: what is recorded as deployed, its stacks, who holds its lock, what has arrived, what watches it."""

    environment: str  #: the environment
    current: Current | None  #: what is recorded as deployed; null before the first deployment
    stacks: tuple[StackStatus, ...]  #: in the order of dataops.yml
    lock: Owner | None  #: who holds the environment's lock; null if nobody does
    arrivals: Arrivals | None  #: what has arrived; null where the lake is not deployed as a whole
    last_run: LastRun | None  #: the newest run that published; null before the first
    #: the newest report of the daily validation; null where there is none of the last 40 days
    validation: LastValidation | None
    next_run: NextRun | None  #: when the schedule runs the job; null where none is deployed
    alarms: tuple[OpenAlarm, ...]  #: the active alarms, oldest first


@click.command(epilog=examples("dataops status --env local", "dataops status --env prod --watch 10"))
@env_option
@click.option(
    "--watch",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Refresh every SECONDS until Ctrl-C.",
)
@click.pass_obj
def status(app: App, /, env_name: str, watch: float | None) -> None:
    """Show the release and its verdict, every stack, how to get out of a stuck one, the lock, and what has arrived.

    Drift as last detected, the last run, failing checks, the next scheduled run of the job and the active alarms follow.
    Arrivals are shown by route, as far as the job has read them, with files that wait to be renamed, what the API accepted
    and refused, and objects in the raw bucket that belong to no route.
    """
    if watch and app.output == "json":
        raise UsageError("--watch cannot be used with --output json, which prints one object and ends")
    session = app.connect(env_name)
    if not watch:
        result = look(session)
        app.emit(as_document(result), "\n".join(status_lines(result)))
        return
    while True:
        lines = list(status_lines(look(session)))
        click.clear()
        write_lines("\n".join(lines))
        time.sleep(watch)


def look(session: Session) -> StatusResult:
    """Return the current state of an environment."""
    evidence, environment = evidence_of(session, 0, None), session.environment.name
    outputs = outputs_of(evidence.states, {stack: spec.outputs for stack, spec in session.project.stacks.items()})
    lake, now, schedule = _lake(session, outputs), utc_now(), outputs.get(SCHEDULE_OUTPUT)
    runs = recorded_runs(lake, lake.live) if lake else ()
    return StatusResult(
        environment=environment,
        current=evidence.current,
        stacks=tuple(stack_status(stack, state, evidence.current) for stack, state in evidence.states.items()),
        lock=lock_owner(session, evidence),
        arrivals=arrivals_of(lake, runs, now) if lake else None,
        last_run=last_run(runs),
        validation=last_validation(base_store(lake), now.date()) if lake else None,
        next_run=next_run(session.client("scheduler"), schedule, now) if schedule else None,
        alarms=open_alarms(session.client("cloudwatch"), f"{session.project.name}-{environment}-"),
    )


def _lake(session: Session, outputs: Mapping[str, str]) -> Lake | None:
    try:
        return lake_from(session.environment.name, outputs, session.client)
    except MissingOutput:
        return None


def stack_status(stack: str, state: StackState | None, current: Current | None) -> StackStatus:
    """Return the status of a stack from its state in CloudFormation and the ledger's record."""
    record, way_out = current.stacks.get(stack) if current else None, row_of(state.status if state else None).way_out
    if state is None:
        return StackStatus(stack, None, "not deployed", None, "", as_recorded=False, way_out=way_out)
    as_recorded = record is not None and record.matches(state, record.digest)
    return StackStatus(
        stack,
        state.name,
        state.status,
        state.last_updated,
        state.reason,
        as_recorded,
        way_out,
        drift=state.drift,
        drift_checked=state.drift_checked or None,
    )


def status_lines(result: StatusResult) -> Iterator[str]:
    """Write the status as text."""
    yield _head(result)
    for stack in result.stacks:
        changed = result.current is not None and stack.name is not None and not stack.as_recorded
        yield f"  {stack.stack:<16} {stack.status}" + ("  changed since the last deployment" if changed else "")
        if stack.reason:
            yield f"  {'':<16} {stack.reason}"
        if stack.way_out:
            yield f"  {'':<16} -> {stack.way_out}"
    if result.lock:
        yield f"locked by {result.lock.describe(time.time())}"
    if any(stack.name for stack in result.stacks):
        yield drift_line(result.stacks, result.environment)
    yield from standing_lines(result.last_run, result.validation)
    if result.next_run:
        yield next_run_line(result.next_run)
    for alarm in result.alarms:
        yield f"alarm since {alarm.since:%Y-%m-%d %H:%M} UTC: {alarm.says}" + (
            f", see {alarm.runbook}" if alarm.runbook else ""
        )
    if result.arrivals:
        yield from arrival_lines(result.arrivals, result.environment)


def drift_line(stacks: Sequence[StackStatus], environment: str) -> str:
    """Write what the last detection of drift has found, and when that was."""
    times = [stack.drift_checked for stack in stacks if stack.drift_checked and stack.drift in ("IN_SYNC", "DRIFTED")]
    if not times:
        return f"drift has not been detected yet: dataops drift --env {environment}"
    drifted = [stack.stack for stack in stacks if stack.drift == "DRIFTED"]
    said = f"{', '.join(drifted)}; dataops drift --env {environment} shows it" if drifted else "none"
    return f"drift as last detected, {min(times)[:16].replace('T', ' ')} UTC: {said}"


def arrival_lines(arrivals: Arrivals, environment: str) -> Iterator[str]:
    """Write what has arrived, and what needs attention."""
    yield "arrivals, as far as the job has read them:"
    for each in arrivals.routes:
        last = f"last {each.last_arrival}" if each.last_arrival else "nothing yet"
        counts = f"{each.files:>8,} files {each.records:>12,} records {each.rejected:>9,} rejected"
        yield f"  {each.route:<16} {counts}  {last}"
        for key in each.waiting[:WAITING_SHOWN]:
            yield f"  {'':<16} waits for its sender to rename it: {printable(key)}"
        if (more := len(each.waiting) - WAITING_SHOWN) > 0:
            yield f"  {'':<16} and {more:,} more wait"
    if arrivals.api:
        yield api_line(arrivals.api)
    for key in arrivals.unowned:
        yield f"  {printable(key)} in the raw bucket belongs to no route"
    if arrivals.delivery_errors:
        yield f"  {arrivals.delivery_errors:,} objects that Firehose could not deliver"
        yield f"  {'':<16} -> dataops replay --env {environment} --delivery-errors"


def api_line(api: ApiCounts) -> str:
    """Say what the API took, of which the records are among the stream's, and what it refused."""
    return (
        f"  the API, in {api.days} days: {api.accepted_calls:,} calls with {api.accepted_records:,} records accepted, "
        f"{api.refused_calls:,} calls with {api.refused_records:,} bad records refused, {api.failed_calls:,} calls failed"
    )


def _head(result: StatusResult) -> str:
    current = result.current
    if current is None:
        return f"environment {result.environment}: nothing is recorded as deployed"
    smoke = str(current.smoke.outcome) if current.smoke else "not run"
    return (
        f"environment {result.environment}: release {short(current.release)} ({current.outcome}), smoke test {smoke}, "
        f"since {current.deployed_at}" + (f", commit {short_commit(current.commit)}" if current.commit else "")
    )
