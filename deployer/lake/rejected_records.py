"""Reads rejected records from the live tables: their raw text, all their reasons, and where they came from.

Judging them again is the business of the job, see loads.py; the reasons are those of the record contract.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from refunds_lake.schema.contract import CSV_MALFORMED, LINE_TOO_LONG, NOT_JSON, RULES
from refunds_statements.calendar import previous_month

from deployer.errors import UsageError
from deployer.lake.deployed_lake import Lake
from deployer.lake.queries import QueryResult, quoted, run_query
from deployer.nearest import nearest
from deployer.printable import printable

REASONS = sorted({rule.reason for rule in RULES} | {NOT_JSON, CSV_MALFORMED, LINE_TOO_LONG})
SHOWN_LETTERS = 1000
_SQL = """\
select
    rejected.raw_text,
    json_format(cast(rejected.reasons as json)) as reasons,
    rejected.source_file,
    rejected.line_number,
    rejected.run_id,
    rejected.ingested_at,
    count(*) over () as records
from rejected
where {conditions}
order by rejected.ingested_at desc, rejected.source_file, rejected.line_number
limit {limit}"""


@dataclass(frozen=True)
class RejectedRecord:
    """One record that became no row."""

    raw_text: str  #: the record as it was delivered
    reasons: tuple[str, ...]  #: why it was rejected, every reason
    file: str  #: key of the raw object
    line: int | None  #: its line or row there, from 1
    run: str  #: the recorded run that rejected it
    ingested_at: datetime  #: when the raw object arrived


@dataclass(frozen=True)
class RejectedRecords:
    """The newest of the requested rejected records, and how many there are."""

    records: tuple[RejectedRecord, ...]
    total: int
    bytes_scanned: int


def checked_reason(text: str) -> str:
    """Return a reason as it was given. Raise UsageError for an impossible one."""
    if re.fullmatch(r"[a-z][a-z0-9_]*", text) is None:
        raise UsageError(f"'{text}' is not a reason for a rejection", hint=f"reasons are {', '.join(REASONS)}")
    return text


def fetch_rejected(lake: Lake, *, reason: str | None, since: datetime | None, limit: int) -> RejectedRecords:
    """Return the newest rejected records, for one reason or all, that arrived since a moment or at any time."""
    sql = _SQL.format(conditions=_conditions(reason, since), limit=limit)
    return _records(run_query(lake, sql, database=lake.live.database))


def _conditions(reason: str | None, since: datetime | None) -> str:
    wanted = []
    if reason is not None:
        wanted.append(f"contains(rejected.reasons, {quoted(checked_reason(reason))})")
    if since is not None:
        # The partition is the month of arrival in the reporting time zone, which may still be the month before the moment's in
        # UTC. Earlier months are not read.
        wanted.append(f"rejected.month >= {quoted(previous_month(f'{since:%Y-%m}'))}")
        wanted.append(f"rejected.ingested_at >= timestamp {quoted(f'{since:%Y-%m-%d %H:%M:%S}')}")
    return " and ".join(wanted) or "true"


def _records(result: QueryResult) -> RejectedRecords:
    found, total = [], 0
    for raw_text, reasons, file, line, run, ingested_at, records in result.rows:
        total = int(records or 0)
        found.append(
            RejectedRecord(
                raw_text=raw_text or "",
                reasons=tuple(json.loads(reasons or "[]")),
                file=file or "",
                line=int(line) if line else None,
                run=run or "",
                ingested_at=datetime.fromisoformat(ingested_at or "").replace(tzinfo=UTC),
            )
        )
    return RejectedRecords(tuple(found), total, result.bytes_scanned)


def record_lines(record: RejectedRecord) -> list[str]:
    """Show one record in three lines: where it is and why it was rejected, when, and its text without control characters."""
    place = printable(record.file) + (f" line {record.line}" if record.line is not None else "")
    text = printable(record.raw_text[:SHOWN_LETTERS])
    cut = len(record.raw_text) - SHOWN_LETTERS
    return [
        f"{place}: {', '.join(record.reasons)}",
        f"  arrived {record.ingested_at:%Y-%m-%d %H:%M:%S} UTC, rejected by run {printable(record.run)}",
        f"  {text}" + (f" (and {cut:,} letters more)" if cut > 0 else ""),
    ]


def summary(found: RejectedRecords) -> str:
    """Say in one line how many there are, and how many of them are shown."""
    records = "1 rejected record" if found.total == 1 else f"{found.total:,} rejected records"
    shown = f", showing the newest {len(found.records):,}" if found.total > len(found.records) else ""
    return f"{records}{shown}; {found.bytes_scanned:,} bytes scanned"


def next_steps(environment: str, reason: str | None, records: Sequence[RejectedRecord]) -> list[str]:
    """Say what repairs rejected records; of none, which reasons there are."""
    if not records:
        if reason is None or reason in REASONS:
            return []
        return [f"no record is rejected for '{reason}', did you mean '{nearest(reason, REASONS) or REASONS[0]}'?"]
    replay = f"dataops replay --env {environment}" + (f" --reason {reason}" if reason else "")
    return [
        f"if the sender was wrong: deliver a corrected file like any other, dataops ingest --env {environment}",
        f"if the job or its settings were wrong: deploy the fix, then validate these records again with {replay}",
    ]
