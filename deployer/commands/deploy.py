"""`dataops deploy`: build the release of this checkout, deploy it, smoke-test it, record it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deployer.options import env_option, examples, timeout_option, yes_option

if TYPE_CHECKING:
    from deployer.app import App

SAVED_PLAN = {"version", "environment", "release", "deployed_release", "steps"}  # what every version of a plan has


def guard_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of every command that changes stacks."""
    for option in (
        yes_option,
        click.option("--no-smoke", is_flag=True, help="Leave the smoke test out; such a release cannot be promoted."),
        click.option(
            "--on-smoke-failure",
            type=click.Choice(["leave", "rollback"]),
            default="leave",
            show_default=True,
            help="What to do after a wrong answer.",
        ),
        click.option(
            "--allow-replace",
            multiple=True,
            metavar="LOGICAL_ID",
            help="Let this data-holding resource be replaced or removed; may be repeated.",
        ),
        click.option(
            "--recreate",
            multiple=True,
            metavar="STACK",
            help="Delete and create this stack when its creation failed; may be repeated.",
        ),
        click.option(
            "--lock-timeout",
            type=click.FloatRange(min=0),
            default=0.0,
            metavar="SECONDS",
            help="Wait so long for the environment's lock.",
        ),
        timeout_option,
        click.option(
            "--if-busy",
            type=click.Choice(["attach", "wait", "fail"]),
            default="attach",
            show_default=True,
            help="When a stack is being changed by somebody else.",
        ),
        click.option(
            "--events", is_flag=True, help="Print one JSON object per event and a last one for the result (ndjson)."
        ),
    ):
        command = option(command)
    return command


revert_drift_option = click.option(
    "--revert-drift",
    is_flag=True,
    help="Bring back what was changed by hand; the plan shows it. Every stack is asked, none is skipped.",
)


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
    help="Carry out exactly this plan, made by dataops plan --out.",
)
@revert_drift_option
@guard_options
@click.pass_obj
def deploy(app: App, /, env_name: str, plan_file: Path | None, **choices: Any) -> int:
    """Build a release, deploy it and smoke-test it.

    A deployment that would change nothing makes no write call and reports the recorded verdict.
    """
    from deployer.assembly import built_target
    from deployer.commands.shared import carry_out
    from deployer.identity import commit_of

    saved = _saved_plan(plan_file) if plan_file else None
    session = app.connect(env_name)
    notes = {"account": session.verify_identity(), "region": session.region}
    return carry_out(
        app,
        session,
        built_target(session),
        command="deploy",
        notes=notes,
        saved_plan=saved,
        commit=lambda: commit_of(session.project.directory),
        **choices,
    )


def _saved_plan(path: Path) -> dict[str, Any]:
    from deployer.errors import UsageError

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # no JSON, or no text
        document = None
    if not isinstance(document, dict) or not document.keys() >= SAVED_PLAN:
        raise UsageError("this is no saved plan", where=str(path), hint="dataops plan --out FILE writes one")
    return document
