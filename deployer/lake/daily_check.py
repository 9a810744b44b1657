"""The daily validation from the command line: the same checks as the function's, now, and how they are shown.

refunds_checks decides what is checked; nothing is stored or published.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

from refunds_checks.athena import Workgroup
from refunds_checks.facts import read_facts
from refunds_checks.registry import Check, ChecksError, blocking, load_checks
from refunds_checks.validation import CheckVerdict, Report, Result, validate

from deployer.errors import DataopsError, UsageError
from deployer.lake.deployed_lake import Lake
from deployer.lake.published_tables import as_dataops_errors
from deployer.lake.run_manifests import base_store
from deployer.ledger.identity import utc_now
from deployer.printable import aligned

CHECKS_DIRECTORY = "athena/checks"
TIMEOUT_SECONDS = 600.0
_HEAD = ("check", "severity", "rows", "threshold", "verdict")
_SHOWN_ROWS = 3


def day_from(text: str | None) -> date:
    """Return the day to validate: the one given, or yesterday in UTC. Raise UsageError."""
    if text is None:
        return utc_now().date() - timedelta(days=1)
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"'{text}' is not a day", hint="write a day as YYYY-MM-DD, for example 2026-10-01") from error


def checks_of(project_dir: Path) -> tuple[Check, ...]:
    """Return the checks of a checkout. Raise DataopsError."""
    try:
        return load_checks(project_dir / CHECKS_DIRECTORY)
    except ChecksError as error:
        raise DataopsError(str(error), hint="docs/sql.md describes the table of checks") from error


def check_day(lake: Lake, checks: Sequence[Check], day: date, cadences: Mapping[str, float]) -> Report:
    """Run the daily validation of a day."""
    with as_dataops_errors(lake.environment):
        facts = read_facts(base_store(lake), lake.live.prefix, day)
    return validate(checks, facts, cadences, _workgroup(lake).query, clock=utc_now)


def check_month_end(lake: Lake, checks: Sequence[Check]) -> Report:
    """Run the checks that a month end waits for, over all months, as of today."""
    with as_dataops_errors(lake.environment):
        facts = read_facts(base_store(lake), lake.live.prefix, utc_now().date(), all_months=True)
    return validate(blocking(checks), facts, {}, _workgroup(lake).query, clock=utc_now)


def _workgroup(lake: Lake) -> Workgroup:
    return Workgroup(lake.athena, lake.workgroup, lake.live.database, time.monotonic() + TIMEOUT_SECONDS)


def report_lines(report: Report) -> list[str]:
    """Show a report as a table, followed by why checks were skipped, and some rows of each failing one."""
    rows = [_HEAD, *(_cells(result) for result in report.results)]
    notes = [f"{each.check.name} {each.verdict}: {each.note}" for each in report.results if each.note]
    examples = [line for result in report.results if result.rows for line in _examples(result)]
    return [*aligned(rows), *([""] if notes else []), *notes, *examples]


def _cells(result: Result) -> tuple[str, ...]:
    check = result.check
    threshold = check.unit if check.threshold is None else f"{check.threshold:g} {check.unit}"
    counted = f"{result.rows:,}" if result.verdict in (CheckVerdict.PASSED, CheckVerdict.FAILED) else "-"
    return (check.name, check.severity, counted, threshold, result.verdict)


def _examples(result: Result) -> list[str]:
    shown = [", ".join(f"{value}" for value in row) for row in result.examples[:_SHOWN_ROWS]]
    more = [f"  and {result.rows - len(shown):,} more"] if result.rows > len(shown) else []
    head = f"{result.check.name} ({', '.join(result.columns)}), see {result.line().runbook}:"
    return ["", head, *(f"  {row}" for row in shown), *more]


def verdict_line(report: Report) -> str:
    """Say in one line how the day stands."""
    warnings = len(report.failing) - len(report.errors)
    scanned = sum(result.bytes_scanned for result in report.results)
    counts = [(len(report.results), "check"), (len(report.errors), "error"), (warnings, "warning")]
    said = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    return f"{report.day}: {said}; {scanned:,} bytes scanned"
