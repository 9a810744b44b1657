"""dataops logs: print the log of a job run, or of another part of the lake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import click

from deployer.composition.environment import lake_of
from deployer.documents import as_document
from deployer.errors import DataopsError, UsageError
from deployer.lake.deployed_lake import Lake
from deployer.lake.job_logs import JobLog, job_groups
from deployer.lake.jobs import Watcher, find_run, follow_job, recent_runs
from deployer.lake.log_groups import GroupLogs
from deployer.lake.since import SINCE_HELP, moment_since
from deployer.ledger.identity import utc_now
from deployer.pauses import poll
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, timeout_option
from deployer.terminal.output import write_lines

FOLLOW_SECONDS = 6 * 3600.0
JOB = "job"
DEFAULT_SINCE = "1h"


@dataclass(frozen=True)
class LogResult:
    """The lines of a log."""

    env: str  #: the environment
    run: str | None  #: Glue's id of the run; null before the first run, and when the lines belong to no single run
    lines: tuple[str, ...]  #: in order of time; lines that belong to no single run begin with their time
    part: str  #: `job`, `api`, `validate`, `notify`, `sftp`, `statement` or `crawlers`
    since: datetime | None  #: since when; null for a run, whose lines are all here


@click.command(
    epilog=examples(
        "dataops logs --env local",
        "dataops logs --env uat --follow",
        "dataops logs --env prod --validate --since 1d",
        "dataops logs --env prod --job --since 2026-10-01",
    )
)
@env_option
@click.option(
    "--job", "part", flag_value=JOB, help="The Glue job (the default): its latest run, or all runs since WHEN."
)
@click.option("--api", "part", flag_value="api", help="The HTTP API.")
@click.option("--validate", "part", flag_value="validate", help="The daily validation.")
@click.option("--notify", "part", flag_value="notify", help="The alerts.")
@click.option("--statement", "part", flag_value="statement", help="The month end.")
@click.option("--sftp", "part", flag_value="sftp", help="The SFTP server.")
@click.option("--crawlers", "part", flag_value="crawlers", help="The function that runs after a crawl.")
@click.option("--run", "run_id", metavar="ID", help="A job run; default: the latest.")
@click.option("--since", metavar="WHEN", help=f"{SINCE_HELP} Default, except for a job run: {DEFAULT_SINCE}.")
@click.option("--follow", is_flag=True, help="Continue until the run ends, or until Ctrl-C.")
@timeout_option
@click.pass_obj
def logs(
    app: App,
    env_name: str,
    part: str | None,
    run_id: str | None,
    since: str | None,
    follow: bool,
    timeout: float | None,
) -> None:
    """Print the log of a job run, or of another part of the lake, in order of time.

    --timeout limits --follow.
    """
    part = part or JOB
    if run_id is not None and (part != JOB or since is not None):
        raise UsageError(
            "--run prints the whole log of one job run", hint=f"dataops logs --env {env_name} --run {run_id}"
        )
    if part == JOB and since is None:
        _log_of_run(app, env_name, run_id, follow, timeout or FOLLOW_SECONDS)
        return
    if follow and app.output == "json" and timeout is None:
        raise UsageError("--follow does not end, and JSON output needs an end", hint="--follow --timeout SECONDS")
    moment = moment_since(since or DEFAULT_SINCE, utc_now())
    lake = lake_of(app.connect(env_name))
    groups = _groups_of(lake, part)
    app.say(f"{part} since {moment:%Y-%m-%d %H:%M:%S} UTC: {', '.join(groups)}")
    lines, say_line = _taker(app)
    reader = GroupLogs(lake.logs, groups, since_milliseconds=int(moment.timestamp() * 1000))
    for _ in poll(timeout or float("inf"), longest_pause_seconds=2.0) if follow else [0.0]:
        for event in reader.new_events():
            for line in event.lines:
                say_line(f"{event.moment:%Y-%m-%d %H:%M:%S} {line}")
    if app.output == "json":
        app.emit(as_document(LogResult(env_name, None, tuple(lines), part, moment)), "")


def _taker(app: App) -> tuple[list[str], Callable[[str], None]]:
    """Return a list that collects lines for JSON, and the function that takes a line; as text, lines are written at once."""
    lines = list[str]()
    return lines, lines.append if app.output == "json" else write_lines


def _groups_of(lake: Lake, part: str) -> tuple[str, ...]:
    if part == JOB:
        return job_groups(lake)
    if part not in lake.log_groups:
        there = ", ".join(f"--{each}" for each in (JOB, *lake.log_groups))
        raise DataopsError(
            f"no deployed stack has a log group for {part}",
            where=f"environment {lake.environment}",
            hint=f"available: {there}",
        )
    return lake.log_groups[part]


def _log_of_run(app: App, env_name: str, run_id: str | None, follow: bool, timeout_seconds: float) -> None:
    lake = lake_of(app.connect(env_name))
    found = find_logged_run(lake, run_id)
    if found is None:
        app.say(f"the job has not run yet; next: dataops run --env {env_name}")
        app.emit(as_document(LogResult(env_name, None, (), JOB, None)), "")
        return
    lake, chosen = found
    app.say(f"job run {chosen}")
    log = JobLog(lake, chosen)
    lines, say_line = _taker(app)
    for line in log.new_lines():
        say_line(line)
    if follow:
        watcher = Watcher.of_lines(app.say, say_line=say_line)
        follow_job(lake, chosen, watcher, timeout_seconds=timeout_seconds, log=log)
    if app.output == "json":
        app.emit(as_document(LogResult(env_name, chosen, tuple(lines), JOB, None)), "")


def find_logged_run(lake: Lake, run_id: str | None) -> tuple[Lake, str] | None:
    """Return the requested run with the lake of its job, else the latest daily run, None before the first.

    A run of reviews is found by its id only. Raise UsageError for an unknown id.
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
