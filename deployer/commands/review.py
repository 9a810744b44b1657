"""`dataops review`: one Markdown page for the person who approves a release."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployer.options import env_option, examples, timeout_option

if TYPE_CHECKING:
    from deployer.app import App


@click.command(
    epilog=examples(
        "dataops review --env uat --against prod --out review.md",
        "dataops review --env uat --against prod --month 2026-10",
        "dataops review --env uat --against prod --no-rebuild",
    )
)
@env_option
@click.option("--against", required=True, metavar="NAME", help="The environment that the release would go to.")
@click.option(
    "--month", metavar="YYYY-MM", help="The month that both jobs rebuild; without it the latest with refunds."
)
@click.option("--rebuild/--no-rebuild", default=True, help="Whether to rebuild a month when the job has changed.")
@timeout_option
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the page to a file.")
@click.pass_obj
def review(
    app: App,
    /,
    env_name: str,
    against: str,
    month: str | None,
    rebuild: bool,
    timeout: float | None,
    out: Path | None,
) -> None:
    """Write the page: what changed file by file, the plan of the target with its IAM section, verdicts, and the numbers.

    The numbers are the refund report under both releases' SQL, and one month rebuilt by both releases' jobs into the
    side tables of the smoke test; live tables are only read.
    """
    from deployer.files import require_folder, write_atomically
    from deployer.pauses import Deadline
    from deployer.report import checked_month
    from deployer.review import review_of
    from deployer.review_page import review_page

    require_folder(out)
    month = checked_month(month) if month else None
    app.environment(against)
    source, target = app.connect(env_name), app.connect(against)
    page = review_of(source, target, rebuild=rebuild, month=month, say=app.say, deadline=Deadline(timeout))
    text = review_page(page)
    if out:
        write_atomically(out, text)
        app.say(f"wrote {out}")
    app.emit(page.document(), "" if out else text)
