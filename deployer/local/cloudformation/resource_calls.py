"""The calls with which CloudFormation creates, changes, deletes and reads a resource, and the ARNs to evaluate them on.

A table of our templates' types, from the handlers in AWS's registry; a test compares it with both. caller_rights.py
decides when a call is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Kind:
    """The calls for one type, several in one text; a call without a service belongs to the ARN's service.

    In ARNs, `{name}` is the property `named`, or else the physical id. The other placeholders are properties, or come
    from caller_rights.py.
    """

    arn: str
    creates: str
    deletes: str
    changes: str = ""
    #: The calls with which AWS's handlers read, whatever else they do.
    reads: str = ""
    named: str = ""
    #: Property -> the calls that set it and, after a bar, the calls that remove it, if these differ.
    settings: Mapping[str, str] = field(default_factory=dict)
    #: The same for a property that the creating call sets: it has calls of its own only when it changes later.
    alters: Mapping[str, str] = field(default_factory=dict)
    #: Further ARNs on which each call is evaluated; a deletion also on those of `with_deletes`.
    also: tuple[str, ...] = ()
    with_deletes: tuple[str, ...] = ()
    #: The ARN on which the creating call is evaluated instead.
    made_at: str = ""
    #: The calls for each role that the properties pass to the service.
    roles: str = "iam:PassRole"

    def named_in_full(self, calls: str) -> list[str]:
        """Return each call of a text with its service."""
        service = self.arn.partition(":")[0]
        return [call if ":" in call else f"{service}:{call}" for call in calls.replace("|", " ").split()]

    def actions(self) -> Iterator[str]:
        """Yield every call for the type's resources, except those for roles."""
        for calls in (self.creates, self.changes, self.deletes, self.reads):
            yield from self.named_in_full(calls)
        for calls in (*self.settings.values(), *self.alters.values()):
            yield from self.named_in_full(calls)


_CATALOG = "glue:{region}:{account}:catalog"
_DATABASE = "glue:{region}:{account}:database/{database}"
_FUNCTION = "lambda:{region}:{account}:function:{name}"
_LOG_GROUP = "logs:{region}:{account}:log-group:{name}"
_QUEUE = "sqs:{region}:{account}:{name}"
_REST_API = "apigateway:{region}::/restapis"
_ROLE = "iam::{account}:role/{name}"
_TOPIC = "sns:{region}:{account}:{name}"
_TAGS = {"Tags": "TagResource | UntagResource"}
_BUCKET = {
    "BucketEncryption": "PutEncryptionConfiguration",
    "LifecycleConfiguration": "PutLifecycleConfiguration",
    "LoggingConfiguration": "PutBucketLogging",
    "NotificationConfiguration": "PutBucketNotification",
    "OwnershipControls": "PutBucketOwnershipControls",
    "PublicAccessBlockConfiguration": "PutBucketPublicAccessBlock",
    "ReplicationConfiguration": "PutReplicationConfiguration",
    "Tags": "PutBucketTagging TagResource | PutBucketTagging UntagResource",
    "VersioningConfiguration": "PutBucketVersioning",
}
_BUCKET_READS = """
    GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLogging
    GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration
    GetBucketOwnershipControls GetBucketPublicAccessBlock GetBucketTagging GetBucketVersioning GetBucketWebsite
    GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration
    GetMetricsConfiguration GetReplicationConfiguration ListBucket ListTagsForResource
"""
_FUNCTION_READS = """
    GetFunction GetFunctionCodeSigningConfig GetFunctionRecursionConfig GetFunctionScalingConfig
    GetRuntimeManagementConfig ListTags ec2:DescribeNetworkInterfaces
"""
_SERVER_LOG = """
    logs:CreateLogDelivery logs:DescribeLogGroups logs:DescribeResourcePolicies logs:GetLogDelivery
    logs:ListLogDeliveries logs:PutResourcePolicy logs:UpdateLogDelivery | logs:DeleteLogDelivery
"""
_LAKE_FORMATION = """
    lakeformation:DescribeLakeFormationIdentityCenterConfiguration lakeformation:DescribeResource
    lakeformation:ListResources
"""

#: Calls that AWS evaluates without a resource.
#: https://docs.aws.amazon.com/service-authorization/latest/reference/
ANYWHERE = {
    "cloudwatch:DescribeAlarms",
    "ec2:DescribeNetworkInterfaces",
    "glue:CreateCrawler",
    "glue:CreateSecurityConfiguration",
    "glue:DeleteSecurityConfiguration",
    "glue:GetSecurityConfiguration",
    "kinesis:DisableEnhancedMonitoring",
    "kinesis:EnableEnhancedMonitoring",
    "kinesis:UpdateShardCount",
    "kinesis:UpdateStreamMode",
    "kms:CreateKey",  # a new key has no ARN yet
    "kms:ListAliases",
    *_LAKE_FORMATION.split(),
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeIndexPolicies",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "sns:GetSubscriptionAttributes",
    "sns:SetSubscriptionAttributes",
    "sns:Unsubscribe",
    "transfer:CreateServer",
}
#: Calls that are evaluated on other ARNs than the resource's.
ELSEWHERE: Mapping[str, tuple[str, ...]] = {
    "glue:GetDatabase": (_CATALOG, _DATABASE),
    "kinesis:StartStreamEncryption": ("kinesis:{region}:{account}:stream/{name}", "{key}"),
    "kinesis:StopStreamEncryption": ("kinesis:{region}:{account}:stream/{name}", "{key}"),
}

KINDS: Mapping[str, Kind] = {
    "AWS::ApiGateway::Account": Kind(
        "apigateway:{region}::/account", "PATCH", "", "PATCH", "GET", roles="iam:GetRole iam:PassRole"
    ),
    "AWS::ApiGateway::Deployment": Kind(
        _REST_API + "/{RestApiId}/deployments/{name}",
        "POST",
        "DELETE",
        "PATCH PUT",
        "GET",
        made_at=_REST_API + "/{RestApiId}/deployments",
    ),
    "AWS::ApiGateway::RestApi": Kind(
        _REST_API + "/{name}",
        "POST",
        "DELETE",
        "PATCH",
        "GET",
        settings={"Body": "PUT", "Tags": "PUT | DELETE"},
        made_at=_REST_API,
    ),
    "AWS::ApiGateway::Stage": Kind(
        _REST_API + "/{RestApiId}/stages/{name}",
        "POST",
        "DELETE",
        "PATCH",
        "GET",
        named="StageName",
        settings={"Tags": "PUT | DELETE"},
        made_at=_REST_API + "/{RestApiId}/stages",
    ),
    "AWS::Athena::NamedQuery": Kind(
        "athena:{region}:{account}:workgroup/{name}",
        "CreateNamedQuery",
        "DeleteNamedQuery",
        reads="GetNamedQuery",
        named="WorkGroup",
    ),
    "AWS::Athena::WorkGroup": Kind(
        "athena:{region}:{account}:workgroup/{name}",
        "CreateWorkGroup",
        "DeleteWorkGroup",
        "UpdateWorkGroup",
        "GetWorkGroup ListTagsForResource",
        "Name",
        _TAGS,
    ),
    "AWS::CloudWatch::Alarm": Kind(
        "cloudwatch:{region}:{account}:alarm:{name}",
        "PutMetricAlarm",
        "DeleteAlarms",
        "PutMetricAlarm",
        "DescribeAlarms ListTagsForResource",
        "AlarmName",
        _TAGS,
    ),
    "AWS::CloudWatch::Dashboard": Kind(
        "cloudwatch::{account}:dashboard/{name}",
        "PutDashboard",
        "DeleteDashboards",
        "PutDashboard",
        "GetDashboard",
        "DashboardName",
    ),
    "AWS::Events::Rule": Kind(
        "events:{region}:{account}:rule/{name}",
        "PutRule",
        "DeleteRule RemoveTargets",
        "PutRule",
        "DescribeRule ListTagsForResource ListTargetsByRule",
        "Name",
        {"Targets": "PutTargets | RemoveTargets", **_TAGS},
    ),
    "AWS::Glue::Crawler": Kind(
        "glue:{region}:{account}:crawler/{name}",
        "CreateCrawler",
        "DeleteCrawler StopCrawler",
        "UpdateCrawler",
        "GetCrawler GetTags",
        "Name",
        _TAGS,
    ),
    "AWS::Glue::Database": Kind(
        _DATABASE,
        "CreateDatabase",
        "DeleteDatabase",
        "UpdateDatabase",
        f"GetDatabase {_LAKE_FORMATION}",
        also=(_CATALOG,),
        with_deletes=tuple(
            f"glue:{{region}}:{{account}}:{kind}/{{database}}/*" for kind in ("table", "userDefinedFunction")
        ),
    ),
    "AWS::Glue::Job": Kind(
        "glue:{region}:{account}:job/{name}",
        "CreateJob",
        "DeleteJob",
        "UpdateJob",
        "GetJob GetTags",
        "Name",
        _TAGS,
        roles="iam:GetRole iam:PassRole",
    ),
    "AWS::Glue::SecurityConfiguration": Kind(
        "glue:{region}:{account}:*",
        "CreateSecurityConfiguration",
        "DeleteSecurityConfiguration",
        reads="GetSecurityConfiguration",
    ),
    "AWS::Glue::Table": Kind(
        "glue:{region}:{account}:table/{database}/{name}",
        "CreateTable",
        "DeleteTable",
        "UpdateTable",
        "GetDatabase GetTable",
        also=(_CATALOG, _DATABASE),
    ),
    "AWS::IAM::ManagedPolicy": Kind(
        "iam::{account}:policy/{name}",
        "CreatePolicy",
        "DeletePolicy DeletePolicyVersion",
        reads="GetPolicy GetPolicyVersion ListEntitiesForPolicy ListPolicyVersions",
        named="ManagedPolicyName",
        settings={"Roles": "AttachRolePolicy | DetachRolePolicy"},
        alters={"PolicyDocument": "CreatePolicyVersion DeletePolicyVersion"},
    ),
    "AWS::IAM::OIDCProvider": Kind(
        "iam::{account}:oidc-provider/{name}",
        "CreateOpenIDConnectProvider",
        "DeleteOpenIDConnectProvider",
        reads="GetOpenIDConnectProvider",
        named="Url",
        settings={"Tags": "TagOpenIDConnectProvider | UntagOpenIDConnectProvider"},
        alters={"ClientIdList": "AddClientIDToOpenIDConnectProvider RemoveClientIDFromOpenIDConnectProvider"},
    ),
    "AWS::IAM::Role": Kind(
        _ROLE,
        "CreateRole",
        "DeleteRole",
        reads="GetRole GetRolePolicy ListAttachedRolePolicies ListRolePolicies",
        named="RoleName",
        settings={
            "ManagedPolicyArns": "AttachRolePolicy | DetachRolePolicy",
            "Policies": "PutRolePolicy | DeleteRolePolicy",
            "Tags": "TagRole | UntagRole",
        },
        alters={
            "AssumeRolePolicyDocument": "UpdateAssumeRolePolicy",
            "Description": "UpdateRole UpdateRoleDescription",
            "MaxSessionDuration": "UpdateRole",
            "PermissionsBoundary": "PutRolePermissionsBoundary | DeleteRolePermissionsBoundary",
        },
    ),
    "AWS::KMS::Alias": Kind(
        "kms:{region}:{account}:{name}",
        "CreateAlias",
        "DeleteAlias",
        "UpdateAlias",
        "ListAliases",
        "AliasName",
        also=("{key}",),
    ),
    "AWS::KMS::Key": Kind(
        "kms:{region}:{account}:key/{name}",
        "CreateKey",
        "ScheduleKeyDeletion",
        reads="DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
        settings={"EnableKeyRotation": "EnableKeyRotation | DisableKeyRotation", **_TAGS},
        alters={
            "Description": "UpdateKeyDescription",
            "Enabled": "EnableKey | DisableKey",
            "KeyPolicy": "PutKeyPolicy",
        },
    ),
    "AWS::Kinesis::Stream": Kind(
        "kinesis:{region}:{account}:stream/{name}",
        "CreateStream",
        "DeleteStream",
        reads="DescribeStreamSummary ListTagsForResource ListTagsForStream",
        named="Name",
        settings={
            "DesiredShardLevelMetrics": "EnableEnhancedMonitoring | DisableEnhancedMonitoring",
            "MaxRecordSizeInKiB": "UpdateMaxRecordSize",
            "RetentionPeriodHours": "IncreaseStreamRetentionPeriod | DecreaseStreamRetentionPeriod",
            "StreamEncryption": "StartStreamEncryption kms:DescribeKey | StopStreamEncryption",
            "Tags": "AddTagsToStream TagResource | RemoveTagsFromStream UntagResource",
            "WarmThroughputMiBps": "UpdateStreamWarmThroughput",
        },
        alters={"ShardCount": "UpdateShardCount", "StreamModeDetails": "UpdateStreamMode"},
    ),
    "AWS::KinesisFirehose::DeliveryStream": Kind(
        "firehose:{region}:{account}:deliverystream/{name}",
        "CreateDeliveryStream",
        "DeleteDeliveryStream",
        "UpdateDestination",
        "DescribeDeliveryStream ListTagsForDeliveryStream",
        "DeliveryStreamName",
        {
            "DeliveryStreamEncryptionConfigurationInput": (
                "StartDeliveryStreamEncryption kms:DescribeKey | StopDeliveryStreamEncryption"
            ),
            "Tags": "TagDeliveryStream | UntagDeliveryStream",
        },
        roles="iam:GetRole iam:PassRole",
    ),
    "AWS::Lambda::EventInvokeConfig": Kind(
        _FUNCTION,
        "PutFunctionEventInvokeConfig",
        "DeleteFunctionEventInvokeConfig",
        "UpdateFunctionEventInvokeConfig",
        "GetFunctionEventInvokeConfig",
        "FunctionName",
    ),
    "AWS::Lambda::Function": Kind(
        _FUNCTION,
        "CreateFunction",
        "DeleteFunction",
        "UpdateFunctionConfiguration",
        _FUNCTION_READS,
        "FunctionName",
        _TAGS,
        {"Code": "UpdateFunctionCode"},
    ),
    "AWS::Lambda::Permission": Kind(
        _FUNCTION, "AddPermission", "RemovePermission", "AddPermission RemovePermission", "GetPolicy", "FunctionName"
    ),
    "AWS::Logs::LogGroup": Kind(
        _LOG_GROUP,
        "CreateLogGroup",
        "DeleteLogGroup",
        reads="""DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies GetDataProtectionPolicy
        ListTagsForResource""",
        named="LogGroupName",
        settings={
            "DataProtectionPolicy": "PutDataProtectionPolicy | DeleteDataProtectionPolicy",
            "KmsKeyId": "AssociateKmsKey | DisassociateKmsKey",
            "RetentionInDays": "PutRetentionPolicy | DeleteRetentionPolicy",
            **_TAGS,
        },
    ),
    "AWS::Logs::LogStream": Kind(
        _LOG_GROUP, "CreateLogStream", "DeleteLogStream", reads="DescribeLogStreams", named="LogGroupName"
    ),
    "AWS::Logs::MetricFilter": Kind(
        _LOG_GROUP, "PutMetricFilter", "DeleteMetricFilter", "PutMetricFilter", "DescribeMetricFilters", "LogGroupName"
    ),
    "AWS::S3::Bucket": Kind(
        "s3:::{name}", "CreateBucket", "DeleteBucket", reads=_BUCKET_READS, named="BucketName", settings=_BUCKET
    ),
    "AWS::S3::BucketPolicy": Kind(
        "s3:::{name}", "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketPolicy", "GetBucketPolicy", "Bucket"
    ),
    "AWS::SNS::Subscription": Kind(
        _TOPIC,
        "Subscribe",
        "Unsubscribe",
        "SetSubscriptionAttributes",
        "GetSubscriptionAttributes ListSubscriptionsByTopic",
        "TopicArn",
    ),
    "AWS::SNS::Topic": Kind(
        _TOPIC,
        "CreateTopic",
        "DeleteTopic",
        "SetTopicAttributes",
        "GetDataProtectionPolicy GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource",
        "TopicName",
        _TAGS,
    ),
    "AWS::SNS::TopicPolicy": Kind(
        _TOPIC, "SetTopicAttributes", "SetTopicAttributes", "SetTopicAttributes", named="Topics"
    ),
    "AWS::SQS::Queue": Kind(
        _QUEUE,
        "CreateQueue",
        "DeleteQueue",
        "SetQueueAttributes",
        "GetQueueAttributes GetQueueUrl ListQueueTags",
        "QueueName",
        {"Tags": "TagQueue | UntagQueue"},
    ),
    "AWS::SQS::QueuePolicy": Kind(
        _QUEUE, "SetQueueAttributes", "SetQueueAttributes", "SetQueueAttributes", named="Queues"
    ),
    "AWS::Scheduler::Schedule": Kind(
        "scheduler:{region}:{account}:schedule/default/{name}",
        "CreateSchedule",
        "DeleteSchedule",
        "UpdateSchedule",
        "GetSchedule",
        "Name",
    ),
    "AWS::SecretsManager::Secret": Kind(
        "secretsmanager:{region}:{account}:secret:{name}",
        "CreateSecret",
        "DeleteSecret",
        "UpdateSecret",
        "DescribeSecret",
        "Name",
        _TAGS,
    ),
    "AWS::Transfer::Server": Kind(
        "transfer:{region}:{account}:server/{name}",
        "CreateServer",
        "DeleteServer",
        "UpdateServer",
        "DescribeServer ListTagsForResource",
        settings={"StructuredLogDestinations": _SERVER_LOG, **_TAGS},
    ),
    "AWS::Transfer::User": Kind(
        "transfer:{region}:{account}:user/{name}",
        "CreateUser",
        "DeleteUser",
        "UpdateUser",
        "DescribeUser ListTagsForResource",
        "UserName",
        {"SshPublicKeys": "ImportSshPublicKey | DeleteSshPublicKey", **_TAGS},
    ),
}
