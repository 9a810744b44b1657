"""Deployments composed over a session: a plan, the rollback of a release that was found wrong, and which one to return to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from deployer.composition.environment import artifacts_store, ledger_of, release_target
from deployer.composition.ports import ports_of, stoppable
from deployer.deploying.deployment import Deployment
from deployer.deploying.promotion import previous_release
from deployer.deploying.request import DeployRequest, Ports
from deployer.deploying.results import DeployResult
from deployer.errors import DataopsError
from deployer.pauses import Deadline, Pauses
from deployer.planning.plan import Options, Plan
from deployer.release.artifacts import fetch_release
from deployer.release.release import short
from deployer.release.target import Target
from deployer.terminal.progress import Lines

if TYPE_CHECKING:
    from deployer.aws.session import Session


def plan_target(
    session: Session,
    target: Target,
    options: Options,
    *,
    say: Callable[[str], None],
    deadline: Deadline | None = None,
) -> Plan:
    """Plan a target and leave no change set behind, even when interrupted."""
    pauses = Pauses(deadline=deadline)
    ports = ports_of(session, Lines(say), pauses, with_smoke=False)
    deployment = Deployment(ports, target, DeployRequest(options=options))
    with stoppable(pauses):
        return deployment.plan()


def last_good_release(session: Session, before: str | None = None) -> str:
    """Find the newest release that was deployed before another one, the current one by default, and not found wrong."""
    ledger = ledger_of(session)
    deployed = ledger.current()
    found = previous_release(before or (deployed.release if deployed else None), ledger.runs())
    if found is None:
        raise DataopsError(
            f"no earlier good release was deployed to {session.environment.name}",
            hint=f"dataops history --env {session.environment.name}",
        )
    return found


def commit_of_release(session: Session, release: str) -> str:
    """Return the commit that a release was built from, as its last deployment recorded it."""
    found = (run.start.get("commit") for run in ledger_of(session).runs() if run.start.get("release") == release)
    return str(next(filter(None, found), ""))


def roll_back_after(
    session: Session, result: DeployResult, request: DeployRequest, ports: Ports, say: Callable[[str], None]
) -> DeployResult:
    """Deploy the last good release again after a wrong answer. The first result stays the command's."""
    wanted = last_good_release(session, result.release)
    say(f"the smoke test found a wrong answer: rolling back to release {short(wanted)}")
    back = replace(
        request,
        command="rollback",
        saved_plan=None,
        notes={**request.notes, "after_failed_run": result.run},
        commit=partial(commit_of_release, session, wanted),
        approve=lambda _: True,
    )
    target = release_target(session, fetch_release(artifacts_store(session), wanted))
    return Deployment(ports, target, back).run()
