"""What happens by itself in the local cloud: schedules, alarms, metrics in logs, and dead-letter queues."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import ACCOUNT, Cloud, Jobs, eventually

from deployer.local.events.metrics import embedded

START_JOB = "arn:aws:scheduler:::aws-sdk:glue:startJobRun"
Json = dict[str, Any]


@pytest.fixture
def cloud(local_cloud: Cloud) -> Cloud:
    return local_cloud


def queue(cloud: Cloud) -> tuple[str, str]:
    """A new queue to which services may write: its URL and its ARN."""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy("sqs:SendMessage", arn)})
    return url, arn


def topic(cloud: Cloud) -> str:
    """A new topic to which services may publish."""
    sns = cloud.client("sns")
    arn = str(sns.create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"])
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy("sns:Publish", arn))
    return arn


def policy(action: str, arn: str) -> str:
    services = [f"{name}.amazonaws.com" for name in ("cloudwatch", "events", "sns")]
    allowed = {"Effect": "Allow", "Principal": {"Service": services}, "Action": action, "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})


def message(cloud: Cloud, url: str, *, seconds: float = 20) -> Json:
    """The next message of a queue, which is removed from it."""
    sqs = cloud.client("sqs")

    def receive() -> Any:
        return sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages")

    (found,) = eventually(receive, seconds=seconds)
    sqs.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    return dict(found)


def reasons(found: Json) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in found["MessageAttributes"].items()}


def soon(zone_hours: int = 0) -> str:
    """An expression that is due in two seconds, by the clock of a time zone so many hours ahead."""
    return f"at({datetime.now(UTC) + timedelta(seconds=2, hours=zone_hours):%Y-%m-%dT%H:%M:%S})"


def schedule(
    cloud: Cloud, expression: str, arn: str, input: Json, dead: str, *, role: str = "", **properties: Any
) -> str:
    """A new schedule with one retry; if no role is given, it has one that may do anything."""
    name = f"schedule-{uuid.uuid4().hex[:8]}"
    target = {
        "Arn": arn,
        "RoleArn": role or cloud.role("scheduler"),
        "Input": json.dumps(input),
        "RetryPolicy": {"MaximumRetryAttempts": 1},
        "DeadLetterConfig": {"Arn": dead},
    }
    cloud.client("scheduler").create_schedule(
        Name=name, ScheduleExpression=expression, FlexibleTimeWindow={"Mode": "OFF"}, Target=target, **properties
    )
    return name


# Schedules


def test_a_schedule_starts_a_job_in_its_own_time_zone(cloud: Cloud) -> None:
    """Given a time on Brisbane's clock, when it comes, then the job runs once, with the placeholders filled in."""
    jobs = Jobs(cloud)
    job = jobs.job("import sys; print(sys.argv)")
    _, dead = queue(cloud)
    arguments = {"JobName": job, "Arguments": {"--due": "<aws.scheduler.scheduled-time>"}}
    schedule(cloud, soon(10), START_JOB, arguments, dead, ScheduleExpressionTimezone="Australia/Brisbane")
    (run,) = eventually(lambda: jobs.glue.get_job_runs(JobName=job)["JobRuns"], seconds=15)
    due = datetime.strptime(run["Arguments"]["--due"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((due - datetime.now(UTC)).total_seconds()) < 15
    time.sleep(3)
    assert len(jobs.glue.get_job_runs(JobName=job)["JobRuns"]) == 1


@pytest.mark.nightly
def test_a_schedule_of_every_minute_starts_a_job_each_minute(cloud: Cloud) -> None:
    """Given a schedule of every minute in Sydney, after two minutes, then there are two runs, at full minutes."""
    jobs = Jobs(cloud)
    job, (_, dead) = jobs.job("print(1)"), queue(cloud)
    arguments = {"JobName": job, "Arguments": {"--due": "<aws.scheduler.scheduled-time>"}}
    schedule(cloud, "cron(* * * * ? *)", START_JOB, arguments, dead, ScheduleExpressionTimezone="Australia/Sydney")
    runs = eventually(lambda: (found := jobs.glue.get_job_runs(JobName=job)["JobRuns"])[1:] and found, seconds=130)
    assert all(run["Arguments"]["--due"].endswith(":00Z") for run in runs)


@pytest.mark.parametrize(
    ("input", "code", "retries"),
    [({"JobNam": "x"}, "ValidationException", "0"), ({"JobName": "no-such-job"}, "EntityNotFoundException", "1")],
)
def test_what_a_schedule_cannot_start_lands_in_its_queue(cloud: Cloud, input: Json, code: str, retries: str) -> None:
    """Given an input that the API does not accept, or a missing job, then the queue has the event with the reason."""
    url, dead = queue(cloud)
    schedule(cloud, soon(), START_JOB, input, dead)
    found = message(cloud, url)
    assert json.loads(found["Body"]) == input
    assert (reasons(found)["ERROR_CODE"], reasons(found)["RETRY_ATTEMPTS"]) == (code, retries)
    assert reasons(found)["TARGET_ARN"] == START_JOB


def test_a_schedule_does_what_its_role_may(cloud: Cloud) -> None:
    """Given a role that may write to the queue but start nothing, then the queue has AWS's refusal as the reason."""
    url, dead = queue(cloud)
    jobs = Jobs(cloud)
    job = jobs.job("print(1)")
    allow = {"sqs:SendMessage": dead}
    schedule(cloud, soon(), START_JOB, {"JobName": job}, dead, role=cloud.role("scheduler", allow=allow))
    assert reasons(message(cloud, url))["ERROR_CODE"].startswith("AccessDenied")
    assert jobs.glue.get_job_runs(JobName=job)["JobRuns"] == []


@pytest.mark.parametrize(
    ("expression", "zone", "arn"),
    [
        ("cron(99 * * * ? *)", "UTC", START_JOB),
        ("rate(1 minutes)", "UTC", START_JOB),
        ("rate(1 hour)", "Mars/Base", START_JOB),
        ("rate(1 hour)", "UTC", "arn:aws:scheduler:::aws-sdk:glue:startJobRuns"),
    ],
)
def test_what_scheduler_refuses_is_refused(cloud: Cloud, expression: str, zone: str, arn: str) -> None:
    """Given an invalid expression, zone or API call, then neither the API nor a template creates the schedule."""
    _, dead = queue(cloud)
    with pytest.raises(ClientError, match="ValidationException"):
        schedule(cloud, expression, arn, {}, dead, ScheduleExpressionTimezone=zone)
    properties = {
        "ScheduleExpression": expression,
        "ScheduleExpressionTimezone": zone,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": arn, "RoleArn": cloud.role("scheduler"), "Input": "{}"},
    }
    stack = cloud.deploy({"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"


def test_a_schedule_of_a_template_keeps_its_zone(cloud: Cloud) -> None:
    """Given a template's schedule, when it is read and changed, then its zone is the template's."""
    properties: Json = {
        "Name": f"s-{uuid.uuid4().hex[:8]}",
        "ScheduleExpression": "cron(0 6 * * ? *)",
        "ScheduleExpressionTimezone": "Australia/Sydney",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {"Arn": START_JOB, "RoleArn": cloud.role("scheduler"), "Input": '{"JobName": "x"}'},
    }
    scheduler = cloud.client("scheduler")
    stack = cloud.deploy({"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": properties}})
    assert scheduler.get_schedule(Name=properties["Name"])["ScheduleExpressionTimezone"] == "Australia/Sydney"
    changed = {**properties, "ScheduleExpressionTimezone": "Europe/Paris"}
    cloud.deploy({"Schedule": {"Type": "AWS::Scheduler::Schedule", "Properties": changed}}, name=stack["StackName"])
    assert scheduler.get_schedule(Name=properties["Name"])["ScheduleExpressionTimezone"] == "Europe/Paris"


# Rules and topics


def test_a_function_behind_a_topic_is_called_again_and_then_left_to_its_queue(cloud: Cloud) -> None:
    """Given a function that always fails, when a topic calls it, then it is called three times; the queue has the event."""
    url, dead = queue(cloud)
    arn = cloud.function("def handle(event, context):\n    raise ValueError('no')\n")
    config = {"OnFailure": {"Destination": dead}}
    cloud.client("lambda").put_function_event_invoke_config(FunctionName=arn, DestinationConfig=config)
    sns, where = cloud.client("sns"), topic(cloud)
    sns.subscribe(TopicArn=where, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=where, Message="hello")
    kept = json.loads(message(cloud, url)["Body"])
    assert kept["requestPayload"]["Records"][0]["Sns"]["Message"] == "hello"
    assert kept["requestContext"]["condition"] == "RetriesExhausted"


def test_what_a_rule_cannot_deliver_lands_in_its_queue(cloud: Cloud) -> None:
    """Given a rule whose topic is gone, when an event comes, then the queue has the event with the reason."""
    url, dead = queue(cloud)
    events, name = cloud.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))["RuleArn"]
    gone = f"arn:aws:sns:{cloud.endpoint.region}:{ACCOUNT}:gone"
    target = {"Id": "t", "Arn": gone, "DeadLetterConfig": {"Arn": dead}, "RetryPolicy": {"MaximumRetryAttempts": 1}}
    events.put_targets(Rule=name, Targets=[target])
    events.put_events(Entries=[{"Source": name, "DetailType": "test", "Detail": '{"a": 1}'}])
    found = message(cloud, url)
    assert json.loads(found["Body"])["detail"] == {"a": 1}
    assert (reasons(found)["TARGET_ARN"], reasons(found)["RULE_ARN"]) == (gone, rule)


# Alarms and metrics


def alarm(cloud: Cloud, metric: str, tells: str = "", **properties: Any) -> str:
    """A new alarm on more than 5 within a minute; its name."""
    name = f"alarm-{uuid.uuid4().hex[:8]}"
    given = {
        "Namespace": "Test",
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5.0,
        "ComparisonOperator": "GreaterThanThreshold",
        **({"AlarmActions": [tells], "OKActions": [tells]} if tells else {}),
        **properties,
    }
    cloud.client("cloudwatch").put_metric_alarm(AlarmName=name, MetricName=metric, **given)
    return name


def state(cloud: Cloud, name: str) -> str:
    return str(cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"])


def test_an_alarm_looks_at_its_own_metric_alone(cloud: Cloud) -> None:
    """Given two alarms on a metric with different dimensions, when one value rises, then only its alarm goes off."""
    metric = f"m-{uuid.uuid4().hex[:8]}"
    own, other = (
        alarm(cloud, metric, Dimensions=[{"Name": "Job", "Value": job}], TreatMissingData="notBreaching")
        for job in "ab"
    )
    data = [{"MetricName": metric, "Value": 9, "Dimensions": [{"Name": "Job", "Value": "a"}]}]
    cloud.client("cloudwatch").put_metric_data(Namespace="Test", MetricData=data)
    eventually(lambda: (state(cloud, own), state(cloud, other)) == ("ALARM", "OK"), seconds=10)


@pytest.mark.parametrize(
    ("missing", "expected"),
    [("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA"), ("ignore", "INSUFFICIENT_DATA")],
)
def test_an_alarm_without_data_is_what_its_rule_says(cloud: Cloud, missing: str, expected: str) -> None:
    """Given an alarm whose metric has no data, or on a queue without a name, then its rule for missing data decides."""
    name = alarm(cloud, f"m-{uuid.uuid4().hex[:8]}", TreatMissingData=missing)
    no_queue = alarm(cloud, "ApproximateNumberOfMessagesVisible", Namespace="AWS/SQS", TreatMissingData=missing)
    time.sleep(3)
    assert (state(cloud, name), state(cloud, no_queue)) == (expected, expected)


def test_an_alarm_on_a_queue_is_told_and_so_is_its_end(cloud: Cloud) -> None:
    """Given an alarm on a queue's depth, when a message waits and is taken, then its topic hears of both, with the ARN."""
    url, arn = queue(cloud)
    told, told_arn = queue(cloud)
    where = topic(cloud)
    cloud.client("sns").subscribe(
        TopicArn=where, Protocol="sqs", Endpoint=told_arn, Attributes={"RawMessageDelivery": "true"}
    )
    name = alarm(
        cloud,
        "ApproximateNumberOfMessagesVisible",
        where,
        Namespace="AWS/SQS",
        Threshold=0.0,
        Dimensions=[{"Name": "QueueName", "Value": arn.rpartition(":")[2]}],
        AlarmDescription="Something waits (docs/operations.md#alerts).",
    )
    assert json.loads(message(cloud, told)["Body"])["NewStateValue"] == "OK"
    cloud.client("sqs").send_message(QueueUrl=url, MessageBody="x")
    begun = json.loads(message(cloud, told)["Body"])
    assert (begun["NewStateValue"], begun["OldStateValue"], begun["AlarmName"]) == ("ALARM", "OK", name)
    assert begun["AlarmArn"].endswith(f":alarm:{name}") and "docs/operations.md" in begun["AlarmDescription"]
    cloud.client("sqs").purge_queue(QueueUrl=url)
    assert json.loads(message(cloud, told)["Body"])["NewStateValue"] == "OK"


def test_what_a_function_prints_in_the_embedded_format_is_counted(cloud: Cloud) -> None:
    """Given a function that prints a metric, when it has run, then CloudWatch has it under its dimensions."""
    line = {
        "_aws": {
            "Timestamp": 0,
            "CloudWatchMetrics": [{"Namespace": "Test", "Dimensions": [["Function"]], "Metrics": [{"Name": "told"}]}],
        },
        "Function": uuid.uuid4().hex,
        "told": 3,
    }
    arn = cloud.function(f"def handle(event, context):\n    print({json.dumps(line)!r})\n")
    cloud.client("lambda").invoke(FunctionName=arn)
    statistics = {
        "Namespace": "Test",
        "MetricName": "told",
        "Dimensions": [{"Name": "Function", "Value": line["Function"]}],
        "StartTime": datetime.now(UTC) - timedelta(hours=1),
        "EndTime": datetime.now(UTC) + timedelta(hours=1),
        "Period": 3600,
        "Statistics": ["Sum"],
    }
    cloudwatch = cloud.client("cloudwatch")
    (point,) = eventually(lambda: cloudwatch.get_metric_statistics(**statistics)["Datapoints"], seconds=10)
    assert point["Sum"] == 3


def test_a_metric_filter_counts_the_lines_that_match(cloud: Cloud) -> None:
    """Given a metric filter, when lines are written, then those that match are counted."""
    logs, group, metric = cloud.client("logs"), f"g-{uuid.uuid4().hex[:8]}", f"m-{uuid.uuid4().hex[:8]}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="s")
    change = {"metricNamespace": "Test", "metricName": metric, "metricValue": "1"}
    logs.put_metric_filter(logGroupName=group, filterName="f", filterPattern="ERROR", metricTransformations=[change])
    now = int(time.time() * 1000)
    lines = [{"timestamp": now, "message": text} for text in ("ERROR one", "fine", "ERROR two")]
    logs.put_log_events(logGroupName=group, logStreamName="s", logEvents=lines)
    name = alarm(cloud, metric, Statistic="Sum", Threshold=1.0)
    eventually(lambda: state(cloud, name) == "ALARM", seconds=10)


@pytest.mark.parametrize(
    "text", ["", "no json", "{", "[1]", '{"_aws": 1}', '{"_aws": {"CloudWatchMetrics": [{"Dimensions": [["x"]]}]}}']
)
def test_other_lines_have_no_metrics(text: str) -> None:
    """Given a line that only looks like a metric, then it has none."""
    assert list(embedded(text)) == []
