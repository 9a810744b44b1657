"""Issues every statement that is due, and announces it: each statement once, and a refused one every day.

refunds_statements decides which months are due and what a statement holds; notify decides who is notified.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3
from refunds_alerts.links import object_link
from refunds_alerts.message import Message, State, publish
from refunds_checks.athena import Workgroup
from refunds_checks.registry import Check, load_checks
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.storage.objects import ObjectStore, S3ObjectStore
from refunds_statements.documents import PAGE
from refunds_statements.issuing import AlreadyIssued, NotIssued, Request, due_month, issue
from refunds_statements.register import read_statements
from refunds_statements.snapshot import NothingLoaded, Source
from refunds_statements.statement import Statement

CHECKS: Final = Path(__file__).parents[1] / "checks"
ISSUED_BY: Final = "month end"
SECONDS_FOR_THE_DOCUMENTS: Final = 30
"""Queries end this long before the function's own time is up."""
TOLD_FOR: Final = timedelta(days=7)
"""Sent messages are remembered for longer than that."""
SUBJECT: Final = "statement"


@dataclass(frozen=True)
class Settings:
    """What the template gives the function."""

    environment: str
    region: str
    base_bucket: str
    base_prefix: str
    artifacts_bucket: str
    database: str
    workgroup: str
    topic_arn: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Settings:
        """Read the settings from the environment variables."""
        return cls(
            environment=variables["ENVIRONMENT"],
            region=variables["AWS_REGION"],
            base_bucket=variables["BASE_BUCKET"],
            base_prefix=variables["BASE_PREFIX"],
            artifacts_bucket=variables["ARTIFACTS_BUCKET"],
            database=variables["DATABASE"],
            workgroup=variables["WORKGROUP"],
            topic_arn=variables["TOPIC_ARN"],
        )


def handle(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Issue what is due; the answer lists the months that were issued, and why one was refused.

    The event `{"issue": false}` issues nothing: it only announces what was issued by hand.
    """
    until = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SECONDS_FOR_THE_DOCUMENTS
    settings = Settings.of(os.environ)
    s3 = boto3.client("s3")
    source = Source(
        store=S3ObjectStore(s3, settings.base_bucket),
        base_prefix=settings.base_prefix,
        months=GlueCatalog(boto3.client("glue"), settings.database).months,
        query=Workgroup(boto3.client("athena"), settings.workgroup, settings.database, until).query,
    )
    release = deployed_release(S3ObjectStore(s3, settings.artifacts_bucket), settings.environment)

    tell = partial(publish, boto3.client("sns"), settings.topic_arn)
    answer = run(source, settings, release, load_checks(CHECKS), tell, clock=now, issues=event.get("issue", True))
    print(json.dumps(answer), flush=True)
    return answer


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def deployed_release(artifacts: ObjectStore, environment: str) -> str:
    """Return the id of the deployed release, according to the ledger."""
    return str(json.loads(artifacts.get(f"ledger/{environment}/current.json")[0])["release"])


def run(
    source: Source,
    settings: Settings,
    release: str,
    checks: Sequence[Check],
    tell: Callable[[Message], None],
    *,
    clock: Callable[[], datetime],
    issues: bool = True,
) -> dict[str, Any]:
    """Issue the months that are due, one after the other, and announce each statement of the last days.

    No message is sent twice, so this also announces a statement that was issued by hand, and one whose function died
    before it could announce it.
    """
    issued: list[str] = []
    refused, month = "", None
    try:
        while issues and (month := due_month(source, clock())):
            issue(source, Request(settings.environment, month, release, ISSUED_BY), checks, clock=clock)
            issued.append(month)
    except AlreadyIssued:
        pass  # by someone else, in the meantime
    except NothingLoaded as error:
        return {"issued": issued, "refused": str(error)}  # an empty lake is not a problem
    except NotIssued as error:
        refused = str(error)
        tell(refusal(str(month), refused, clock()))
    statements = read_statements(source.store)
    for before, statement in zip((None, *statements), statements, strict=False):
        if clock() - statement.issued_at < TOLD_FOR:
            tell(announcement(statement, before, settings))
    if statements and not refused:
        tell(Message(kind="statement", title="Statements are issued again", state=State.RECOVERED, subject=SUBJECT))
    return {"issued": issued, "refused": refused}


def refusal(month: str, reason: str, moment: datetime) -> Message:
    """Return the message that a statement was refused; once a day, until it is issued."""
    return Message(
        kind="statement",
        title=f"The statement of {month} is refused",
        lines=(reason,),
        anchor="a-statement-is-refused",
        state=State.PROBLEM,
        subject=SUBJECT,
        id=f"statement/{month}/refused/{moment:%Y-%m-%d}",
    )


def announcement(statement: Statement, previous: Statement | None, settings: Settings) -> Message:
    """Return the message about a statement: customers, total, change to the month before, adjustments, and its page."""
    customers = "1 customer" if statement.customers == 1 else f"{statement.customers:,} customers"
    change = ""
    if previous is not None:
        change = f", {statement.total_refund - previous.total_refund:+,.2f} against {previous.month}"
    override = (f"issued although checks failed: {statement.override}",) if statement.override else ()
    return Message(
        kind="statement",
        title=f"Statement of {statement.month}",
        lines=(
            f"{customers}, {statement.total_refund:,.2f} in total{change}",
            f"adjustments of earlier months: {statement.adjustments_total:+,.2f}",
            *override,
        ),
        link=object_link(settings.region, settings.base_bucket, statement.documents[PAGE].key),
        anchor="month-end",
        subject=SUBJECT,
        id=f"statement/{statement.month}/{statement.number}",
    )
