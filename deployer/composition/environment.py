"""The state of an environment, read through a session: its stacks, artifacts bucket, ledger, lock and targets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from deployer.aws.cloudformation import AwsCloud
from deployer.aws.s3_store import S3RecordStore
from deployer.cloudformation.outputs import artifacts_bucket, outputs_of
from deployer.cloudformation.port import MAX_DESCRIBED_AT_ONCE, StackState, describe_all
from deployer.deploying.promotion import Evidence
from deployer.errors import DataopsError
from deployer.lake.deployed_lake import Lake, lake_from
from deployer.ledger.identity import utc_now
from deployer.ledger.ledger import Ledger
from deployer.ledger.lock import EnvironmentLock, Owner
from deployer.planning.render import RenderedResource, render
from deployer.project.config import stack_name
from deployer.project.templates import parse_template
from deployer.release.artifacts import fetch_release, matching_release
from deployer.release.release import Release, build_release
from deployer.release.target import Target, target_of

if TYPE_CHECKING:
    from deployer.aws.session import Session


def cloud_of(session: Session) -> AwsCloud:
    return AwsCloud(session.client("cloudformation"))


def store_of(session: Session, bucket: str) -> S3RecordStore:
    return S3RecordStore(session.client("s3"), bucket)


def stack_names(session: Session) -> dict[str, str]:
    """Return the names in CloudFormation of the stacks of dataops.yml."""
    project, environment = session.project, session.environment
    return {stack: stack_name(project.name, environment.name, stack) for stack in project.stacks}


def stack_states(session: Session) -> dict[str, StackState | None]:
    return describe_all(cloud_of(session), stack_names(session))


def lake_of(session: Session) -> Lake:
    """Return the deployed lake. Raise DataopsError if the environment is not deployed or its stacks lack an output."""
    return lake_from(session.environment.name, stack_outputs(session), session.client)


def stack_outputs(session: Session) -> dict[str, str]:
    """Return all outputs of the environment's deployed stacks, after the renames of dataops.yml."""
    name, states = session.environment.name, stack_states(session)
    missing = [stack for stack, state in states.items() if state is None or state.status == "REVIEW_IN_PROGRESS"]
    if missing:
        raise DataopsError(
            f"environment {name} is not deployed yet (missing: {', '.join(missing)})",
            hint=f"dataops deploy --env {name}",
        )
    return outputs_of(states, {stack: spec.outputs for stack, spec in session.project.stacks.items()})


def deployed_resources(session: Session) -> list[dict[str, RenderedResource]]:
    """Return what the deployed templates declare, stack by stack, under the parameters that they were deployed with."""
    cloud = cloud_of(session)

    def of_stack(item: tuple[str, StackState | None]) -> dict[str, RenderedResource]:
        stack, state = item
        if state is None:
            return {}
        return render(parse_template(cloud.template_body(state.stack_id), Path(stack)).document, state.parameters)

    with ThreadPoolExecutor(MAX_DESCRIBED_AT_ONCE) as pool:
        return list(pool.map(of_stack, stack_states(session).items()))


def artifacts_store(session: Session) -> S3RecordStore:
    """Return the artifacts bucket of an environment. Raise DataopsError if it is not deployed."""
    cloud, environment = cloud_of(session), session.environment
    bucket = artifacts_bucket(cloud.describe(name) for name in stack_names(session).values())
    if bucket is None:
        raise DataopsError(
            f"environment {environment.name} is not deployed yet", hint=f"dataops deploy --env {environment.name}"
        )
    return store_of(session, bucket)


def ledger_of(session: Session) -> Ledger:
    return Ledger(artifacts_store(session), session.environment.name)


def deployed_release(session: Session) -> str:
    """Return the id of the release that is deployed now; empty if none is recorded."""
    current = ledger_of(session).current()
    return current.release if current else ""


def release_target(session: Session, release: Release) -> Target:
    """Return a release as it would be deployed to the session's environment."""
    return target_of(session.project, session.environment, release)


def built_target(session: Session) -> Target:
    """Return what the checkout would deploy."""
    return release_target(session, build_release(session.project))


def stored_target(session: Session, release: str) -> Target:
    """Return a release of the environment's artifacts bucket, by the start of its id."""
    store = artifacts_store(session)
    return release_target(session, fetch_release(store, matching_release(store, release, session.environment.name)))


def evidence_of(session: Session, max_age_days: int, wanted: str | None) -> Evidence:
    """Return what an environment can prove about its release."""
    name, states = session.environment.name, stack_states(session)
    bucket = artifacts_bucket(states.values())
    current = Ledger(store_of(session, bucket), name).current() if bucket else None
    return Evidence(name, current, states, utc_now(), max_age_days, wanted)


def lock_owner(session: Session, evidence: Evidence) -> Owner | None:
    """Return the current holder of the environment's lock."""
    bucket = artifacts_bucket(evidence.states.values())
    held = EnvironmentLock(store_of(session, bucket), session.environment.name).owner() if bucket else None
    return held[0] if held else None
