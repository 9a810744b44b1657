"""dataops check: run the daily validation now."""

from __future__ import annotations

import click

from deployer.app import App
from deployer.options import env_option, examples


@click.command(
    epilog=examples(
        "dataops check --env local",
        "dataops check --env prod --date 2026-10-01",
        "dataops --output json check --env prod --blocking",
    )
)
@env_option
@click.option("--date", "day", metavar="YYYY-MM-DD", help="The day of arrival, in UTC; default: yesterday.")
@click.option("--blocking", "is_month_end", is_flag=True, help="What a month end waits for, over all months.")
@click.pass_obj
def check(app: App, env_name: str, day: str | None, is_month_end: bool) -> int:
    """Run the daily validation now, with the checks of this checkout.

    Exit code 1 when a check of level error has rows, or one could not be run; warnings alone give 0.
    """
    from deployer import daily_check
    from deployer.environment import lake_of
    from deployer.errors import UsageError

    if is_month_end and day is not None:
        raise UsageError("--blocking looks at all months and takes no --date")
    judged = daily_check.day_from(day)
    environment = app.environment(env_name)
    checks = daily_check.checks_of(app.project().directory)
    lake = lake_of(app.connect(env_name))
    if is_month_end:
        report = daily_check.check_month_end(lake, checks)
    else:
        report = daily_check.check_day(lake, checks, judged, environment.expected_every_hours)
    app.say(daily_check.verdict_line(report))
    app.emit({"env": env_name, **report.document()}, "\n".join(daily_check.report_lines(report)))
    return 1 if report.errors else 0
