"""`dataops rollback`: deploy an earlier recorded release from its stored artifacts; no git, no rebuild."""

from __future__ import annotations

from functools import partial

import click

from deployer.commands.carry_out import carry_out
from deployer.composition.deployments import commit_of_release, last_good_release
from deployer.composition.environment import artifacts_store, release_target
from deployer.deploying.request import DeployRequest
from deployer.release.artifacts import fetch_release, matching_release
from deployer.terminal.app import App
from deployer.terminal.choices import Choices, guard_options
from deployer.terminal.options import env_option, examples


@click.command(epilog=examples("dataops rollback --env prod", "dataops rollback --env prod --to 3f1c09aa --yes"))
@env_option
@click.option(
    "--to", "release", metavar="RELEASE", help="The release; default: the last good one before the current one."
)
@guard_options
@click.pass_obj
def rollback(app: App, /, env_name: str, release: str | None, choices: Choices) -> int:
    """Deploy an earlier release again, with plan, data guard and smoke test."""
    session = app.connect(env_name)
    notes = {"account": session.verify_identity(), "region": session.region}
    store = artifacts_store(session)
    wanted = matching_release(store, release, env_name) if release else last_good_release(session)
    target = release_target(session, fetch_release(store, wanted))
    request = DeployRequest("rollback", notes=notes, commit=partial(commit_of_release, session, wanted))
    return carry_out(app, session, target, request, choices)
