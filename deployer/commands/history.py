"""`dataops history`: list who deployed what, when, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from deployer.composition.environment import ledger_of
from deployer.documents import as_document
from deployer.ledger.ledger import DeployRun
from deployer.release.release import short, short_commit
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class HistoryResult:
    """The recorded deployments."""

    environment: str  #: the environment
    #: newest first, each as it was recorded: the start's fields (`command`, `release`, `who`, `commit`, ...), `run`,
    #: `outcome`, and `end`, which is null for a run that is active or was killed
    runs: tuple[Mapping[str, Any], ...]


@click.command(epilog=examples("dataops history --env prod", "dataops history --env prod --limit 5 --output json"))
@env_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Show at most this many runs, newest first.",
)
@click.pass_obj
def history(app: App, /, env_name: str, limit: int) -> None:
    """List the deployments of an environment, including killed ones."""
    runs = ledger_of(app.connect(env_name)).runs(limit)
    app.emit(as_document(HistoryResult(env_name, tuple(map(recorded_run, runs)))), history_text(runs))


def recorded_run(run: DeployRun) -> Mapping[str, Any]:
    """Return what was recorded at the start, under its id, and at the end; null if there is no end."""
    return {**run.start, "run": run.id, "outcome": run.outcome, "end": run.end}


def history_text(runs: Sequence[DeployRun]) -> str:
    """Write the runs as a table."""
    if not runs:
        return "nothing was deployed yet"
    head = (
        f"{'run':<31} {'command':<9} {'release':<13} {'commit':<10} {'outcome':<17} {'smoke':<13} {'seconds':>7}  who"
    )
    return "\n".join([head, *map(_run_line, runs)])


def _run_line(run: DeployRun) -> str:
    end = run.end or {}
    smoke = str((end.get("smoke") or {}).get("outcome", "-")).replace("_", " ")
    commit = short_commit(str(run.start.get("commit", ""))) or "-"
    return (
        f"{run.id:<31} {run.start.get('command', '-'):<9} {short(run.start.get('release')):<13} {commit:<10} "
        f"{run.outcome:<17} {smoke:<13} {end.get('seconds', 0):>7}  {run.start.get('who', '-')}"
    )
