"""`dataops review`: write one Markdown page for the person who approves a release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from deployer.documents import as_document
from deployer.files import require_folder, write_file
from deployer.lake.refund_report import checked_month
from deployer.lake.report_comparison import CustomerDifference
from deployer.ledger.verdict import Verdict
from deployer.pauses import Deadline
from deployer.planning.plan import Plan
from deployer.release.diff import ChangedFile
from deployer.review.gather import review_of
from deployer.review.markdown_page import Review, review_page
from deployer.review.month_rebuild import MonthRebuild
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, timeout_option


@dataclass(frozen=True)
class RebuiltMonth:
    """One month rebuilt by both jobs."""

    month: str | None  #: which month; null when none was rebuilt
    why_not: str | None  #: why none was rebuilt
    differences: tuple[CustomerDifference, ...]  #: customers whose month differs after both jobs
    counts: tuple[Mapping[str, int] | None, ...]  #: what each of the two jobs counted, the deployed one first


@dataclass(frozen=True)
class ReviewResult:
    """What is on the page for the person who approves a release."""

    environment: str  #: where the release is
    against: str  #: where it would go
    release: str  #: its id
    deployed_release: str | None  #: what is there now
    refusals: tuple[str, ...]  #: why it cannot be promoted; empty when it can
    files: tuple[ChangedFile, ...]  #: the files that differ
    plan: Plan  #: what would change there
    smoke: Verdict | None  #: the verdict of its smoke test; null if none was run
    validation: tuple[str, ...] | None  #: findings about the checkout; null when it is not the release
    differences: tuple[CustomerDifference, ...]  #: customers whose report differs under both releases' SQL
    rebuilt: RebuiltMonth  #: one month rebuilt by both releases' jobs


@click.command(
    epilog=examples(
        "dataops review --env uat --against prod --out review.md",
        "dataops review --env uat --against prod --month 2026-10",
        "dataops review --env uat --against prod --no-rebuild",
    )
)
@env_option
@click.option("--against", required=True, metavar="NAME", help="The environment that the release would go to.")
@click.option("--month", metavar="YYYY-MM", help="The month that both jobs rebuild; default: the latest with refunds.")
@click.option("--rebuild/--no-rebuild", default=True, help="Rebuild a month if the job has changed.")
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
    """Write the page: what changed file by file, the plan of the target with its IAM section, verdicts, and the figures.

    The figures are the refund report with both releases' SQL, and one month rebuilt by both releases' jobs into the
    side tables of the smoke test; live tables are only read.
    """
    require_folder(out)
    month = checked_month(month) if month else None
    app.environment(against)
    source, target = app.connect(env_name), app.connect(against)
    found = review_of(source, target, rebuild=rebuild, month=month, say=app.say, deadline=Deadline(timeout))
    text = review_page(found)
    if out:
        write_file(out, text)
        app.say(f"wrote {out}")
    app.emit(as_document(review_result(found)), "" if out else text)


def review_result(found: Review) -> ReviewResult:
    """Return the facts of the page for JSON."""
    return ReviewResult(
        environment=found.source,
        against=found.target,
        release=found.current.release,
        deployed_release=found.against.release if found.against else None,
        refusals=tuple(found.refusals),
        files=tuple(found.files),
        plan=found.plan,
        smoke=found.current.smoke,
        validation=None if found.validation is None else tuple(found.validation),
        differences=tuple(found.report.differences()),
        rebuilt=rebuilt_month(found.rebuild),
    )


def rebuilt_month(rebuild: MonthRebuild) -> RebuiltMonth:
    """Return what both jobs made of a month."""
    why, differences = rebuild.comparison.why or None, tuple(rebuild.comparison.differences())
    return RebuiltMonth(rebuild.month or None, why, differences, (rebuild.before, rebuild.after))
