"""What is told to Slack, and that it is told once: the messages, the sending, and the memory of what was told."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lake_fakes import DirectoryStore
from notify import handler, slack
from notify.handler import Settings
from notify.reading import Notification, message_of
from notify.slack import NotSent, body, send
from notify.told import LEASE_SECONDS, BeingTold, Told
from refunds_alerts.message import Message, NoMessage, State, parse
from repository import ROOT
from template_model import TEMPLATES, one_resource
from webhook import HANGS, Webhook, serve

from deployer.local import slack as local_slack

NOW = datetime(2026, 11, 29, 6, tzinfo=UTC)
PROBLEM = Message(
    "validation", "Validation of 2026-11-28: 1 check fails", ("a (error): 2 rows",), anchor="the-validation-fails",
    link="https://console.example/x", state=State.PROBLEM, subject="validation", id="validation/1", at="2026-11-29T06:00:00Z",
)  # fmt: skip
SETTINGS = Settings("prod", "ap-southeast-2", "base-bucket", "arn:secret", "docs/operations.md")


def published(content: Any, **said: str) -> Notification:
    """Something on the topic."""
    text = content if isinstance(content, str) else json.dumps(content)
    return Notification("m-1", "2026-11-29T06:00:00.000Z", said.get("subject", ""), text)


def read(content: Any, error: str = "", **said: str) -> Message | None:
    """What it is as a message, where every run has this error."""
    return message_of(published(content, **said), "ap-southeast-2", lambda job, run: error)


def job_event(state: str, message: str = "failed to execute") -> dict[str, Any]:
    detail = {"jobName": "base-tables", "jobRunId": "jr_1", "state": state, "message": message}
    return {"id": "e-1", "detail-type": "Glue Job State Change", "time": "2026-11-29T06:00:00Z", "detail": detail}


def alarm(state: str, description: str = "Nobody was told (docs/operations.md#alerts).") -> dict[str, Any]:
    return {
        "AlarmName": "refunds-lake-prod-alerts-X",
        "AlarmArn": "arn:aws:cloudwatch:ap-southeast-2:111111111111:alarm:refunds-lake-prod-alerts-X",
        "AlarmDescription": description,
        "NewStateValue": state,
        "OldStateValue": "OK",
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": "2026-11-29T06:00:00.000+0000",
    }


# Reading


def test_our_own_message_travels_whole() -> None:
    """Given a message, when it is published and read, then it is the same; what it leaves out comes from the publication."""
    assert read(PROBLEM.text()) == PROBLEM
    short = read(Message("statement", "The statement of 2026-10 is issued").text())
    assert short is not None
    assert (short.subject, short.id, short.at) == ("statement", "sns/m-1", "2026-11-29T06:00:00.000Z")
    assert short.state is State.NEWS


@pytest.mark.parametrize("state", ["FAILED", "TIMEOUT", "STOPPED", "ERROR"])
def test_a_failed_run_is_told_with_the_jobs_own_words(state: str) -> None:
    """Given a run that ended badly, then its message has job, run, the job's own error, the run's page and the runbook."""
    found = read(job_event(state), error="read 10 is not kept 9 + rejected 0")
    assert found is not None
    assert (found.title, found.state, found.anchor) == (f"The job ended {state}", State.PROBLEM, "the-job-failed")
    assert found.lines == ("run jr_1 of base-tables", "read 10 is not kept 9 + rejected 0")
    assert found.link is not None and found.link.endswith("#/job/base-tables/run/jr_1")
    without = read(job_event(state))
    assert without is not None and without.lines[-1] == "failed to execute"


def test_a_run_that_succeeds_is_a_recovery() -> None:
    """Given a run that ended well, then it recovers the job, with no error."""
    found = read(job_event("SUCCEEDED"), error="never asked")
    assert found is not None
    assert (found.state, found.subject, found.lines) == (
        State.RECOVERED,
        "job/base-tables",
        ("run jr_1 of base-tables",),
    )


def test_an_alarm_says_its_description_and_links_to_its_section() -> None:
    """Given an alarm, then its description is the title, its section the anchor; its end is a recovery, no data is nothing."""
    found, ended = read(alarm("ALARM")), read(alarm("OK"))
    assert found is not None and ended is not None
    assert (found.title, found.anchor, found.state) == ("Nobody was told", "alerts", State.PROBLEM)
    assert found.lines[-1] == "Threshold Crossed"
    assert (ended.title, ended.state, ended.subject) == ("No longer: Nobody was told", State.RECOVERED, found.subject)
    assert read(alarm("INSUFFICIENT_DATA")) is None


def test_a_crawl_is_told_when_it_fails() -> None:
    """Given a crawler's events, then the failed one is a problem, the next good one recovers it, a beginning is nothing."""
    event = {"id": "e", "detail-type": "Glue Crawler State Change", "detail": {"crawlerName": "c", "state": "Failed"}}
    failed = read(event)
    assert failed is not None and (failed.state, failed.subject) == (State.PROBLEM, "crawler/c")
    good = read({**event, "detail": {"crawlerName": "c", "state": "Succeeded"}})
    assert good is not None and good.state is State.RECOVERED
    assert read({**event, "detail": {"crawlerName": "c", "state": "Started"}}) is None


@pytest.mark.parametrize(
    "content", ["no JSON", "[1]", '{"kind": "x"}', '{"kind": "x", "title": "t", "state": "odd"}', "{}"]
)
def test_what_cannot_be_read_is_told_as_it_is(content: str) -> None:
    """Given something else on the topic, then people get to see it: an alert that is badly written is still one."""
    found = read(content, subject="Something happened")
    assert found is not None
    assert (found.kind, found.title, found.lines) == ("unknown", "Something happened", (content,))


def test_a_message_needs_kind_and_title() -> None:
    """Given a document without a title, when it is parsed, then it is no message."""
    with pytest.raises(NoMessage):
        parse({"kind": "x"})


# Slack's form


def test_a_message_says_what_where_when_and_what_to_do() -> None:
    """Given a message, then its blocks are ones that Slack takes, with title, lines, links, environment and time."""
    content = body(PROBLEM, "prod", "https://example.com/operations.md")
    assert not any(local_slack.problems(block) for block in content["blocks"])
    text = json.dumps(content)
    for said in ("1 check fails", "a (error): 2 rows", "*prod*", "2026-11-29T06:00:00Z", "https://console.example/x"):
        assert said in text
    assert "<https://example.com/operations.md#the-validation-fails|What to do>" in text
    assert "`docs/operations.md#the-validation-fails`" in json.dumps(body(PROBLEM, "prod", "docs/operations.md"))


def test_long_and_wild_texts_stay_within_slacks_limits() -> None:
    """Given texts of any length, or ones that would call people, then Slack still takes them, as text."""
    wild = replace(PROBLEM, title="x" * 500, lines=("<!channel> & <https://evil|here>", "y" * 5000))
    content = body(wild, "prod", "docs/operations.md")
    assert not any(local_slack.problems(block) for block in content["blocks"])
    assert "&lt;!channel&gt; &amp; &lt;https://evil|here&gt;" in content["blocks"][1]["text"]["text"]


def test_the_local_receiver_refuses_what_slack_refuses(tmp_path: Path) -> None:
    """Given bodies that Slack would not take, when the receiver of the local cloud gets them, then it refuses and keeps none."""
    file = tmp_path / "slack.jsonl"
    header = {"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}
    section = {"type": "section", "text": {"type": "mrkdwn", "text": ""}}
    refused = [
        b"no json",
        b"{}",
        *(json.dumps({"blocks": [block]}).encode() for block in (header, section, {"type": "?"})),
    ]
    assert [local_slack.take(file, each)[0] for each in refused] == [400] * len(refused)
    assert local_slack.messages(file) == []
    assert local_slack.take(file, json.dumps(body(PROBLEM, "prod", "docs/operations.md")).encode()) == (200, "ok")
    (kept,) = local_slack.messages(file)
    shown = local_slack.page([kept, {"received_at": "", "text": "<b> &lt;i&gt;"}])
    assert "1 check fails" in shown and "&lt;b&gt; &lt;i&gt;" in shown


# Sending


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with serve() as found:
        yield found


def soon(seconds: float = 30) -> float:
    return time.monotonic() + seconds


def test_retry_after_is_honoured(webhook: Webhook) -> None:
    """Given Slack that asks to wait, when a message is sent, then it waits exactly so long, and sends it once more."""
    webhook.answers, waited = [(429, "7"), (429, "")], []
    send(webhook.url, {"text": "x"}, until=soon(), sleep=waited.append)
    assert (waited, len(webhook.taken)) == ([7.0, slack.USUAL_WAIT_SECONDS], 1)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (500, "Slack answered 500: no_service"),
        (404, "Slack answered 404"),
        (302, "Slack answered 302"),
        (204, "Slack answered 204"),
        ((429, "3600"), "Slack asks to wait 3600 s, which is longer than the time left"),
        (HANGS, "Slack cannot be reached: TimeoutError"),
    ],
)
def test_everything_but_200_is_an_error(
    webhook: Webhook, answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given Slack that does not take a message, then that is an error, which tells why and not where."""
    monkeypatch.setattr(slack, "TIMEOUT_SECONDS", 0.3)
    webhook.answers = [answer]
    with pytest.raises(NotSent, match=reason) as raised:
        send(webhook.url, {"text": "x"}, until=soon())
    assert "cAnArY" not in "".join(map(str, (raised.value, raised.value.__cause__, raised.value.__context__)))
    assert webhook.taken == []


def test_nobody_at_the_address_is_an_error() -> None:
    """Given an address at which nobody listens, then the error says so without the address."""
    with pytest.raises(NotSent, match="Slack cannot be reached: ConnectionRefusedError"):
        send("http://127.0.0.1:1/cAnArY", {"text": "x"}, until=soon())


# What was told


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(DirectoryStore(tmp_path), lambda: NOW)


def test_a_message_is_told_once(told: Told) -> None:
    """Given a message that was told, when it is delivered again, then it is not told again; another occurrence is."""
    for message, expected in ((PROBLEM, True), (PROBLEM, False), (replace(PROBLEM, id="validation/2"), True)):
        with told.once(message) as is_first:
            assert is_first is expected


def test_what_failed_is_told_by_the_next_delivery(told: Told) -> None:
    """Given a sending that failed, when the message is delivered again, then it is sent."""
    with pytest.raises(NotSent), told.once(PROBLEM):
        raise NotSent("Slack answered 500")
    with told.once(PROBLEM) as is_first:
        assert is_first


def test_two_deliveries_at_once_send_one_message(told: Told) -> None:
    """Given a delivery at work, when the same comes again, then it waits for how that ends; a dead one's claim runs out."""
    with told.once(PROBLEM), pytest.raises(BeingTold), told.once(PROBLEM):
        pytest.fail("both are sending")
    dead = replace(PROBLEM, id="dead")
    told._claim("alerts/told/x.json", dead)
    later = Told(told.store, lambda: NOW + timedelta(seconds=LEASE_SECONDS + 1))
    assert later._claim("alerts/told/x.json", dead) is not None
    assert one_resource("alerts", "Notify").properties["Timeout"] < LEASE_SECONDS


def test_a_recovery_is_told_once_and_only_after_its_problem(told: Told) -> None:
    """Given a subject, then that it is well is told when its problem was, once, and not before."""
    recovered = replace(PROBLEM, state=State.RECOVERED, id="r1")
    assert not told.is_news(recovered)
    with told.once(PROBLEM):
        pass
    assert told.is_news(recovered)
    with told.once(recovered):
        pass
    assert not told.is_news(replace(recovered, id="r2"))


# The function


class Secrets:
    """Secrets Manager with one value or none."""

    class exceptions:
        class ResourceNotFoundException(Exception):
            pass

    def __init__(self, value: str | None) -> None:
        self.value = value

    def get_secret_value(self, SecretId: str) -> dict[str, str]:
        if self.value is None:
            raise self.exceptions.ResourceNotFoundException
        return {"SecretString": self.value}


def call(monkeypatch: pytest.MonkeyPatch, value: str | None, store: DirectoryStore, content: Any) -> None:
    """Call the function with one notification."""
    glue = SimpleNamespace(get_job_run=lambda **_: {"JobRun": {"ErrorMessage": "the job's own words"}})
    clients = {"secretsmanager": Secrets(value), "glue": glue, "s3": None}
    monkeypatch.setattr(handler.boto3, "client", clients.__getitem__)
    monkeypatch.setattr(handler, "S3ObjectStore", lambda client, bucket: store)
    variables = one_resource("alerts", "Notify").properties["Environment"]["Variables"]
    for name, text in {**variables, "AWS_REGION": "ap-southeast-2"}.items():
        monkeypatch.setenv(name, text)
    sns = {"MessageId": "m-1", "Timestamp": "2026-11-29T06:00:00Z", "Subject": None, "Message": json.dumps(content)}
    handler.handle({"Records": [{"Sns": sns}]}, SimpleNamespace(get_remaining_time_in_millis=lambda: 60_000))


def test_the_function_tells_slack_and_keeps_the_address_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, webhook: Webhook, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a failed run on the topic, when the function is called twice, then Slack has one message, the log no address."""
    store = DirectoryStore(tmp_path)
    call(monkeypatch, webhook.url, store, job_event("FAILED"))
    call(monkeypatch, webhook.url, store, job_event("FAILED"))
    assert webhook.titles == ["The job ended FAILED"]
    assert "the job's own words" in json.dumps(webhook.taken)
    said = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert said == ["sent", "was sent before"]
    webhook.answers = [500]
    with pytest.raises(NotSent):
        call(monkeypatch, webhook.url, store, alarm("ALARM"))
    call(monkeypatch, webhook.url, store, alarm("ALARM"))
    assert webhook.titles == ["The job ended FAILED", "Nobody was told"]
    written = "".join(path.read_text() for path in tmp_path.rglob("*.json")) + capsys.readouterr().out
    assert "cAnArY" not in written


def test_without_an_address_the_message_is_not_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Given a secret without a value, when something is to be told, then the function fails, and says what to do."""
    with pytest.raises(NotSent, match="dataops secret set --env eeeeeeeeeeeeeeee slack-webhook"):
        call(monkeypatch, None, DirectoryStore(tmp_path), alarm("ALARM"))


# The template


def test_what_cannot_be_told_is_kept() -> None:
    """Given the function and its subscription, then both leave what they could not do in the queue."""
    queue = one_resource("alerts", "NotifyInvocations").properties["DestinationConfig"]["OnFailure"]["Destination"]
    assert one_resource("alerts", "NotifySubscription").properties["RedrivePolicy"] == {"deadLetterTargetArn": queue}
    assert one_resource("alerts", "NotifyInvocations").properties["MaximumRetryAttempts"] == 2


def test_no_template_holds_a_secret() -> None:
    """Given the secret, then its template gives it no value and takes none as a parameter."""
    secret = one_resource("alerts", "SlackWebhook").properties
    assert not {"SecretString", "GenerateSecretString"} & set(secret)
    assert not [name for name in TEMPLATES["alerts"].parameters if "webhook" in name.lower()]


def test_every_message_leads_to_a_section_of_the_runbook() -> None:
    """Given the anchors of messages and alarms, then docs/operations.md has a heading for each."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    headings = {
        line.lstrip("#").strip().lower().replace(" ", "-") for line in page.splitlines() if line.startswith("#")
    }
    messages = [read(job_event("FAILED")), read({"id": "e", "detail-type": "Glue Crawler State Change", "detail": {"crawlerName": "c", "state": "Failed"}}), read("?"), PROBLEM]  # fmt: skip
    assert {message.anchor for message in messages if message} <= headings
