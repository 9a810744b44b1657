"""dataops report: print the refunds per customer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import click
from refunds_statements.page_html import render_page

from deployer.composition.environment import deployed_release, lake_of
from deployer.documents import as_document
from deployer.errors import UsageError
from deployer.files import require_folder, write_file
from deployer.lake.deployed_lake import Lake
from deployer.lake.finance_facts import report_with_page
from deployer.lake.refund_report import RefundReport, checked_month, fetch_report
from deployer.lake.report_formats import RENDERERS, render, render_csv, summary
from deployer.lake.run_manifests import recorded_runs
from deployer.ledger.identity import utc_now
from deployer.refunds import RefundRow
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples
from deployer.terminal.output import write_result


@dataclass(frozen=True)
class ReportResult:
    """The refund report. `--format json` prints its rows alone, as a list without an envelope."""

    env: str  #: the environment
    month: str | None  #: YYYY-MM; null for all time
    rows: tuple[RefundRow, ...]  #: in customer order
    customers: int  #: how many rows there are
    total_refund: Decimal  #: of all customers
    bytes_scanned: int  #: what Athena read


@click.command(
    epilog=examples(
        "dataops report --env local",
        "dataops report --env local --month 2026-10 --format json",
        "dataops report --env prod --format csv --out refunds.csv",
        "dataops report --env prod --month 2026-10 --html october.html",
    )
)
@env_option
@click.option("--month", metavar="YYYY-MM", help="Only refunds of this month; default: all time.")
@click.option("--format", "form", type=click.Choice(list(RENDERERS)), help="Default: table.")
@click.option(
    "--csv-safe", is_flag=True, help="With --format csv: formulas in customer ids become text in spreadsheets."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the report to this file.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the finance page to this file.")
@click.pass_obj
def report(
    app: App, env_name: str, month: str | None, form: str | None, csv_safe: bool, out: Path | None, html: Path | None
) -> None:
    """Print the total refund per customer, for all time or for one month.

    Voided transactions and refunds in the month of their purchase are left out.
    """
    month = checked_month(month) if month is not None else None
    if csv_safe and form != "csv":
        raise UsageError("--csv-safe is for CSV only", hint="--format csv --csv-safe")
    app.environment(env_name)
    require_folder(out)
    require_folder(html)
    session = app.connect(env_name)
    lake = lake_of(session)
    if html is None:
        found = fetch_report(lake, lake.live, month)
    else:
        found, page = report_with_page(lake, month, deployed_release(session), utc_now())
    if not found.rows:
        app.say(why_empty(lake, found))
    app.say(summary(found))

    text = render_csv(found.rows, is_safe=True) if csv_safe else render(found, form or "table")
    if out is not None:
        write_file(out, text)
        app.say(f"written to {out}")
    if html is not None:
        write_file(html, render_page(page))
        app.say(f"page written to {html}")
    if app.output == "json" and form is None:
        result = ReportResult(env_name, month, found.rows, len(found.rows), found.total, found.bytes_scanned)
        app.emit(as_document(result), "")
    elif out is None and (html is None or form is not None):
        write_result(text)


def why_empty(lake: Lake, found: RefundReport) -> str:
    """Explain why a report has no rows: nothing was loaded yet, or there is nothing to report."""
    if not recorded_runs(lake, lake.live):
        return f"the report is empty: no run has loaded anything yet; next: dataops run --env {lake.environment}"
    return f"the report is empty: no customer has {found.title}"
