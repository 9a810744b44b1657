"""`dataops rollback`: deploy an earlier recorded release from its stored artifacts; no git, no rebuild."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from deployer.commands.deploy import guard_options
from deployer.options import env_option, examples

if TYPE_CHECKING:
    from deployer.app import App
    from deployer.request import DeployRequest, DeployResult, Ports
    from deployer.session import Session


@click.command(epilog=examples("dataops rollback --env prod", "dataops rollback --env prod --to 3f1c09aa --yes"))
@env_option
@click.option("--to", "release", metavar="RELEASE", help="The release; default: the last good one before the current.")
@guard_options
@click.pass_obj
def rollback(app: App, /, env_name: str, release: str | None, **choices: Any) -> int:
    """Deploy an earlier release again, with plan, data guard and smoke test."""
    from deployer.artifacts import fetch_release, matching_release
    from deployer.assembly import artifacts_store, release_target
    from deployer.commands.shared import carry_out

    session = app.connect(env_name)
    notes = {"account": session.verify_identity(), "region": session.region}
    store = artifacts_store(session)
    wanted = matching_release(store, release, env_name) if release else _previous(session)
    commit = partial(_commit_of, session, wanted)
    target = release_target(session, fetch_release(store, wanted))
    return carry_out(app, session, target, command="rollback", notes=notes, saved_plan=None, commit=commit, **choices)


def _previous(session: Session, current: str | None = None) -> str:
    from deployer.assembly import ledger_of
    from deployer.errors import DataopsError
    from deployer.promotion import previous_release

    ledger = ledger_of(session)
    deployed = ledger.current()
    found = previous_release(current or (deployed.release if deployed else None), ledger.runs())
    if found is None:
        raise DataopsError(
            f"no earlier good release was deployed to {session.environment.name}",
            hint=f"dataops history --env {session.environment.name}",
        )
    return found


def _commit_of(session: Session, release: str) -> str:
    """The commit that a release was built from, as its last deployment recorded it."""
    from deployer.assembly import ledger_of

    found = (run.start.get("commit") for run in ledger_of(session).runs() if run.start.get("release") == release)
    return str(next(filter(None, found), ""))


def roll_back_after(
    app: App, session: Session, report: DeployResult, request: DeployRequest, ports: Ports
) -> DeployResult:
    """After a wrong answer: the last good release again. The first report stays the command's result."""
    from deployer.artifacts import fetch_release
    from deployer.assembly import artifacts_store, release_target
    from deployer.deployment import Deployment
    from deployer.release import short

    wanted = _previous(session, report.release)
    app.say(f"the smoke test found a wrong answer: rolling back to release {short(wanted)}")
    target = release_target(session, fetch_release(artifacts_store(session), wanted))
    notes = {**request.notes, "after_failed_run": report.run}
    commit = partial(_commit_of, session, wanted)
    return Deployment(ports, target, replace(request, notes=notes, commit=commit, approve=lambda _: True)).run()
