"""dataops logs: print the job's log."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.composition.environment import lake_of
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.lake.deployed_lake import Lake
from deployer.lake.job_logs import JobLog
from deployer.lake.jobs import Watcher, find_run, follow_job, recent_runs
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples
from deployer.terminal.output import write_lines

FOLLOW_SECONDS = 6 * 3600


@dataclass(frozen=True)
class LogResult:
    """The log of one run; `run` is null when the job has not run yet."""

    env: str
    run: str | None
    lines: tuple[str, ...]


@click.command(
    epilog=examples(
        "dataops logs --env local",
        "dataops logs --env uat --follow",
    )
)
@env_option
@click.option("--run", "run_id", metavar="ID", help="The job run; default: the latest.")
@click.option("--follow", is_flag=True, help="Go on until the run ends.")
@click.pass_obj
def logs(app: App, env_name: str, run_id: str | None, follow: bool) -> None:
    """Print the log of a job run, in order of time."""
    lake = lake_of(app.connect(env_name))
    found = find_logged_run(lake, run_id)
    if found is None:
        app.say(f"the job has not run yet; next: dataops run --env {env_name}")
        app.emit(as_document(LogResult(env_name, None, ())), "")
        return
    lake, chosen = found
    app.say(f"job run {chosen}")
    log, lines = JobLog(lake, chosen), list[str]()
    say_line = lines.append if app.output == "json" else write_lines
    for line in log.new_lines():
        say_line(line)
    if follow:
        watcher = Watcher.of_lines(app.say, say_line=say_line)
        follow_job(lake, chosen, watcher, timeout_seconds=FOLLOW_SECONDS, log=log)
    if app.output == "json":
        app.emit(as_document(LogResult(env_name, chosen, tuple(lines))), "")


def find_logged_run(lake: Lake, run_id: str | None) -> tuple[Lake, str] | None:
    """Return the run that is asked for with the lake of its job, else the latest daily one, None before the first.

    A run of reviews is found by its id only. Raises UsageError for an unknown id.
    """
    known = [run.id for run in recent_runs(lake)]
    if run_id is None:
        return (lake, known[0]) if known else None
    if run_id in known or find_run(lake, run_id) is not None:
        return lake, run_id
    reviews = lake.for_reviews()
    if reviews is not None and find_run(reviews, run_id) is not None:
        return reviews, run_id
    hint = f"the latest is {known[0]}" if known else f"dataops run --env {lake.environment}"
    raise UsageError(f"the job has no run {run_id}", hint=hint)
