"""dataops check: run the daily validation now."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import click
from refunds_checks.validation import ReportLine

from deployer.composition.environment import lake_of
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.lake.daily_check import check_day, check_month_end, checks_of, day_from, report_lines, verdict_line
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class CheckResult:
    """What the checks found."""

    env: str  #: the environment
    date: str  #: the day of arrival that is validated
    started_at: dt.datetime  #: when the checks began
    finished_at: dt.datetime  #: when they ended
    errors: tuple[str, ...]  #: checks of severity error that have rows, and checks that could not be run
    failing: tuple[str, ...]  #: all checks that have rows or could not be run
    checks: tuple[ReportLine, ...]  #: every check, in the order of their table


@click.command(
    epilog=examples(
        "dataops check --env local",
        "dataops check --env prod --date 2026-10-01",
        "dataops check --env prod --blocking --output json",
    )
)
@env_option
@click.option("--date", "day", metavar="YYYY-MM-DD", help="The day of arrival, in UTC; default: yesterday.")
@click.option(
    "--blocking",
    "is_month_end",
    is_flag=True,
    help="Run the checks that must pass before a month end, over all months.",
)
@click.pass_obj
def check(app: App, env_name: str, day: str | None, is_month_end: bool) -> int:
    """Run the daily validation now, with the checks of this checkout.

    Exit code 1 if a check of severity error returns rows or a check could not be run; warnings alone give 0.
    """
    if is_month_end and day is not None:
        raise UsageError("--blocking covers all months and takes no --date")
    judged, environment = day_from(day), app.environment(env_name)
    checks = checks_of(app.project().directory)
    lake = lake_of(app.connect(env_name))
    if is_month_end:
        report = check_month_end(lake, checks)
    else:
        report = check_day(lake, checks, judged, environment.expected_every_hours)
    app.say(verdict_line(report))
    result = CheckResult(
        env=env_name,
        date=str(report.day),
        started_at=report.started_at,
        finished_at=report.finished_at,
        errors=tuple(each.check.name for each in report.errors),
        failing=tuple(each.check.name for each in report.failing),
        checks=tuple(each.line() for each in report.results),
    )
    app.emit(as_document(result), "\n".join(report_lines(report)))
    return 1 if report.errors else 0
