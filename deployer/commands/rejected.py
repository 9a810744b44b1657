"""dataops rejected: show rejected records, with their raw text and their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import click

from deployer.composition.environment import lake_of
from deployer.documents import as_document
from deployer.lake.rejected_records import (
    RejectedRecord,
    checked_reason,
    fetch_rejected,
    next_steps,
    record_lines,
    summary,
)
from deployer.lake.since import SINCE_HELP, moment_since
from deployer.ledger.identity import utc_now
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples
from deployer.terminal.pager import show_paged

DEFAULT_LIMIT = 100


@dataclass(frozen=True)
class RejectedResult:
    """The newest of the requested rejected records."""

    env: str  #: the environment
    reason: str | None  #: the requested reason
    since: datetime | None  #: the requested earliest arrival
    total: int  #: how many such records there are, with those that are not shown
    records: tuple[RejectedRecord, ...]  #: the newest of them, newest arrivals first
    bytes_scanned: int  #: what Athena read


@click.command(
    epilog=examples(
        "dataops rejected --env local",
        "dataops rejected --env prod --since 7d",
        "dataops rejected --env prod --reason amount_invalid --since 2026-10-01 --output json",
    )
)
@env_option
@click.option("--reason", metavar="REASON", help="Only records rejected for this reason (and possibly others).")
@click.option("--since", metavar="WHEN", help=f"Only records that arrived since WHEN: {SINCE_HELP}")
@click.option(
    "--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True, help="Show at most this many."
)
@click.pass_obj
def rejected(app: App, env_name: str, reason: str | None, since: str | None, limit: int) -> None:
    """Show rejected records, newest arrivals first, with their location, reasons and raw text.

    Records that a replay has repaired are no longer shown.
    """
    moment = moment_since(since, utc_now()) if since is not None else None
    if reason is not None:
        checked_reason(reason)
    found = fetch_rejected(lake_of(app.connect(env_name)), reason=reason, since=moment, limit=limit)
    app.say(summary(found))
    if app.output == "json":
        result = RejectedResult(env_name, reason, moment, found.total, found.records, found.bytes_scanned)
        app.emit(as_document(result), "")
    elif found.records:
        show_paged("".join(f"{line}\n" for record in found.records for line in record_lines(record)))
    for line in next_steps(env_name, reason, found.records):
        app.say(line)
