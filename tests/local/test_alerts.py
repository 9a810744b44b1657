"""Alerts of a deployed lake: a real HTTP receiver in Slack's place gets each message once, and the address stays secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from local_cloud import eventually, settled
from local_project import LocalProject
from webhook import HANGS, Webhook, serve

CANARY = "cAnArY"
"""Part of the receiver's address: wherever it appears, the secret was revealed."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """A deployed lake for whose alerts no address is set yet."""
    project = LocalProject.deployed(tmp_path_factory, "alerts")
    try:
        yield project
    finally:
        project.dataops("local", "stop", check=False)


@pytest.fixture(scope="module")
def webhook(project: LocalProject) -> Iterator[Webhook]:
    """The receiver; from now on its address is set in the environment."""
    with serve() as found:
        done = project.set_webhook(found.url, "-vv")
        assert done.returncode == 0 and CANARY not in done.stdout + done.stderr
        yield found


def publish(project: LocalProject, **message: Any) -> None:
    """Publish a message of ours."""
    topic = project.outputs("alerts")["AlertTopicArn"]
    project.client("sns").publish(TopicArn=topic, Message=json.dumps({"kind": "test", **message}))


def test_without_an_address_messages_are_shown_on_a_page(project: LocalProject) -> None:
    """Given a fresh local cloud, when a message is published, then the page that `dataops local status` names shows it."""
    publish(project, title="Nobody has set an address")
    page = project.document("local", "status")["slack"]
    assert page in project.dataops("local", "status").stdout
    eventually(lambda: "Nobody has set an address" in read(page), seconds=30)
    (message,) = [each for each in json.loads(read(f"{page}.json"))["messages"] if "Nobody" in json.dumps(each)]
    assert message["blocks"]


def read(address: str) -> str:
    with urlopen(address) as response:
        return str(response.read().decode())


def test_a_troubled_slack_gets_each_message_once(project: LocalProject, webhook: Webhook) -> None:
    """Given that Slack asks to wait, fails and hangs, when a message is published, then it arrives once, after the wait."""
    webhook.only, webhook.answers, webhook.asked = "through trouble", [(429, "1"), 500, HANGS], []
    publish(project, title="Told through trouble", id="test/1")
    settled(lambda: webhook.titles.count("Told through trouble"), 1)
    assert len(webhook.asked) == 4
    assert webhook.asked[1] - webhook.asked[0] >= 1
    publish(project, title="Told through trouble", id="test/1")
    publish(project, title="Another", id="test/2")
    settled(lambda: webhook.titles.count("Another"), 1)
    assert webhook.titles.count("Told through trouble") == 1


def test_a_stopped_run_is_told_once_and_its_recovery_too(project: LocalProject, webhook: Webhook) -> None:
    """Given a run that somebody stops, then Slack has one message within 30 s, and one about the next run's recovery."""
    glue, job = project.client("glue"), project.outputs("glue")["BaseTablesJobName"]
    run = glue.start_job_run(JobName=job)["JobRunId"]
    glue.batch_stop_job_run(JobName=job, JobRunIds=[run])
    settled(lambda: webhook.titles.count("The job ended STOPPED"), 1)
    assert run in json.dumps(webhook.taken)
    project.dataops("run", "--env", "local")
    settled(lambda: webhook.titles.count("The job runs again"), 1)


def test_what_slack_never_takes_waits_in_the_queue(project: LocalProject, webhook: Webhook) -> None:
    """Given that Slack refuses three times, then the queue has the message's text and the reason, but not the address."""
    webhook.only, webhook.answers = "Refused", [404, 404, 404]
    publish(project, title="Refused")
    sqs, queue = project.client("sqs"), project.outputs("alerts")["AlertFailuresQueueUrl"]
    (kept,) = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), seconds=30)
    assert "Refused" in kept["Body"] and "Slack answered 404" in kept["Body"] and CANARY not in kept["Body"]
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=kept["ReceiptHandle"])
    assert "Refused" not in webhook.titles


def test_the_address_stands_nowhere(project: LocalProject, webhook: Webhook) -> None:
    """Given all messages, when logs, objects, stacks and history are searched, then the address is in none of them."""
    logs = project.client("logs")
    groups = [group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]]
    said = json.dumps([logs.filter_log_events(logGroupName=group)["events"] for group in groups])
    assert '\\"sent\\"' in said and CANARY not in said
    for command in (("history",), ("status",), ("drift",), ("logs", "--notify")):
        done = project.dataops("--output", "json", *command, "--env", "local", check=False)
        assert CANARY not in done.stdout + done.stderr
    local = project.directory / ".dataops/local"
    found = [
        path
        for path in files_of(local / "objects", local / "launcher.log")
        if CANARY in path.read_text(errors="replace")
    ]
    assert found == []
    templates = [
        project.client("cloudformation").get_template(StackName=f"refunds-lake-local-{stack}")
        for stack in ("alerts", "operations")
    ]
    assert CANARY not in json.dumps(templates, default=str)


def files_of(*places: Path) -> Iterator[Path]:
    for place in places:
        yield from (path for path in ([place] if place.is_file() else place.rglob("*")) if path.is_file())


@pytest.mark.parametrize(
    "value", ["", "http://hooks.slack.com/services/cAnArY", "https://user@host/cAnArY", "cAnArY x"]
)
def test_a_wrong_address_is_refused_unseen(project: LocalProject, value: str) -> None:
    """Given something that is not an address for alerts, when it is set, then it is refused, and not repeated."""
    done = project.set_webhook(value)
    assert done.returncode == 2
    assert "slack-webhook" in done.stderr and CANARY not in done.stdout + done.stderr
