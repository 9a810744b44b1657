"""The Markdown page for the person who approves a release. Pure text over the facts that gather.py collects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deployer.lake.report_comparison import CustomerDifference, ReportComparison
from deployer.ledger.ledger import Current
from deployer.planning.plan import Plan
from deployer.planning.plan_text import plan_text
from deployer.release.diff import ChangedFile
from deployer.release.release import short, short_commit
from deployer.review.month_rebuild import MonthRebuild

MAX_DIFF_LINES = 400
MAX_CUSTOMERS = 500  # in a table; all of them are in --output json


@dataclass(frozen=True)
class Review:
    """Everything on the page."""

    source: str
    target: str
    current: Current
    against: Current | None
    refusals: Sequence[str]
    files: Sequence[ChangedFile]
    settings_differ: bool
    plan: Plan
    validation: Sequence[str] | None
    report: ReportComparison
    rebuild: MonthRebuild


def review_page(review: Review) -> str:
    return "\n".join(_lines(review)) + "\n"


def _lines(r: Review) -> Iterator[str]:
    commit = f", commit `{short_commit(r.current.commit, 12)}`" if r.current.commit else ""
    deployed = f"`{short(r.against.release)}`" if r.against else "nothing"
    yield f"# Release `{short(r.current.release)}` from {r.source} to {r.target}"
    yield ""
    yield f"Deployed to {r.source} at {r.current.deployed_at}{commit}; {r.target} has {deployed}."
    if r.refusals:
        yield ""
        yield "**It cannot be promoted:**"
        yield from (f"- {why}" for why in r.refusals)
    yield from _smoke(r)
    yield from _validation(r)
    yield from _plan(r)
    yield from _numbers(r)
    yield from _files(r)


def _smoke(r: Review) -> Iterator[str]:
    smoke = r.current.smoke
    yield from ("", f"## Smoke test in {r.source}", "")
    if smoke is None:
        yield "Not run."
    else:
        yield f"**{smoke.outcome}** {smoke.message}".rstrip()
        yield from (f"- {line}" for line in smoke.differences)


def _validation(r: Review) -> Iterator[str]:
    yield from ("", "## Validation", "")
    if r.validation is None:
        yield "Not run: the checkout is not the release."
    else:
        yield from (f"- {line}" for line in r.validation) if r.validation else ("No findings.",)


def _plan(r: Review) -> Iterator[str]:
    iam = [f"{s.stack}/{p}" for s in r.plan.steps for p in s.permissions]
    yield from ("", f"## What would change in {r.target}", "", "```text", plan_text(r.plan), "```")
    yield from ("", "### IAM", "")
    broad = sum(p.is_broadening for s in r.plan.steps for p in s.permissions)
    yield f"{len(iam)} permissions change, {broad} broaden access." if iam else "No permission changes."
    if iam:
        yield from ("", "```diff", *(f"{line.split('/', 1)[1]}  ({line.split('/', 1)[0]})" for line in iam), "```")


def _numbers(r: Review) -> Iterator[str]:
    yield from ("", "## Effect on the figures", "", f"### The refund report on the tables of {r.source}", "")
    yield from _difference(r.report, "with both releases' SQL")
    yield from ("", "### One month rebuilt by both releases' jobs", "")
    if r.rebuild.comparison.why:
        yield r.rebuild.comparison.why
        return
    yield f"All raw files of {r.source} went through both jobs into side tables; this is {r.rebuild.month}."
    yield ""
    yield from _difference(r.rebuild.comparison, f"for {r.rebuild.month} after both jobs")
    yield from _counts(r.rebuild)


def _difference(comparison: ReportComparison, how: str) -> Iterator[str]:
    if comparison.why:
        yield comparison.why
        return
    differences = comparison.differences()
    if not differences:
        yield f"The same {how}: {len(comparison.after or {}):,} customers."
        return
    yield f"These customers differ {how}:"
    yield from ("", "| customer | now | with this release | difference |", "|---|---:|---:|---:|")
    yield from (_row(_cell(each.customer_id), [each]) for each in differences[:MAX_CUSTOMERS])
    if left := differences[MAX_CUSTOMERS:]:
        yield _row(f"{len(left):,} more customers", left)
    plural = "" if len(differences) == 1 else "s"
    yield _row(f"**{len(differences)} customer{plural}**", differences)


def _row(name: str, differences: Sequence[CustomerDifference]) -> str:
    before, after = sum(each.before for each in differences), sum(each.after for each in differences)
    return f"| {name} | {before:.2f} | {after:.2f} | {after - before:+.2f} |"


def _counts(rebuild: MonthRebuild) -> Iterator[str]:
    """Yield what each job made of the same records."""
    before, after = rebuild.before, rebuild.after
    if before is None or after is None:
        yield from ("", "One of the jobs left no record of its counts that this version can read.")
    elif before == after:
        yield from ("", "Both jobs counted the same records: " + ", ".join(f"{after[n]:,} {n}" for n in after) + ".")
    else:
        yield from ("", "| records | now | with this release | difference |", "|---|---:|---:|---:|")
        for name in dict.fromkeys([*before, *after]):
            was, is_ = before.get(name, 0), after.get(name, 0)
            yield f"| {name} | {was:,} | {is_:,} | {is_ - was:+,} |"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _files(r: Review) -> Iterator[str]:
    yield from ("", "## Files", "")
    if not r.files:
        yield "The files are the same."
    if r.settings_differ:
        yield "Stacks or artifacts in dataops.yml differ."
    for file in r.files:
        yield f"- {file.change.value} `{file.path}`"
    for file in r.files:
        if file.diff:
            shown = file.diff[:MAX_DIFF_LINES]
            left = len(file.diff) - len(shown)
            yield from ("", f"<details><summary>{file.path}</summary>", "", "````diff", *shown)
            yield from ([f"... {left} more lines"] if left else [])
            yield from ("````", "", "</details>")
