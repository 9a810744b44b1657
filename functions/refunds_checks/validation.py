"""One validation: runs every check and reports its result. Pure except for the query function that it is given.

The function and `dataops check` decide how a query runs, where the report goes and who is notified.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from refunds_lake.storage.objects import ObjectStore, utc_text

from refunds_checks.arrivals import MANIFEST_CHECKS, Cadences, Skipped
from refunds_checks.facts import Facts
from refunds_checks.registry import Check, Severity, Source
from refunds_checks.statements import COUNT_COLUMN, statement

FORMAT: Final = 1
QUERIES_AT_ONCE: Final = 4
RUNBOOK: Final = "docs/operations.md"
REPORTS: Final = "validation/"
DAYS_OF_REPORTS: Final = 40
"""Older reports are not looked for: long before that, an alarm says that there are no new ones."""


class CheckVerdict(StrEnum):
    """What became of a check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    BROKEN = "broken"  # it could not be run, so its result is unknown


class CheckBroken(Exception):
    """A query, of a check or another, did not succeed; the message says why."""


@dataclass(frozen=True)
class Answer:
    """The rows of one query as Athena writes them: text, None for null."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[str | None, ...]]
    bytes_scanned: int = 0


Query = Callable[[str], Answer]
"""Runs a statement to its end; raise CheckBroken."""


@dataclass(frozen=True)
class ReportLine:
    """A check and its result, in the form of the report."""

    name: str  #: its name
    promise: str  #: what is true when the check returns no rows
    severity: Severity  #: how much it matters when it fails
    verdict: CheckVerdict  #: how it ended, `broken` if it could not be run
    rows: int  #: how many rows break the promise
    threshold: float | None  #: what it compares with
    unit: str  #: of the threshold
    blocking: bool  #: a month end requires it to pass
    runbook: str  #: what to do, a section of docs/operations.md
    note: str  #: why it was skipped or broken
    columns: tuple[str, ...]  #: names of the columns of its rows
    examples: tuple[tuple[Any, ...], ...]  #: up to 100 of the rows
    bytes_scanned: int  #: what Athena read


@dataclass(frozen=True)
class Result:
    """What one check found. `examples` are some of its `rows`; `note` says why it was skipped or broken."""

    check: Check
    verdict: CheckVerdict
    rows: int = 0
    columns: tuple[str, ...] = ()
    examples: tuple[tuple[Any, ...], ...] = ()
    note: str = ""
    bytes_scanned: int = 0

    @property
    def is_failing(self) -> bool:
        """Whether someone must look: offending rows, or a check that could not be run."""
        return self.verdict in (CheckVerdict.FAILED, CheckVerdict.BROKEN)

    @property
    def is_error(self) -> bool:
        """Whether the figures cannot be trusted: rows of a check of severity error, or any check that could not be run."""
        return self.is_failing and (self.check.severity is Severity.ERROR or self.verdict is CheckVerdict.BROKEN)

    def line(self) -> ReportLine:
        """Return the result as a line of the report."""
        return ReportLine(
            name=self.check.name,
            promise=self.check.promise,
            severity=self.check.severity,
            verdict=self.verdict,
            rows=self.rows,
            threshold=self.check.threshold,
            unit=self.check.unit,
            blocking=self.check.blocking,
            runbook=f"{RUNBOOK}#{self.check.runbook}",
            note=self.note,
            columns=self.columns,
            examples=self.examples,
            bytes_scanned=self.bytes_scanned,
        )


@dataclass(frozen=True)
class Report:
    """A validation of one day, in the order of the table of checks."""

    day: date
    started_at: datetime
    finished_at: datetime
    results: tuple[Result, ...]

    @property
    def failing(self) -> tuple[Result, ...]:
        """The results that someone must look at."""
        return tuple(result for result in self.results if result.is_failing)

    @property
    def errors(self) -> tuple[Result, ...]:
        """The results that make the figures doubtful."""
        return tuple(result for result in self.results if result.is_error)

    def document(self) -> dict[str, Any]:
        """Return the report in its stored form."""
        return {
            "format": FORMAT,
            "date": str(self.day),
            "started_at": utc_text(self.started_at),
            "finished_at": utc_text(self.finished_at),
            "errors": [result.check.name for result in self.errors],
            "failing": [result.check.name for result in self.failing],
            "checks": [asdict(result.line()) for result in self.results],
        }


def report_key(day: date) -> str:
    """Return the key of a day's report in the base bucket."""
    return f"{REPORTS}date={day}/report.json"


def newest_report(store: ObjectStore, today: date) -> Mapping[str, Any] | None:
    """Return the newest stored report, as `Report.document` wrote it; None if there is none of the last weeks."""
    begin = f"{REPORTS}date={today - timedelta(days=DAYS_OF_REPORTS)}"
    keys = [each.key for each in store.listing(REPORTS, after=begin)]
    if not keys:
        return None
    found: Mapping[str, Any] = json.loads(store.get(max(keys))[0])
    return found


def validate(
    checks: Iterable[Check], facts: Facts, cadences: Cadences, query: Query, *, clock: Callable[[], datetime]
) -> Report:
    """Run every check, some queries at a time. A check that cannot be run is a result like the others."""
    started = clock()
    with ThreadPoolExecutor(QUERIES_AT_ONCE) as pool:
        results = tuple(pool.map(lambda check: judge(check, facts, cadences, query), checks))
    return Report(facts.day, started, clock(), results)


def judge(check: Check, facts: Facts, cadences: Cadences, query: Query) -> Result:
    """Run one check."""
    try:
        if check.source is Source.SQL:
            return _of_query(check, query(statement(check, facts)))
        offending = MANIFEST_CHECKS[check.name](facts, cadences, check.threshold)
        return _result(check, offending.columns, offending.rows, len(offending.rows))
    except Skipped as reason:
        return Result(check, CheckVerdict.SKIPPED, note=str(reason))
    except CheckBroken as error:
        return Result(check, CheckVerdict.BROKEN, note=str(error))


def _of_query(check: Check, answer: Answer) -> Result:
    """Return the result of a statement whose last column is the count of all offending rows."""
    assert answer.columns[-1] == COUNT_COLUMN
    rows = int(answer.rows[0][-1] or 0) if answer.rows else 0
    return _result(check, answer.columns[:-1], [row[:-1] for row in answer.rows], rows, answer.bytes_scanned)


def _result(
    check: Check, columns: tuple[str, ...], examples: Iterable[tuple[Any, ...]], rows: int, bytes_scanned: int = 0
) -> Result:
    verdict = CheckVerdict.FAILED if rows else CheckVerdict.PASSED
    return Result(check, verdict, rows, columns, tuple(sorted(examples, key=str)), bytes_scanned=bytes_scanned)


def summary(report: Report) -> Mapping[str, Any]:
    """Return the message: only the failing checks, without any data."""
    names = ("name", "promise", "severity", "verdict", "rows", "threshold", "unit", "runbook", "note")
    failing = [asdict(result.line()) for result in report.failing]
    return {
        "date": str(report.day),
        "failing": [{name: each[name] for name in names} for each in failing],
        "checks": len(report.results),
    }
