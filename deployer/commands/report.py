"""dataops report: print the refunds per customer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployer.app import App
from deployer.options import env_option, examples
from deployer.output import write_result
from deployer.refunds import money

if TYPE_CHECKING:
    from deployer.deployed_lake import Lake
    from deployer.report import RefundReport


@click.command(
    epilog=examples(
        "dataops report --env local",
        "dataops report --env local --month 2026-10 --format json",
        "dataops report --env prod --format csv --out refunds.csv",
    )
)
@env_option
@click.option("--month", metavar="YYYY-MM", help="Only refunds of this month; default: all time.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), help="Default: table.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file.")
@click.pass_obj
def report(app: App, env_name: str, month: str | None, form: str | None, out: Path | None) -> int:
    """Print the total refund per customer, of all time or of one month.

    Voided transactions and refunds in the month of their purchase are left out.
    """
    from deployer import report as reports
    from deployer.environment import lake_of
    from deployer.files import require_folder, write_atomically

    if month is not None:
        reports.checked_month(month)
    app.environment(env_name)
    require_folder(out)
    lake = lake_of(app.connect(env_name))
    found = reports.fetch_report(lake, lake.live, month)
    if not found.rows:
        app.say(why_empty(lake, found))
    app.say(reports.summary(found))

    if out is not None:
        write_atomically(out, reports.render(found, form or "table"))
        app.say(f"written to {out}")
    if app.output == "json" and form is None:
        document = {
            "env": env_name,
            "month": month,
            "rows": [row.document() for row in found.rows],
            "customers": len(found.rows),
            "total_refund": money(found.total),
            "bytes_scanned": found.bytes_scanned,
        }
        app.emit(document, "")
    elif out is None:
        write_result(reports.render(found, form or "table"))
    return 0


def why_empty(lake: Lake, found: RefundReport) -> str:
    """Say why a report has no rows: nothing was loaded yet, or there is nothing to report."""
    from deployer.manifests import recorded_runs

    if not recorded_runs(lake, lake.live):
        return f"the report is empty: no run has loaded anything yet; next: dataops run --env {lake.environment}"
    return f"the report is empty: no customer has {found.title}"
