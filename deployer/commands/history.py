"""`dataops history`: who deployed what, when, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from deployer.options import env_option, examples

if TYPE_CHECKING:
    from deployer.app import App
    from deployer.ledger import DeployRun


@click.command(epilog=examples("dataops history --env prod", "dataops history --env prod --limit 5 --output json"))
@env_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many runs, newest first."
)
@click.pass_obj
def history(app: App, /, env_name: str, limit: int) -> None:
    """List the deployments of an environment, killed ones too."""
    from deployer.assembly import ledger_of

    runs = ledger_of(app.connect(env_name)).runs(limit)
    app.emit({"environment": env_name, "runs": [run_document(run) for run in runs]}, history_text(runs))


def run_document(run: DeployRun) -> dict[str, Any]:
    return {**run.start, "run": run.id, "outcome": run.outcome, "end": run.end}


def history_text(runs: Sequence[DeployRun]) -> str:
    from deployer.release import short, short_commit

    if not runs:
        return "nothing was deployed yet"
    lines = [
        f"{'run':<31} {'command':<9} {'release':<13} {'commit':<10} {'outcome':<17} {'smoke':<13} {'seconds':>7}  who"
    ]
    for run in runs:
        end = run.end or {}
        smoke = str((end.get("smoke") or {}).get("outcome", "-")).replace("_", " ")
        lines.append(
            f"{run.id:<31} {run.start.get('command', '-'):<9} {short(run.start.get('release')):<13} "
            f"{short_commit(str(run.start.get('commit', ''))) or '-':<10} {run.outcome:<17} {smoke:<13} "
            f"{end.get('seconds', 0):>7}  {run.start.get('who', '-')}"
        )
    return "\n".join(lines)
