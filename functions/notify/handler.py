"""Called by the alert topic: reads what was published, and posts it to Slack once.

Whatever goes wrong is raised: Lambda then tries again, and at last leaves the notification in the queue.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError
from refunds_alerts.message import Message
from refunds_lake.storage.objects import S3ObjectStore

from notify.reading import Notification, message_of
from notify.slack import NotSent, body, send
from notify.told import Told

SECONDS_FOR_THE_RECORD: Final = 5
"""Sending ends this long before the function's own time is up."""


@dataclass(frozen=True)
class Settings:
    """What the template gives the function."""

    environment: str
    region: str
    bucket: str
    webhook_secret: str
    runbook: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Settings:
        """Read the settings from the environment variables."""
        return cls(
            environment=variables["ENVIRONMENT"],
            region=variables["AWS_REGION"],
            bucket=variables["BASE_BUCKET"],
            webhook_secret=variables["WEBHOOK_SECRET"],
            runbook=variables.get("RUNBOOK_URL") or "docs/operations.md",
        )


def handle(event: Mapping[str, Any], context: Any) -> None:
    """Send every notification of the event; SNS passes one at a time."""
    until = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - SECONDS_FOR_THE_RECORD
    settings = Settings.of(os.environ)
    told = Told(S3ObjectStore(boto3.client("s3"), settings.bucket), now)
    for record in event["Records"]:
        message = message_of(Notification.of(record), settings.region, run_error)
        if message is not None:
            tell(message, settings, told, until)


def tell(message: Message, settings: Settings, told: Told, until: float) -> None:
    """Send a message unless it was sent before, or reports a recovery from an unknown problem."""
    if not told.is_news(message):
        log("the problem was never sent", message)
        return
    with told.once(message) as is_first:
        if is_first:
            send(webhook(settings), body(message, settings.environment, settings.runbook), until=until)
        log("sent" if is_first else "was sent before", message)


def webhook(settings: Settings) -> str:
    """Return Slack's address. Raise NotSent if none is set."""
    secrets = boto3.client("secretsmanager")
    try:
        return str(secrets.get_secret_value(SecretId=settings.webhook_secret)["SecretString"])
    except secrets.exceptions.ResourceNotFoundException:
        hint = f"dataops secret set --env {settings.environment} slack-webhook"
        raise NotSent(f"no address of Slack is set: {hint}") from None


def run_error(job: str, run: str) -> str:
    """Return the error of a job run in the job's words; "" if Glue does not show it, as the event has an error, too."""
    try:
        found = boto3.client("glue").get_job_run(JobName=job, RunId=run)["JobRun"]
    except ClientError as error:
        print(json.dumps({"message": "the run's error cannot be read", "run": run, "reason": str(error)}), flush=True)
        return ""
    return str(found.get("ErrorMessage", ""))


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def log(what: str, message: Message) -> None:
    """Log what became of a message."""
    print(json.dumps({"message": what, "kind": message.kind, "title": message.title, "id": message.id}), flush=True)
