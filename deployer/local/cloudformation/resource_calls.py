"""The calls with which CloudFormation creates, changes and deletes a resource, and the ARNs on which they are evaluated.

A table of types that our templates use; other types are not evaluated (by caller_rights.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A type's calls, and the ARN on which they are evaluated; `{name}` is the property `named`, else the physical id."""

    arn: str
    creates: str
    deletes: str
    changes: str = ""
    named: str = ""
    #: Property -> the call that sets it.
    settings: Mapping[str, str] | None = None
    #: Further ARNs on which each call is evaluated; for a deletion those of `with_deletes` as well.
    also: tuple[str, ...] = ()
    with_deletes: tuple[str, ...] = ()


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
_CATALOG = "glue:{region}:{account}:catalog"
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
        "glue:{region}:{account}:database/{name}",
        "glue:CreateDatabase",
        "glue:DeleteDatabase",
        "glue:UpdateDatabase",
        also=(_CATALOG,),
        with_deletes=tuple(
            f"glue:{{region}}:{{account}}:{kind}/{{name}}/*" for kind in ("table", "userDefinedFunction")
        ),
    ),
    "AWS::Glue::Table": Kind(
        "glue:{region}:{account}:table/{database}/{name}",
        "glue:CreateTable",
        "glue:DeleteTable",
        "glue:UpdateTable",
        also=(_CATALOG, "glue:{region}:{account}:database/{database}"),
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
