"""Turns what is on the topic into messages: our own format, events of Glue, and notifications of CloudWatch alarms.

Sending them, and what was sent before, is left to others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from refunds_alerts.links import alarm_link, crawler_link, run_link
from refunds_alerts.message import Message, NoMessage, State, parse

ANCHOR = re.compile(r"\s*\(docs/operations\.md#([\w-]+)\)")
JOB_SECTION, CRAWLER_SECTION = "the-job-failed", "a-crawler-failed"

RunError = Callable[[str, str], str]
"""The error message of a job run, by the job's name and the run's id; "" where there is none."""


@dataclass(frozen=True)
class Notification:
    """One delivery of the topic: its id, when it was published, its subject and its text."""

    id: str
    at: str
    subject: str
    text: str

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Notification:
        """Read the notification from a record of the event with which SNS calls a function."""
        sns = record["Sns"]
        return cls(sns["MessageId"], sns["Timestamp"], sns.get("Subject") or "", sns["Message"])


def message_of(notification: Notification, region: str, run_error: RunError) -> Message | None:
    """Return the message to send, None if no one needs it. An unknown notification is passed on unchanged."""
    try:
        content = json.loads(notification.text)
        found = _read(content, region, run_error) if isinstance(content, dict) else _as_it_is(notification)
    except (NoMessage, KeyError, ValueError):
        found = _as_it_is(notification)
    if found is None:
        return None
    subject, id_ = found.subject or found.kind, found.id or f"sns/{notification.id}"
    return replace(found, subject=subject, id=id_, at=found.at or notification.at)


def _read(content: Mapping[str, Any], region: str, run_error: RunError) -> Message | None:
    match content.get("detail-type"):
        case "Glue Job State Change":
            return job_message(content, region, run_error)
        case "Glue Crawler State Change":
            return crawler_message(content, region)
    return alarm_message(content) if "AlarmName" in content else parse(content)


def _as_it_is(notification: Notification) -> Message:
    title = notification.subject or "Somebody published something other than a message"
    return Message("unknown", title, (notification.text[:2000],), anchor="alerts")


def job_message(event: Mapping[str, Any], region: str, run_error: RunError) -> Message:
    """Return the message about a run of the job."""
    detail = event["detail"]
    job, run, state = detail["jobName"], detail["jobRunId"], detail["state"]
    succeeded = state == "SUCCEEDED"
    reason = "" if succeeded else run_error(job, run) or detail.get("message", "")
    return Message(
        kind="job",
        title="The job runs again" if succeeded else f"The job ended {state}",
        lines=tuple(line for line in (f"run {run} of {job}", reason) if line),
        link=run_link(region, job, run),
        anchor=JOB_SECTION,
        state=State.RECOVERED if succeeded else State.PROBLEM,
        subject=f"job/{job}",
        id=f"job/{run}/{state}",
        at=event.get("time", ""),
    )


def crawler_message(event: Mapping[str, Any], region: str) -> Message | None:
    """Return the message about a crawl; the start of one is not news."""
    detail = event["detail"]
    crawler, state = detail["crawlerName"], detail["state"]
    if state not in ("Succeeded", "Failed"):
        return None
    succeeded = state == "Succeeded"
    return Message(
        kind="crawler",
        title="The crawler works again" if succeeded else "A crawler failed",
        lines=tuple(line for line in (crawler, "" if succeeded else detail.get("message", "")) if line),
        link=crawler_link(region, crawler),
        anchor=CRAWLER_SECTION,
        state=State.RECOVERED if succeeded else State.PROBLEM,
        subject=f"crawler/{crawler}",
        id=f"crawler/{event['id']}",
        at=event.get("time", ""),
    )


def alarm_message(alarm: Mapping[str, Any]) -> Message | None:
    """Return the message about an alarm that went off or ended; one without data is ignored."""
    state = {"ALARM": State.PROBLEM, "OK": State.RECOVERED}.get(alarm["NewStateValue"])
    if state is None:
        return None
    name, description = alarm["AlarmName"], alarm.get("AlarmDescription") or ""
    anchor, region = ANCHOR.search(description), alarm["AlarmArn"].split(":")[3]
    said = ANCHOR.sub("", description).rstrip(".") or name
    return Message(
        kind="alarm",
        title=said if state is State.PROBLEM else f"No longer: {said}",
        lines=(f"alarm {name}", alarm.get("NewStateReason", "")),
        link=alarm_link(region, name),
        anchor=anchor.group(1) if anchor else None,
        state=state,
        subject=f"alarm/{name}",
        id=f"alarm/{name}/{alarm['StateChangeTime']}",
        at=alarm["StateChangeTime"],
    )
