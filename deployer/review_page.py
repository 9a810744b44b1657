"""The Markdown page for the person who approves a release. Pure text over facts that commands/review.py gathers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from deployer.ledger import Current
from deployer.plan import Plan
from deployer.plan_text import plan_text
from deployer.release import short
from deployer.release_diff import ChangedFile

MAX_DIFF_LINES = 400


@dataclass(frozen=True)
class Numbers:
    """What a release does to the refund report on the same tables: customer -> total, under each release's SQL.

    A side is None when it could not be computed; `why` says so.
    """

    before: Mapping[str, Decimal] | None
    after: Mapping[str, Decimal] | None
    why: str = ""

    def differences(self) -> list[tuple[str, Decimal, Decimal]]:
        before, after = self.before or {}, self.after or {}
        zero = Decimal("0.00")
        return [
            (customer, before.get(customer, zero), after.get(customer, zero))
            for customer in sorted(before.keys() | after.keys())
            if before.get(customer) != after.get(customer)
        ]


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
    numbers: Numbers

    def document(self) -> dict[str, Any]:
        return {
            "environment": self.source,
            "against": self.target,
            "release": self.current.release,
            "deployed_release": self.against.release if self.against else None,
            "refusals": list(self.refusals),
            "files": [file.document() for file in self.files],
            "plan": self.plan.document(),
            "smoke": self.current.smoke,
            "validation": None if self.validation is None else list(self.validation),
            "differences": [
                {"customer_id": c, "before": f"{b:.2f}", "after": f"{a:.2f}"} for c, b, a in self.numbers.differences()
            ],
        }


def review_page(review: Review) -> str:
    return "\n".join(_lines(review)) + "\n"


def _lines(r: Review) -> Iterator[str]:
    commit = f", commit `{r.current.commit[:12]}`" if r.current.commit else ""
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
    yield from _numbers(r.numbers, r.source)
    yield from _files(r)


def _smoke(r: Review) -> Iterator[str]:
    smoke = r.current.smoke
    yield from ("", f"## Smoke test in {r.source}", "")
    if smoke is None:
        yield "Not run."
    else:
        yield f"**{smoke['outcome'].replace('_', ' ')}** {smoke.get('message', '')}".rstrip()
        yield from (f"- {line}" for line in smoke.get("differences", ()))


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


def _numbers(numbers: Numbers, source: str) -> Iterator[str]:
    yield from ("", "## What it does to the numbers", "")
    if numbers.why:
        yield numbers.why
        return
    differences = numbers.differences()
    if not differences:
        yield f"The refund report on the tables of {source} is the same under both releases' SQL."
        return
    yield f"The refund report on the tables of {source} under both releases' SQL:"
    yield from ("", "| customer | now | with this release | difference |", "|---|---:|---:|---:|")
    yield from (f"| {_cell(c)} | {b:.2f} | {a:.2f} | {a - b:+.2f} |" for c, b, a in differences)
    before, after = sum(b for _, b, _ in differences), sum(a for _, _, a in differences)
    yield f"| **{len(differences)} customers** | {before:.2f} | {after:.2f} | {after - before:+.2f} |"


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


def _files(r: Review) -> Iterator[str]:
    yield from ("", "## Files", "")
    if not r.files:
        yield "The same files."
    if r.settings_differ:
        yield "Stacks or artifacts in dataops.yml differ."
    for file in r.files:
        yield f"- {file.change.value} `{file.path}`"
    for file in r.files:
        if file.lines:
            shown = file.lines[:MAX_DIFF_LINES]
            left = len(file.lines) - len(shown)
            yield from ("", f"<details><summary>{file.path}</summary>", "", "````diff", *shown)
            yield from ([f"... {left} more lines"] if left else [])
            yield from ("````", "", "</details>")
