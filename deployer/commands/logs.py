"""dataops logs: print the job's log."""

from __future__ import annotations

import click

from deployer.app import App
from deployer.options import env_option, examples
from deployer.output import write_result

FOLLOW_SECONDS = 6 * 3600


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
def logs(app: App, env_name: str, run_id: str | None, follow: bool) -> int:
    """Print the log of a job run, in order of time."""
    from deployer.environment import lake_of
    from deployer.errors import UsageError
    from deployer.jobs import find_run, follow_job, recent_runs
    from deployer.logs import JobLog

    lake = lake_of(app.connect(env_name))
    known = recent_runs(lake)
    if not known:
        app.say(f"the job has not run yet; next: dataops run --env {env_name}")
        app.emit({"env": env_name, "run": None, "lines": []}, "")
        return 0
    if run_id is not None and run_id not in {run.id for run in known} and find_run(lake, run_id) is None:
        raise UsageError(f"the job has no run {run_id}", hint=f"the latest is {known[0].id}")
    chosen = run_id or known[0].id
    app.say(f"job run {chosen}")
    log = JobLog(lake, chosen)
    lines = list(log.new_lines())
    if app.output == "text":
        for line in lines:
            write_result(line)
    if follow:
        follow_job(
            lake,
            chosen,
            say=app.say,
            timeout_seconds=FOLLOW_SECONDS,
            log=log,
            say_log=write_result if app.output == "text" else lines.append,
        )
    if app.output == "json":
        app.emit({"env": env_name, "run": chosen, "lines": lines}, "")
    return 0
