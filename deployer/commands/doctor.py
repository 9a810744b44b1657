"""`dataops doctor`: find what would prevent the first deployment, before it begins."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.account.checks import AccountCheck, Level
from deployer.composition.environment import built_target
from deployer.composition.examination import examination
from deployer.documents import as_document
from deployer.errors import Refused
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class DoctorResult:
    """What is known of an environment's account."""

    environment: str  #: the environment
    ready: bool  #: nothing prevents its first deployment
    checks: tuple[AccountCheck, ...]  #: every finding, in the order of the checks


@click.command(epilog=examples("dataops doctor --env uat", "dataops doctor --env prod --output json"))
@env_option
@click.pass_obj
def doctor(app: App, /, env_name: str) -> int:
    """Check the account of an environment for what would stop its first deployment or cause trouble.

    Changes nothing and can be run at any time. Exit code 6: there is a blocker.
    """
    session = app.connect(env_name)
    session.verify_identity()
    found = examination(session, built_target(session))()
    result = DoctorResult(env_name, not any(check.is_blocker for check in found), tuple(found))
    app.emit(as_document(result), doctor_text(result))
    app.say(
        f"next: dataops plan --env {env_name}" if result.ready else "next: fix the blockers and run this command again"
    )
    return 0 if result.ready else Refused.exit_code


def doctor_text(result: DoctorResult) -> str:
    """Return each check with its advice, and the number of checks per level."""
    lines = [line for check in result.checks for line in check.lines()]
    counts = {level: sum(check.level is level for check in result.checks) for level in Level}
    total = ", ".join(f"{count} {level.value}" for level, count in counts.items())
    return "\n".join([*lines, f"environment {result.environment}: {total}"])
