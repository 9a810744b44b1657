"""Every log group that a service writes to is a resource of a stack: the list is derived from what the templates make."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from template_model import Filled, Resource, all_resources

#: Types whose services write into CloudWatch Logs; `groups_of` knows where.
WRITE = {
    "AWS::ApiGateway::Stage",
    "AWS::Glue::Crawler",
    "AWS::Glue::Job",
    "AWS::KinesisFirehose::DeliveryStream",
    "AWS::Lambda::Function",
    "AWS::Transfer::Server",
}
#: Services of which no other type writes into CloudWatch Logs, and types of the services above that do not.
SILENT = (
    "AWS::ApiGateway::Account",
    "AWS::ApiGateway::Deployment",
    "AWS::ApiGateway::RestApi",
    "AWS::Athena::",
    "AWS::CloudWatch::",
    "AWS::Events::",
    "AWS::Glue::Database",
    "AWS::Glue::SecurityConfiguration",
    "AWS::Glue::Table",
    "AWS::IAM::",
    "AWS::KMS::",
    "AWS::Kinesis::",
    "AWS::Lambda::EventInvokeConfig",
    "AWS::Lambda::Permission",
    "AWS::Logs::",
    "AWS::S3::",
    "AWS::SNS::",
    "AWS::SQS::",
    "AWS::Scheduler::",
    "AWS::SecretsManager::",
    "AWS::Transfer::User",
)
WRITERS = all_resources(*WRITE)
GROUPS = {Filled(group.template).value({"Ref": group.id}): group for group in all_resources("AWS::Logs::LogGroup")}


def groups_of(resource: Resource) -> Iterator[str]:
    """The log groups that a resource's service writes to."""
    properties = resource.properties
    match resource.type:
        case "AWS::ApiGateway::Stage":
            # Execution logs would go to a group of the service's own name.
            # https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
            assert all(each["LoggingLevel"] == "OFF" for each in properties["MethodSettings"])
            yield name_in(properties["AccessLogSetting"]["DestinationArn"])
        case "AWS::Glue::Crawler":
            yield "/aws-glue/crawlers"
        case "AWS::Glue::Job":
            # https://docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html
            prefix = properties["NonOverridableArguments"]["--custom-logGroup-prefix"]
            role = properties["Role"].rpartition("/")[2]
            for stream in ("error", "output"):
                yield f"{prefix}/{properties['SecurityConfiguration']}-role/{role}/{stream}"
        case "AWS::KinesisFirehose::DeliveryStream":
            options = properties["ExtendedS3DestinationConfiguration"]["CloudWatchLoggingOptions"]
            assert options["Enabled"] is True
            yield options["LogGroupName"]
        case "AWS::Lambda::Function":
            # Without it: /aws/lambda/NAME, made by the service, without key and for ever.
            yield properties["LoggingConfig"]["LogGroup"]
        case "AWS::Transfer::Server":
            yield from map(name_in, properties["StructuredLogDestinations"])


def name_in(arn: str) -> str:
    """The group that an ARN is of."""
    return arn.split(":", 5)[5].removeprefix("log-group:").removesuffix(":*")


def test_every_type_is_known_to_write_or_not() -> None:
    """Given the types of the templates, then each is in one of the two lists: who adds one says where it logs."""
    for resource in all_resources():
        assert (resource.type in WRITE) != resource.type.startswith(SILENT), resource.type
    assert {resource.type for resource in WRITERS} == WRITE


@pytest.mark.parametrize("resource", WRITERS, ids=str)
def test_what_writes_a_log_writes_into_a_group_of_a_stack(resource: Resource) -> None:
    """Given a resource whose service writes logs, then its groups are resources with a key of ours and a retention."""
    names = list(groups_of(resource))
    assert names
    for name in names:
        assert name in GROUPS, f"{resource} writes to {name}, which no stack owns"
        assert {"KmsKeyId", "RetentionInDays"} <= GROUPS[name].properties.keys()


def test_no_group_is_left_over() -> None:
    """Given the log groups of all stacks, then something writes to each."""
    assert set(GROUPS) == {name for resource in WRITERS for name in groups_of(resource)}
