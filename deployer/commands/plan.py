"""`dataops plan`: show what deploy would do in all stacks, before anything changes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deployer.composition.deployments import plan_target
from deployer.composition.environment import built_target, stored_target
from deployer.documents import as_document
from deployer.files import require_folder, write_file
from deployer.pauses import Deadline
from deployer.planning.plan import Options
from deployer.planning.plan_text import plan_text
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, timeout_option

CHANGES_PENDING = 3


@click.command(
    epilog=examples(
        "dataops plan --env uat",
        "dataops plan --env uat --out plan.json",
        "dataops plan --env prod --output json",
    )
)
@env_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan for dataops deploy --plan.")
@click.option("--release", metavar="RELEASE", help="Plan a stored release instead of this checkout.")
@click.option("--allow-replace", multiple=True, metavar="LOGICAL_ID", help="As in deploy.")
@click.option("--recreate", multiple=True, metavar="STACK", help="As in deploy.")
@click.option("--revert-drift", is_flag=True, help="Show what deploy --revert-drift would revert.")
@timeout_option
@click.pass_obj
def plan(
    app: App,
    /,
    env_name: str,
    out: Path | None,
    release: str | None,
    allow_replace: tuple[str, ...],
    recreate: tuple[str, ...],
    revert_drift: bool,
    timeout: float | None,
) -> int:
    """Show what deploy would do, as change sets, and delete these again.

    Exit code 0: no stack would change; 3: changes are pending; 6: a guard would refuse them.
    """
    require_folder(out)
    session = app.connect(env_name)
    session.verify_identity()
    target = stored_target(session, release) if release else built_target(session)
    options = Options(frozenset(recreate), frozenset(allow_replace), revert_drift)
    made = plan_target(session, target, options, say=app.say, deadline=Deadline(timeout))
    if out:
        write_file(out, json.dumps(as_document(made), indent=1) + "\n")
    app.emit(as_document(made), plan_text(made))
    if made.risks or made.blocked:
        return 6
    return CHANGES_PENDING if made.has_changes else 0
