"""The composition root: ports over a session, and the signals that stop a run cleanly."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployer.artifacts import fetch_release, matching_release
from deployer.attempts import test_with_retries
from deployer.aws import AwsCloud
from deployer.cloud import describe_all
from deployer.config import stack_name
from deployer.deployed_lake import Lake, lake_from
from deployer.deployment import Deployment
from deployer.errors import DataopsError
from deployer.events import Progress, Said
from deployer.identity import utc_now
from deployer.ledger import Ledger
from deployer.lock import EnvironmentLock, Owner
from deployer.pauses import Deadline, Pauses
from deployer.plan import Options, Plan
from deployer.progress import Lines, LiveTerminal, NdJson
from deployer.promotion import Evidence
from deployer.release import Release, build_release
from deployer.request import DeployRequest, Ports, Smoke
from deployer.s3_store import S3RecordStore
from deployer.target import ARTIFACTS_BUCKET_OUTPUT, Target, target_of
from deployer.verdict import Verdict

if TYPE_CHECKING:
    from deployer.app import App
    from deployer.cloud import StackState
    from deployer.session import Session


def cloud_of(session: Session) -> AwsCloud:
    return AwsCloud(session.client("cloudformation"))


def built_target(session: Session) -> Target:
    """What the checkout would deploy."""
    return release_target(session, build_release(session.project))


def ports_of(session: Session, progress: Progress, pauses: Pauses, *, with_smoke: bool) -> Ports:
    s3 = session.client("s3")
    return Ports(
        cloud=cloud_of(session),
        open_store=lambda bucket: S3RecordStore(s3, bucket),
        progress=progress,
        pauses=pauses,
        smoke=_smoke_of(session, progress, pauses) if with_smoke else None,
    )


def _smoke_of(session: Session, progress: Progress, pauses: Pauses) -> Smoke:
    def say(text: str) -> None:
        progress(Said(text))

    def run(outputs: Mapping[str, str], release: Release) -> Verdict:
        from deployer.smoke import run_smoke_test  # only a deployment that changed something needs it

        def open_lake() -> Lake:
            return lake_from(session.environment.name, outputs, session.client)

        deadline = pauses.deadline
        return test_with_retries(
            lambda: run_smoke_test(open_lake, say=say, release=release, deadline=deadline),
            pause=pauses.pause,
            say=say,
            left=deadline.left,
        )

    return run


def artifacts_store(session: Session) -> S3RecordStore:
    """The artifacts bucket of an environment. Raises DataopsError when it is not deployed."""
    project, environment = session.project, session.environment
    cloud = cloud_of(session)
    for stack in project.stacks:
        state = cloud.describe(stack_name(project.name, environment.name, stack))
        if state and ARTIFACTS_BUCKET_OUTPUT in state.outputs:
            return S3RecordStore(session.client("s3"), state.outputs[ARTIFACTS_BUCKET_OUTPUT])
    raise DataopsError(
        f"environment {environment.name} is not deployed yet", hint=f"dataops deploy --env {environment.name}"
    )


def ledger_of(session: Session) -> Ledger:
    return Ledger(artifacts_store(session), session.environment.name)


def progress_of(app: App, *, ndjson: bool = False) -> Progress:
    """Live on a terminal, plain lines elsewhere, ndjson on stdout when asked for."""
    if ndjson:
        return NdJson(sys.stdout)
    return LiveTerminal() if sys.stderr.isatty() and not app.verbose else Lines(app.say, verbose=bool(app.verbose))


@contextmanager
def stoppable(pauses: Pauses) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM ends the run at the next pause, with everything cleared up; the second ends it at once."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        pauses.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def stored_target(session: Session, release: str) -> Target:
    """A release of the environment's artifacts bucket, by the start of its id."""
    store = artifacts_store(session)
    return release_target(session, fetch_release(store, matching_release(store, release, session.environment.name)))


def release_target(session: Session, release: Release) -> Target:
    """A stored release as it would be deployed to the session's environment."""
    return target_of(session.project, session.environment, release)


def plan_target(
    session: Session,
    target: Target,
    options: Options,
    *,
    say: Callable[[str], None],
    deadline: Deadline | None = None,
) -> Plan:
    """A plan that leaves no change set behind, also when it is interrupted."""
    pauses = Pauses(deadline=deadline)
    ports = ports_of(session, Lines(say), pauses, with_smoke=False)
    deployment = Deployment(ports, target, DeployRequest(options=options))
    with stoppable(pauses):
        return deployment.plan()


def evidence_of(session: Session, max_age_days: int, wanted: str | None) -> Evidence:
    """What an environment can prove about its release."""
    project, environment = session.project, session.environment
    names = {stack: stack_name(project.name, environment.name, stack) for stack in project.stacks}
    states = describe_all(cloud_of(session), names)
    bucket = _artifacts_bucket(states)
    current = Ledger(S3RecordStore(session.client("s3"), bucket), environment.name).current() if bucket else None
    return Evidence(environment.name, current, states, utc_now(), max_age_days, wanted)


def _artifacts_bucket(states: Mapping[str, StackState | None]) -> str | None:
    found = (s.outputs.get(ARTIFACTS_BUCKET_OUTPUT) for s in states.values() if s)
    return next(filter(None, found), None)


def lock_owner(session: Session, evidence: Evidence) -> Owner | None:
    """Who holds the environment's lock now."""
    bucket = _artifacts_bucket(evidence.states)
    held = (
        EnvironmentLock(S3RecordStore(session.client("s3"), bucket), session.environment.name).owner()
        if bucket
        else None
    )
    return held[0] if held else None
