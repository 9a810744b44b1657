"""CloudFormation acts in its caller's name: what the caller may not do to a resource fails the stack, as on AWS.

Judged are the calls that make, change and delete a resource, PassRole, and the tags that a key is made with; the
reads of AWS's handlers are not. A stack has no service role here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights import judging
from deployer.local.rights.entails import PASSED_TO, passed_roles
from deployer.local.rights.judging import Check

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Kind:
    """A type's calls, and the ARN that they are judged on; `{name}` is the property `named`, else the physical id."""

    arn: str
    creates: str
    deletes: str
    changes: str = ""
    named: str = ""
    #: Property -> the call that sets it.
    settings: Mapping[str, str] | None = None


_BUCKET = {
    "BucketEncryption": "s3:PutEncryptionConfiguration",
    "LifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "LoggingConfiguration": "s3:PutBucketLogging",
    "NotificationConfiguration": "s3:PutBucketNotification",
    "OwnershipControls": "s3:PutBucketOwnershipControls",
    "PublicAccessBlockConfiguration": "s3:PutBucketPublicAccessBlock",
    "ReplicationConfiguration": "s3:PutReplicationConfiguration",
    "Tags": "s3:PutBucketTagging",
    "VersioningConfiguration": "s3:PutBucketVersioning",
}
_POLICY = "iam::{account}:policy/{name}"
_KEY = {"EnableKeyRotation": "kms:EnableKeyRotation", "Tags": "kms:TagResource"}
_GROUP = {"KmsKeyId": "logs:AssociateKmsKey", "RetentionInDays": "logs:PutRetentionPolicy", "Tags": "logs:TagResource"}
_STREAM = {
    "RetentionPeriodHours": "kinesis:IncreaseStreamRetentionPeriod",
    "StreamEncryption": "kinesis:StartStreamEncryption",
    "Tags": "kinesis:AddTagsToStream",
}

KINDS: Mapping[str, Kind] = {
    "AWS::Athena::WorkGroup": Kind(
        "athena:{region}:{account}:workgroup/{name}",
        "athena:CreateWorkGroup",
        "athena:DeleteWorkGroup",
        "athena:UpdateWorkGroup",
        "Name",
    ),
    "AWS::CloudWatch::Alarm": Kind(
        "cloudwatch:{region}:{account}:alarm:{name}",
        "cloudwatch:PutMetricAlarm",
        "cloudwatch:DeleteAlarms",
        "cloudwatch:PutMetricAlarm",
        "AlarmName",
    ),
    "AWS::Events::Rule": Kind(
        "events:{region}:{account}:rule/{name}", "events:PutRule", "events:DeleteRule", "events:PutRule", "Name"
    ),
    "AWS::Glue::Database": Kind(
        "glue:{region}:{account}:database/{name}", "glue:CreateDatabase", "glue:DeleteDatabase", "glue:UpdateDatabase"
    ),
    "AWS::Glue::Job": Kind(
        "glue:{region}:{account}:job/{name}", "glue:CreateJob", "glue:DeleteJob", "glue:UpdateJob", "Name"
    ),
    "AWS::IAM::ManagedPolicy": Kind(
        _POLICY, "iam:CreatePolicy", "iam:DeletePolicy", "iam:CreatePolicyVersion", "ManagedPolicyName"
    ),
    "AWS::IAM::Role": Kind("iam::{account}:role/{name}", "iam:CreateRole", "iam:DeleteRole", "", "RoleName"),
    "AWS::KMS::Key": Kind(
        "kms:{region}:{account}:key/{name}", "kms:CreateKey", "kms:ScheduleKeyDeletion", settings=_KEY
    ),
    "AWS::KMS::Alias": Kind(
        "kms:{region}:{account}:{name}", "kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias", "AliasName"
    ),
    "AWS::Kinesis::Stream": Kind(
        "kinesis:{region}:{account}:stream/{name}",
        "kinesis:CreateStream",
        "kinesis:DeleteStream",
        named="Name",
        settings=_STREAM,
    ),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        "firehose:{region}:{account}:deliverystream/{name}",
        "firehose:CreateDeliveryStream",
        "firehose:DeleteDeliveryStream",
        "firehose:UpdateDestination",
        "DeliveryStreamName",
    ),
    "AWS::Lambda::Function": Kind(
        "lambda:{region}:{account}:function:{name}",
        "lambda:CreateFunction",
        "lambda:DeleteFunction",
        "lambda:UpdateFunctionConfiguration",
        "FunctionName",
    ),
    "AWS::Logs::LogGroup": Kind(
        "logs:{region}:{account}:log-group:{name}",
        "logs:CreateLogGroup",
        "logs:DeleteLogGroup",
        named="LogGroupName",
        settings=_GROUP,
    ),
    "AWS::S3::Bucket": Kind("s3:::{name}", "s3:CreateBucket", "s3:DeleteBucket", "", "BucketName", _BUCKET),
    "AWS::S3::BucketPolicy": Kind(
        "s3:::{name}", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketPolicy", "Bucket"
    ),
    "AWS::SNS::Topic": Kind("sns:{region}:{account}:{name}", "sns:CreateTopic", "sns:DeleteTopic", "", "TopicName"),
    "AWS::SQS::Queue": Kind(
        "sqs:{region}:{account}:{name}", "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "QueueName"
    ),
    "AWS::Scheduler::Schedule": Kind(
        "scheduler:{region}:{account}:schedule/default/{name}",
        "scheduler:CreateSchedule",
        "scheduler:DeleteSchedule",
        "scheduler:UpdateSchedule",
        "Name",
    ),
    "AWS::SecretsManager::Secret": Kind(
        "secretsmanager:{region}:{account}:secret:{name}",
        "secretsmanager:CreateSecret",
        "secretsmanager:DeleteSecret",
        "secretsmanager:UpdateSecret",
        "Name",
    ),
    "AWS::Transfer::Server": Kind(
        "transfer:{region}:{account}:server/{name}",
        "transfer:CreateServer",
        "transfer:DeleteServer",
        "transfer:UpdateServer",
        settings={"StructuredLogDestinations": "logs:CreateLogDelivery", "Tags": "transfer:TagResource"},
    ),
    "AWS::Transfer::User": Kind(
        "transfer:{region}:{account}:user/{name}",
        "transfer:CreateUser",
        "transfer:DeleteUser",
        "transfer:UpdateUser",
        "UserName",
        {"SshPublicKeys": "transfer:ImportSshPublicKey", "Tags": "transfer:TagResource"},
    ),
}
#: What CloudFormation gives no resource to: a new key has no ARN yet.
_WITHOUT_RESOURCE = {"kms:CreateKey"}


def install(cloud: LocalCloud) -> None:
    """Ask before a resource is made, changed or deleted."""
    stacks = load("services.cloudformation.stacks")
    create = require(stacks, "_provision_resource", ("resource_type", "logical_id", "props", "stack_name"))
    update = require(stacks, "_update_resource")
    delete = require(stacks, "_delete_resource", ("resource_type", "physical_id", "props", "stack_name", "logical_id"))

    def provision_resource(resource_type: str, logical_id: str, props: Properties, stack_name: str) -> Any:
        _require(checks(resource_type, f"{stack_name}-{logical_id}-new", {}, props, is_new=True))
        return create(resource_type, logical_id, props, stack_name)

    def update_resource(
        resource_type: str,
        physical_id: str,
        old_props: Properties,
        new_props: Properties,
        stack_name: str,
        logical_id: str | None = None,
        old_attrs: Any = None,
    ) -> Any:
        if old_props != new_props:
            _require(checks(resource_type, physical_id, old_props, new_props, is_new=False))
        return update(resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs)

    def delete_resource(
        resource_type: str,
        physical_id: str,
        props: Properties,
        stack_name: str | None = None,
        logical_id: str | None = None,
    ) -> Any:
        if (kind := KINDS.get(resource_type)) is not None:
            _require(Check(action, _arn(kind, physical_id, props)) for action in kind.deletes.split())
        return delete(resource_type, physical_id, props, stack_name, logical_id)

    replace(stacks, "_provision_resource", provision_resource)
    replace(stacks, "_update_resource", update_resource)
    replace(stacks, "_delete_resource", delete_resource)


def checks(type_: str, physical_id: str, old: Properties, new: Properties, *, is_new: bool) -> Iterator[Check]:
    """What the caller must be allowed so that a resource becomes `new`."""
    kind = KINDS.get(type_)
    if kind is None:
        return
    arn = _arn(kind, physical_id, new)
    tags = _tags(new)
    for action in (kind.creates if is_new else kind.changes).split():
        context = {**tags, "iam:permissionsboundary": new.get("PermissionsBoundary")}
        yield Check(action, "*" if action in _WITHOUT_RESOURCE else arn, context)
    for name, action in (kind.settings or {}).items():
        if new.get(name) and new.get(name) != old.get(name):
            yield Check(action, arn, tags)
    if type_ == "AWS::IAM::Role":
        for policy in set(new.get("ManagedPolicyArns") or ()) - set(old.get("ManagedPolicyArns") or ()):
            boundary = {"iam:permissionsboundary": new.get("PermissionsBoundary")}
            yield Check("iam:AttachRolePolicy", arn, {"iam:policyarn": policy, **boundary})
    service = kind.creates.partition(":")[0]
    if service in PASSED_TO:
        yield from passed_roles(new, load("core.responses").get_account_id(), PASSED_TO[service])


def _arn(kind: Kind, physical_id: str, props: Properties) -> str:
    responses = load("core.responses")
    name = props.get(kind.named) if kind.named else (props.get("DatabaseInput") or {}).get("Name")
    name = str(name or physical_id)
    if name.startswith("arn:"):
        return name
    name = name.lower() if kind.arn.startswith("s3:") else name.rpartition("/")[2] if "sqs:" in kind.arn else name
    return "arn:aws:" + kind.arn.format(region=responses.get_region(), account=responses.get_account_id(), name=name)


def _tags(props: Properties) -> dict[str, Any]:
    given = props.get("Tags") or []
    pairs = given.items() if isinstance(given, Mapping) else [(tag["Key"], tag["Value"]) for tag in given]
    named = {name: str(value) for name, value in pairs}
    return {
        **{f"aws:requesttag/{name}".lower(): value for name, value in named.items()},
        # A resource that is just being made is judged by the tags that it is made with.
        **{f"aws:resourcetag/{name}".lower(): value for name, value in named.items()},
        "aws:tagkeys": list(named) or None,
    }


def _require(asked: Iterator[Check]) -> None:
    """Raise `Denied` unless the stack's caller may do all this through CloudFormation."""
    through = {"aws:calledvia": ["cloudformation.amazonaws.com"], "aws:viaawsservice": "true"}
    for check in asked:
        judging.require(judging.caller(), Check(check.action, check.resource, {**check.context, **through}))
