"""Nothing fails in silence: what every alarm, queue, rule and schedule of the templates has."""

from __future__ import annotations

import json
import re
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters
from repository import ROOT
from template_model import (
    ACCOUNT,
    OTHER_ACCOUNT,
    SAMPLES,
    TEMPLATES,
    Filled,
    Resource,
    all_resources,
    as_list,
    one_resource,
    policy_allows,
    policy_denies,
    statements,
)

from deployer.local.events.schedules import UNIVERSAL, operation_of, problem

ALARMS = all_resources("AWS::CloudWatch::Alarm")
QUEUES = all_resources("AWS::SQS::Queue")
RULES = all_resources("AWS::Events::Rule")
TARGETS = [(rule, target) for rule in RULES for target in rule.properties["Targets"]]
SCHEDULES = all_resources("AWS::Scheduler::Schedule")
FUNCTIONS = all_resources("AWS::Lambda::Function")
SUBSCRIPTIONS = all_resources("AWS::SNS::Subscription")
TELLS_ITSELF = {"operations/FailingChecks": "the validation's own message has the checks, and ends with them"}


def each(resources: list[Resource]) -> pytest.MarkDecorator:
    """One case per resource; a list that is empty by mistake must not pass in silence."""
    assert resources
    return pytest.mark.parametrize("resource", resources, ids=str)


def arn_of(resource: Resource) -> str:
    return str(Filled(resource.template).value({"Fn::GetAtt": [resource.id, "Arn"]}))


def headings() -> set[str]:
    """The anchors of the runbook's sections."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    return {title.strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}


@each(ALARMS)
def test_an_alarm_leads_to_its_section(resource: Resource) -> None:
    """Given an alarm, then its description ends with a section of the runbook, which names the alarm."""
    found = re.search(r"\(docs/operations\.md#([\w-]+)\)\.?$", resource.properties["AlarmDescription"])
    assert found and found[1] in headings()
    assert f"`{resource.id}`" in (ROOT / "docs/operations.md").read_text(encoding="utf-8")


@each(ALARMS)
def test_an_alarm_is_told_and_so_is_its_end(resource: Resource) -> None:
    """Given an alarm, then the alert topic hears of its beginning and its end, or something else does, for a reason."""
    topics = {"arn:aws:sns:ap-southeast-2:111111111111:alerts", Filled("alerts").value({"Ref": "AlertTopic"})}
    actions = [set(resource.properties.get(name, ())) for name in ("AlarmActions", "OKActions")]
    if str(resource) in TELLS_ITSELF:
        assert actions == [set(), set()]
    else:
        assert actions[0] == actions[1] and actions[0] <= topics and actions[0]
    assert "TreatMissingData" in resource.properties


@pytest.mark.parametrize(
    ("alarm", "namespace", "metric", "place", "an_hour"),
    [
        ("LateDelivery", "AWS/Firehose", "DeliveryToS3.DataFreshness", {"DeliveryStreamName": "Delivery"}, 3600),
        (
            "LateReading",
            "AWS/Kinesis",
            "GetRecords.IteratorAgeMilliseconds",
            {"StreamName": "TransactionStream"},
            3_600_000,
        ),
    ],
)
def test_a_delivery_that_lags_is_an_alarm_long_before_records_are_lost(
    alarm: str, namespace: str, metric: str, place: dict[str, str], an_hour: int
) -> None:
    """Given the ages of what waits on the stream and before S3, then an hour of either, in its own unit, is an alarm: less than
    the time for which the stream keeps records.
    """
    found = one_resource("ingest", alarm).properties
    dimensions = {each["Name"]: each["Value"] for each in found["Dimensions"]}
    assert (found["Namespace"], found["MetricName"], found["Threshold"]) == (namespace, metric, an_hour)
    assert dimensions == {name: Filled("ingest").value({"Ref": resource}) for name, resource in place.items()}
    assert found["Statistic"] == "Maximum" and found["ComparisonOperator"] == "GreaterThanThreshold"
    assert int(TEMPLATES["ingest"].parameters["StreamRetentionHours"].default) > 1


def test_every_exception_is_still_needed() -> None:
    """Given the alarms without actions, then each is there."""
    assert set(TELLS_ITSELF) <= {str(alarm) for alarm in ALARMS}


def test_what_nobody_would_notice_is_an_alarm() -> None:
    """Given what can stop in silence, then an alarm looks at each: records that wait, Firehose's errors, a job or a validation
    that has not come to its end for 26 hours, and checks that fail.
    """
    watched = {
        (alarm.properties["Namespace"], alarm.properties["MetricName"]): (
            alarm.properties["Period"] * alarm.properties["EvaluationPeriods"],
            alarm.properties["TreatMissingData"],
        )
        for alarm in ALARMS
    }
    day = 26 * 3600
    assert watched["AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds"] == (900, "notBreaching")
    assert watched["AWS/Firehose", "DeliveryToS3.DataFreshness"] == (900, "notBreaching")
    assert watched["RefundsLake", "duration"] == watched["RefundsLake", "validations"] == (day, "breaching")
    assert watched["RefundsLake", "failing_errors"] == (3600, "ignore")
    assert any(metric.endswith("-delivery-errors") for _, metric in watched)


def test_an_address_gets_what_is_on_the_topic_as_well() -> None:
    """Given an address, then it has a subscription of its own to the topic; without one there is none."""
    given = one_resource("alerts", "EmailSubscription").properties
    assert (given["Protocol"], given["Endpoint"]) == ("email", SAMPLES["AlertEmail"])
    assert given["TopicArn"] == Filled("alerts").value({"Ref": "AlertTopic"})
    assert "EmailSubscription" not in {each.id for each in Filled("alerts", without={"HasEmail"}).resources()}


@each(QUEUES)
def test_what_waits_in_a_queue_is_an_alarm(resource: Resource) -> None:
    """Given a queue, then it keeps its messages for two weeks and an alarm looks at how many there are."""
    assert resource.properties["MessageRetentionPeriod"] == 14 * 24 * 3600
    watched = [
        dimension["Value"]
        for alarm in ALARMS
        if alarm.properties["MetricName"] == "ApproximateNumberOfMessagesVisible"
        and alarm.template == resource.template
        for dimension in alarm.properties["Dimensions"]
    ]
    assert Filled(resource.template).value({"Ref": resource.id}) in watched


def writers(queue_arn: str) -> dict[str, set[str]]:
    """Service -> the sources for which it may write into a queue, by the queue's own policy."""
    found: dict[str, set[str]] = {}
    for policy in all_resources("AWS::SQS::QueuePolicy"):
        for statement in statements(policy):
            if statement["Effect"] == "Allow" and queue_arn in as_list(statement["Resource"]):
                sources = as_list(statement["Condition"]["ArnEquals"]["aws:SourceArn"])
                found.setdefault(statement["Principal"]["Service"], set()).update(sources)
    return found


@each(QUEUES)
def test_a_queue_talks_tls_only(resource: Resource) -> None:
    """Given a queue, when a message comes over plain HTTP, then its policy refuses it."""
    (policy,) = [
        statements(each)
        for each in all_resources("AWS::SQS::QueuePolicy")
        if each.template == resource.template and f"{resource.id}Policy" == each.id
    ]
    assert policy_denies(policy, "sqs:SendMessage", arn_of(resource), {"aws:SecureTransport": "false"})
    assert not policy_denies(policy, "sqs:SendMessage", arn_of(resource), {"aws:SecureTransport": "true"})


@pytest.mark.parametrize(
    ("service", "source"),
    [
        ("cloudwatch.amazonaws.com", "arn:aws:cloudwatch:ap-southeast-2:{}:alarm:a"),
        ("events.amazonaws.com", "arn:aws:events:ap-southeast-2:{}:rule/a"),
    ],
)
def test_the_topic_hears_alarms_and_rules_of_this_account(service: str, source: str) -> None:
    """Given the topic, when an alarm or a rule tells it something, then it hears those of this account, over TLS."""
    every = statements(one_resource("alerts", "AlertTopicPolicy"))
    policy = [each for each in every if each["Principal"] in ("*", {"Service": service})]
    topic = Filled("alerts").value({"Ref": "AlertTopic"})
    for account, tls, heard in ((ACCOUNT, "true", True), (OTHER_ACCOUNT, "true", False), (ACCOUNT, "false", False)):
        said = {"aws:SourceAccount": account, "aws:SourceArn": source.format(account), "aws:SecureTransport": tls}
        assert policy_allows(policy, "sns:Publish", topic, said) is heard


def test_who_calls_a_function_is_named_by_its_own_arn() -> None:
    """Given the rules, topics and APIs that call functions, then each has a permission, which asks for nothing else.

    An ARN has the account in it; that API Gateway, SNS or EventBridge say the account as well, AWS does not document.
    """
    permissions = [permission.properties for permission in all_resources("AWS::Lambda::Permission")]
    assert not any("SourceAccount" in permission for permission in permissions)
    given = {(permission["FunctionName"], permission["SourceArn"]) for permission in permissions}
    names = {arn_of(function): Filled(function.template).value({"Ref": function.id}) for function in FUNCTIONS}
    rules = {(names[target["Arn"]], arn_of(rule)) for rule, target in TARGETS if target["Arn"] in names}
    topics = {
        (names[each.properties["Endpoint"]], each.properties["TopicArn"])
        for each in SUBSCRIPTIONS
        if each.properties["Endpoint"] in names
    }
    api = {pair for pair in given if ":execute-api:" in pair[1]}
    assert rules and topics and len(api) == 1
    assert given == rules | topics | api


@pytest.mark.parametrize(
    ("rule", "target"), TARGETS, ids=lambda value: str(value) if isinstance(value, Resource) else ""
)
def test_a_target_of_a_rule_is_tried_again_and_has_a_queue(rule: Resource, target: dict[str, Any]) -> None:
    """Given a target, then it has retries and a queue of ours, which lets EventBridge write for this rule."""
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    queue = target["DeadLetterConfig"]["Arn"]
    assert queue in {arn_of(queue) for queue in QUEUES}
    assert arn_of(rule) in writers(queue)["events.amazonaws.com"]


@each(SUBSCRIPTIONS)
def test_a_subscription_of_a_function_has_a_queue(resource: Resource) -> None:
    """Given a function that a topic calls, then what cannot be delivered lands in a queue that lets the topic write."""
    if resource.properties["Protocol"] == "lambda":
        queue = resource.properties["RedrivePolicy"]["deadLetterTargetArn"]
        assert resource.properties["TopicArn"] in writers(queue)["sns.amazonaws.com"]


@each(SCHEDULES)
def test_a_schedule_is_tried_again_and_has_a_queue_and_a_zone(resource: Resource) -> None:
    """Given a schedule, then it has a time zone, retries, a queue, and nothing that AWS would refuse."""
    target = resource.properties["Target"]
    assert resource.properties["ScheduleExpressionTimezone"]
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    assert target["DeadLetterConfig"]["Arn"] in {arn_of(queue) for queue in QUEUES}
    assert problem(resource.properties) is None


@each(SCHEDULES)
def test_the_input_of_a_schedule_fits_the_api_that_it_calls(resource: Resource) -> None:
    """Given a schedule that calls an API by itself, then its input is what the API's own model asks for, and JSON."""
    target = resource.properties["Target"]
    document = json.loads(target["Input"])
    if universal := UNIVERSAL.fullmatch(target["Arn"]):
        operation = operation_of(universal["service"], universal["action"])
        model = botocore.session.get_session().get_service_model(universal["service"]).operation_model(operation)
        validate_parameters(document, model.input_shape)
        # Scheduler calls with the names of the API, in which the first letter is a capital for Glue.
        assert set(document) <= set(model.input_shape.members)


def test_a_wrong_input_would_be_found() -> None:
    """Given an input with a slip in it, then the same check refuses it."""
    model = botocore.session.get_session().get_service_model("glue").operation_model("StartJobRun")
    with pytest.raises(Exception, match="JobNam"):
        validate_parameters({"JobNam": "x"}, model.input_shape)


@each(FUNCTIONS)
def test_a_function_that_is_called_asynchronously_keeps_what_failed(resource: Resource) -> None:
    """Given a function that a schedule, a topic or a rule calls, then Lambda tries it again and has a queue for what failed."""
    configs = [config.properties for config in all_resources("AWS::Lambda::EventInvokeConfig")]
    name = Filled(resource.template).value({"Ref": resource.id})
    called = {subscription.properties["Endpoint"] for subscription in SUBSCRIPTIONS}
    called |= {schedule.properties["Target"]["Arn"] for schedule in SCHEDULES} | {
        target["Arn"] for _, target in TARGETS
    }
    if arn_of(resource) in called:
        (config,) = [config for config in configs if config["FunctionName"] == name]
        assert config["MaximumRetryAttempts"] > 0 and config["DestinationConfig"]["OnFailure"]["Destination"]
