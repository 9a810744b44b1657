"""`dataops deploy`: build the release of this checkout, deploy it, run the smoke test, record it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from deployer.commands.carry_out import carry_out
from deployer.composition.environment import built_target
from deployer.deploying.request import DeployRequest
from deployer.errors import UsageError
from deployer.ledger.identity import commit_of
from deployer.planning.plan import Options
from deployer.terminal.app import App
from deployer.terminal.choices import Choices, guard_options, revert_drift_option
from deployer.terminal.options import env_option, examples

SAVED_PLAN = {"version", "environment", "release", "deployed_release", "steps"}  # what every version of a plan has


@click.command(
    epilog=examples(
        "dataops deploy --env local --yes",
        "dataops deploy --env uat --plan plan.json",
        "dataops deploy --env uat --yes --on-smoke-failure rollback",
        "dataops deploy --env uat --revert-drift",
    )
)
@env_option
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Carry out exactly this plan, saved by dataops plan --out.",
)
@revert_drift_option
@guard_options
@click.pass_obj
def deploy(app: App, /, env_name: str, plan_file: Path | None, revert_drift: bool, choices: Choices) -> int:
    """Build a release, deploy it and run the smoke test.

    If nothing would change, no write call is made, and the recorded verdict is reported.
    """
    saved = _saved_plan(plan_file) if plan_file else None
    session = app.connect(env_name)
    request = DeployRequest(
        options=Options(revert_drift=revert_drift or bool(saved and saved.get("reverts_drift"))),
        saved_plan=saved,
        notes={"account": session.verify_identity(), "region": session.region},
        commit=lambda: commit_of(session.project.directory),
    )
    return carry_out(app, session, built_target(session), request, choices)


def _saved_plan(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no JSON, or no text
        document = None
    if not isinstance(document, dict) or not document.keys() >= SAVED_PLAN:
        raise UsageError("this is not a saved plan", where=str(path), hint="dataops plan --out FILE writes one")
    return document
