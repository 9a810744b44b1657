"""What happens by itself in the local cloud: schedules, alarms, metrics in logs, and dead-letter queues."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_cloud import ACCOUNT, Cloud, Jobs, eventually

from deployer.local.events.metrics import embedded
from deployer.local.paths import LocalPaths

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


def policy(action: str, arn: str, *services: str, **conditions: Json) -> str:
    allowed = [f"{name}.amazonaws.com" for name in services or ("cloudwatch", "events", "sns")]
    statement: Json = {"Effect": "Allow", "Principal": {"Service": allowed}, "Action": action, "Resource": arn}
    if conditions:
        statement["Condition"] = conditions
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def let(cloud: Cloud, service: str, source: str, arn: str) -> None:
    """Let one service deliver to a function, queue or topic, for one resource alone."""
    only: Json = {"ArnLike": {"aws:SourceArn": source}, "StringEquals": {"AWS:SourceAccount": ACCOUNT}}
    kind, name = arn.split(":")[2], arn.rpartition(":")[2]
    if kind == "lambda":
        cloud.permit(arn, service, source)
    elif kind == "sns":
        document = policy("sns:Publish", arn, service, **only)
        cloud.client("sns").set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=document)
    else:
        sqs, document = cloud.client("sqs"), policy("sqs:SendMessage", arn, service, **only)
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": document})


def target(cloud: Cloud, kind: str) -> tuple[str, str]:
    """A new function, queue or topic: its ARN, and the URL of a queue that has what was delivered to it."""
    url, told = queue(cloud)
    if kind == "lambda":
        function = cloud.function("def handle(event, context):\n    raise ValueError('no')\n")
        config: Json = {"MaximumRetryAttempts": 0, "DestinationConfig": {"OnFailure": {"Destination": told}}}
        cloud.client("lambda").put_function_event_invoke_config(FunctionName=function, **config)
        return function, url
    if kind == "sns":
        where = topic(cloud)
        cloud.client("sns").subscribe(
            TopicArn=where, Protocol="sqs", Endpoint=told, Attributes={"RawMessageDelivery": "true"}
        )
        return where, url
    return told, url


def logged(cloud: Cloud, *words: str) -> bool:
    """Whether the log of the local cloud has a line with all these words, now or soon."""
    log = LocalPaths.of(cloud.project_dir).log
    return eventually(lambda: any(all(w in line for w in words) for line in log.read_text().splitlines()), seconds=10)


def rule(cloud: Cloud, target: str, dead: str) -> tuple[str, Callable[[str], None]]:
    """A new rule for a target and a dead-letter queue: its ARN, and what puts an event for it."""
    events, name = cloud.client("events"), f"rule-{uuid.uuid4().hex[:8]}"
    arn = events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))["RuleArn"]
    retry = {"MaximumRetryAttempts": 1}
    targets = [{"Id": "t", "Arn": target, "DeadLetterConfig": {"Arn": dead}, "RetryPolicy": retry}]
    events.put_targets(Rule=name, Targets=targets)

    def put(word: str) -> None:
        events.put_events(Entries=[{"Source": name, "DetailType": "test", "Detail": json.dumps({"word": word})}])

    return arn, put


def unread(cloud: Cloud, url: str) -> list[Json]:
    """The messages that wait in a queue now."""
    return list(cloud.client("sqs").receive_message(QueueUrl=url).get("Messages", []))


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
    (run,) = eventually(lambda: jobs.glue.get_job_runs(JobName=job)["JobRuns"], seconds=60)
    due = datetime.strptime(run["Arguments"]["--due"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((due - datetime.now(UTC)).total_seconds()) < 60
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
    let(cloud, "sns", where, arn)
    sns.subscribe(TopicArn=where, Protocol="lambda", Endpoint=arn)
    sns.publish(TopicArn=where, Message="hello")
    kept = json.loads(message(cloud, url)["Body"])
    assert kept["requestPayload"]["Records"][0]["Sns"]["Message"] == "hello"
    assert kept["requestContext"]["condition"] == "RetriesExhausted"


def test_what_a_rule_cannot_deliver_lands_in_its_queue(cloud: Cloud) -> None:
    """Given a rule whose topic is gone, when an event comes, then the queue has the event with the reason."""
    url, dead = queue(cloud)
    gone = f"arn:aws:sns:{cloud.endpoint.region}:{ACCOUNT}:gone"
    arn, put = rule(cloud, gone, dead)
    put("a")
    found = message(cloud, url)
    assert json.loads(found["Body"])["detail"] == {"word": "a"}
    assert (reasons(found)["TARGET_ARN"], reasons(found)["RULE_ARN"]) == (gone, arn)


@pytest.mark.parametrize("kind", ["lambda", "sqs", "sns"])
def test_a_rule_delivers_where_a_policy_names_it(cloud: Cloud, kind: str) -> None:
    """Given a target whose policy names another rule, then the rule's queue has the event; once it names this one, the target."""
    (arn, url), (dead_url, dead) = target(cloud, kind), queue(cloud)
    own, put = rule(cloud, arn, dead)
    let(cloud, "events", f"{own}-other", arn)
    put("refused")
    found = message(cloud, dead_url)
    assert json.loads(found["Body"])["detail"] == {"word": "refused"}
    assert (reasons(found)["ERROR_CODE"], reasons(found)["RETRY_ATTEMPTS"]) == ("NO_PERMISSIONS", "0")
    assert f"no resource-based policy allows the {arn.split(':')[2]}:" in reasons(found)["ERROR_MESSAGE"]
    let(cloud, "sns", own, arn)
    put("refused")
    assert reasons(message(cloud, dead_url))["ERROR_CODE"] == "NO_PERMISSIONS"
    let(cloud, "events", own, arn)
    put("delivered")
    delivered = message(cloud, url)["Body"]
    assert "delivered" in delivered and "refused" not in delivered


def test_an_event_that_neither_target_nor_queue_takes_is_lost(cloud: Cloud) -> None:
    """Given a rule whose target and queue name another rule, when an event comes, then it is lost, and the log says so."""
    (arn, url), (dead_url, dead) = target(cloud, "sqs"), queue(cloud)
    own, put = rule(cloud, arn, dead)
    for each in (arn, dead):
        let(cloud, "events", f"{own}-other", each)
    put("lost")
    assert logged(cloud, "sqs:SendMessage", dead, "lost:", own)
    assert unread(cloud, dead_url) == unread(cloud, url) == []


@pytest.mark.parametrize("kind", ["lambda", "sqs"])
def test_a_topic_delivers_where_a_policy_names_it(cloud: Cloud, kind: str) -> None:
    """Given a subscriber whose policy names another topic, then the subscription's queue has the message; else the subscriber."""
    (arn, url), (dead_url, dead) = target(cloud, kind), queue(cloud)
    sns, where = cloud.client("sns"), topic(cloud)
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead})}
    sns.subscribe(TopicArn=where, Protocol=kind, Endpoint=arn, Attributes=redrive)
    let(cloud, "sns", f"{where}-other", arn)
    sns.publish(TopicArn=where, Message="refused")
    found = message(cloud, dead_url)
    assert json.loads(found["Body"])["Message"] == "refused"
    assert reasons(found)["ERROR_CODE"] == "AccessDenied"
    let(cloud, "sns", where, arn)
    sns.publish(TopicArn=where, Message="delivered")
    delivered = message(cloud, url)["Body"]
    assert "delivered" in delivered and "refused" not in delivered


def test_a_bucket_calls_a_function_whose_policy_names_it(cloud: Cloud) -> None:
    """Given a function that permits another bucket, then it is not called for this one until it permits it."""
    (arn, url), bucket, s3 = target(cloud, "lambda"), cloud.bucket(), cloud.client("s3")
    calls = [{"LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]
    s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": calls}
    )
    let(cloud, "s3", "arn:aws:s3:::other", arn)
    s3.put_object(Bucket=bucket, Key="refused", Body=b"x")
    assert logged(cloud, "lambda:InvokeFunction", arn, bucket)
    let(cloud, "s3", f"arn:aws:s3:::{bucket}", arn)
    s3.put_object(Bucket=bucket, Key="delivered", Body=b"x")
    delivered = message(cloud, url)["Body"]
    assert "delivered" in delivered and "refused" not in delivered


def test_a_schedule_needs_its_role_alone(cloud: Cloud) -> None:
    """Given a topic whose policy names an alarm alone, when a schedule's role may publish to it, then it does."""
    (where, url), (_, dead) = target(cloud, "sns"), queue(cloud)
    let(cloud, "cloudwatch", "*", where)
    schedule(cloud, soon(), where, {"a": 1}, dead, role=cloud.role("scheduler", allow={"sns:Publish": where}))
    assert json.loads(message(cloud, url)["Body"]) == {"a": 1}


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


def test_an_alarm_publishes_where_a_policy_names_it(cloud: Cloud) -> None:
    """Given topics whose policies name any alarm and another alarm, when one goes off, then the first topic hears of it."""
    (any_alarm, url), (other_alarm, other_url) = target(cloud, "sns"), target(cloud, "sns")
    alarms = f"arn:aws:cloudwatch:{cloud.endpoint.region}:{ACCOUNT}:alarm"
    let(cloud, "cloudwatch", f"{alarms}:*", any_alarm)
    let(cloud, "cloudwatch", f"{alarms}:other", other_alarm)
    name = alarm(
        cloud, f"m-{uuid.uuid4().hex[:8]}", TreatMissingData="breaching", AlarmActions=[other_alarm, any_alarm]
    )
    assert json.loads(message(cloud, url)["Body"])["AlarmName"] == name
    assert logged(cloud, "sns:Publish", name, other_alarm)
    assert unread(cloud, other_url) == []


def test_a_topics_default_policy_admits_alarms_and_no_rules(cloud: Cloud) -> None:
    """Given a topic without a policy of its own, when an alarm and a rule publish to it, then it hears of the alarm alone."""
    (url, told), (dead_url, dead) = queue(cloud), queue(cloud)
    sns = cloud.client("sns")
    where = sns.create_topic(Name=f"t-{uuid.uuid4().hex[:8]}")["TopicArn"]
    sns.subscribe(TopicArn=where, Protocol="sqs", Endpoint=told)
    _, put = rule(cloud, where, dead)
    put("refused")
    assert reasons(message(cloud, dead_url))["ERROR_CODE"] == "NO_PERMISSIONS"
    name = alarm(cloud, f"m-{uuid.uuid4().hex[:8]}", where, TreatMissingData="breaching")
    assert name in message(cloud, url)["Body"]


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
