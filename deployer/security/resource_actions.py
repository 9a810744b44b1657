"""What CloudFormation does on the deployer's behalf: the actions of each resource type.

They are those of the types' handlers that our templates need; a test holds them equal to a stored copy of AWS's own
lists, with a reason for each that is left out. Where they are allowed is iam_places.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping


def _actions(service: str, names: str) -> tuple[str, ...]:
    return tuple(f"{service}:{name}" for name in names.split())


_READ_BUCKET = """
    GetAccelerateConfiguration GetAnalyticsConfiguration GetBucketAbac GetBucketAcl GetBucketCORS GetBucketLogging
    GetBucketMetadataTableConfiguration GetBucketNotification GetBucketObjectLockConfiguration
    GetBucketOwnershipControls GetBucketPublicAccessBlock GetBucketTagging GetBucketVersioning GetBucketWebsite
    GetEncryptionConfiguration GetIntelligentTieringConfiguration GetInventoryConfiguration GetLifecycleConfiguration
    GetMetricsConfiguration GetReplicationConfiguration ListBucket ListTagsForResource
"""

ACTIONS: Mapping[str, tuple[str, ...]] = {
    "AWS::ApiGateway::Account": (*_actions("apigateway", "GET PATCH"), *_actions("iam", "GetRole PassRole")),
    "AWS::ApiGateway::Deployment": _actions("apigateway", "DELETE GET PATCH POST PUT"),
    "AWS::ApiGateway::RestApi": _actions("apigateway", "DELETE GET PATCH POST PUT"),
    "AWS::ApiGateway::Stage": _actions("apigateway", "DELETE GET PATCH POST PUT"),
    "AWS::Athena::NamedQuery": _actions("athena", "CreateNamedQuery DeleteNamedQuery GetNamedQuery"),
    "AWS::Athena::WorkGroup": _actions(
        "athena",
        "CreateWorkGroup DeleteWorkGroup GetWorkGroup ListTagsForResource TagResource UntagResource UpdateWorkGroup",
    ),
    "AWS::CloudWatch::Alarm": _actions(
        "cloudwatch", "DeleteAlarms DescribeAlarms ListTagsForResource PutMetricAlarm TagResource UntagResource"
    ),
    "AWS::CloudWatch::Dashboard": _actions("cloudwatch", "DeleteDashboards GetDashboard PutDashboard"),
    "AWS::Events::Rule": _actions(
        "events",
        """DeleteRule DescribeRule ListTagsForResource ListTargetsByRule PutRule PutTargets RemoveTargets TagResource
        UntagResource""",
    ),
    "AWS::Glue::Crawler": (
        *_actions(
            "glue", "CreateCrawler DeleteCrawler GetCrawler GetTags StopCrawler TagResource UntagResource UpdateCrawler"
        ),
        "iam:PassRole",
    ),
    "AWS::Glue::Database": (
        *_actions("glue", "CreateDatabase DeleteDatabase GetDatabase UpdateDatabase"),
        *_actions("lakeformation", "DescribeLakeFormationIdentityCenterConfiguration DescribeResource ListResources"),
    ),
    "AWS::Glue::Job": (
        *_actions("glue", "CreateJob DeleteJob GetJob GetTags TagResource UntagResource UpdateJob"),
        *_actions("iam", "GetRole PassRole"),
    ),
    "AWS::Glue::SecurityConfiguration": _actions(
        "glue", "CreateSecurityConfiguration DeleteSecurityConfiguration GetSecurityConfiguration"
    ),
    "AWS::Glue::Table": _actions("glue", "CreateTable DeleteTable GetDatabase GetTable UpdateTable"),
    "AWS::IAM::ManagedPolicy": _actions(
        "iam",
        """AttachRolePolicy CreatePolicy CreatePolicyVersion DeletePolicy DeletePolicyVersion DetachRolePolicy
        GetPolicy GetPolicyVersion ListEntitiesForPolicy ListPolicyVersions""",
    ),
    "AWS::IAM::Role": _actions(
        "iam",
        """AttachRolePolicy CreateRole DeleteRole DetachRolePolicy GetRole GetRolePolicy ListAttachedRolePolicies
        ListRolePolicies PutRolePermissionsBoundary TagRole UntagRole UpdateAssumeRolePolicy UpdateRole
        UpdateRoleDescription""",
    ),
    "AWS::KMS::Alias": _actions("kms", "CreateAlias DeleteAlias ListAliases UpdateAlias"),
    "AWS::KMS::Key": _actions(
        "kms",
        """CreateKey DescribeKey DisableKey DisableKeyRotation EnableKey EnableKeyRotation GetKeyPolicy
        GetKeyRotationStatus ListResourceTags PutKeyPolicy ScheduleKeyDeletion TagResource UntagResource
        UpdateKeyDescription""",
    ),
    "AWS::Kinesis::Stream": (
        *_actions(
            "kinesis",
            """AddTagsToStream CreateStream DecreaseStreamRetentionPeriod DeleteStream DescribeStreamSummary
            DisableEnhancedMonitoring EnableEnhancedMonitoring IncreaseStreamRetentionPeriod ListTagsForResource
            ListTagsForStream RemoveTagsFromStream StartStreamEncryption StopStreamEncryption TagResource
            UntagResource UpdateMaxRecordSize UpdateShardCount UpdateStreamMode UpdateStreamWarmThroughput""",
        ),
        "kms:DescribeKey",
    ),
    "AWS::KinesisFirehose::DeliveryStream": (
        *_actions(
            "firehose",
            """CreateDeliveryStream DeleteDeliveryStream DescribeDeliveryStream ListTagsForDeliveryStream
            StartDeliveryStreamEncryption StopDeliveryStreamEncryption TagDeliveryStream UntagDeliveryStream
            UpdateDestination""",
        ),
        *_actions("iam", "GetRole PassRole"),
        "kms:DescribeKey",
    ),
    "AWS::Lambda::EventInvokeConfig": _actions(
        "lambda",
        """DeleteFunctionEventInvokeConfig GetFunctionEventInvokeConfig PutFunctionEventInvokeConfig
        UpdateFunctionEventInvokeConfig""",
    ),
    "AWS::Lambda::Function": (
        *_actions(
            "lambda",
            """CreateFunction DeleteFunction GetFunction GetFunctionCodeSigningConfig GetFunctionRecursionConfig
            GetFunctionScalingConfig GetRuntimeManagementConfig ListTags TagResource UntagResource UpdateFunctionCode
            UpdateFunctionConfiguration""",
        ),
        "ec2:DescribeNetworkInterfaces",
        "iam:PassRole",
    ),
    "AWS::Lambda::Permission": _actions("lambda", "AddPermission GetPolicy RemovePermission"),
    "AWS::Logs::LogGroup": _actions(
        "logs",
        """AssociateKmsKey CreateLogGroup DeleteDataProtectionPolicy DeleteLogGroup DeleteRetentionPolicy
        DescribeIndexPolicies DescribeLogGroups DescribeResourcePolicies DisassociateKmsKey GetDataProtectionPolicy
        ListTagsForResource PutRetentionPolicy TagResource UntagResource""",
    ),
    "AWS::Logs::LogStream": _actions("logs", "CreateLogStream DeleteLogStream DescribeLogStreams"),
    "AWS::Logs::MetricFilter": _actions("logs", "DeleteMetricFilter DescribeMetricFilters PutMetricFilter"),
    "AWS::S3::Bucket": (
        *_actions(
            "s3",
            f"""{_READ_BUCKET} CreateBucket DeleteBucket PutBucketLogging PutBucketNotification
            PutBucketOwnershipControls PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning
            PutEncryptionConfiguration PutLifecycleConfiguration PutReplicationConfiguration TagResource
            UntagResource""",
        ),
        "iam:PassRole",
    ),
    "AWS::S3::BucketPolicy": _actions("s3", "DeleteBucketPolicy GetBucketPolicy PutBucketPolicy"),
    "AWS::SNS::Subscription": _actions(
        "sns", "GetSubscriptionAttributes ListSubscriptionsByTopic SetSubscriptionAttributes Subscribe Unsubscribe"
    ),
    "AWS::SNS::Topic": _actions(
        "sns",
        """CreateTopic DeleteTopic GetDataProtectionPolicy GetTopicAttributes ListSubscriptionsByTopic
        ListTagsForResource SetTopicAttributes TagResource UntagResource""",
    ),
    "AWS::SNS::TopicPolicy": _actions("sns", "SetTopicAttributes"),
    "AWS::SQS::Queue": _actions(
        "sqs",
        "CreateQueue DeleteQueue GetQueueAttributes GetQueueUrl ListQueueTags SetQueueAttributes TagQueue UntagQueue",
    ),
    "AWS::SQS::QueuePolicy": _actions("sqs", "SetQueueAttributes"),
    "AWS::Scheduler::Schedule": (
        *_actions("scheduler", "CreateSchedule DeleteSchedule GetSchedule UpdateSchedule"),
        "iam:PassRole",
    ),
    "AWS::SecretsManager::Secret": _actions(
        "secretsmanager", "CreateSecret DeleteSecret DescribeSecret TagResource UntagResource UpdateSecret"
    ),
    # The log is delivered by CloudWatch Logs, in the name of whoever makes the server.
    # https://docs.aws.amazon.com/transfer/latest/userguide/structured-logging.html
    "AWS::Transfer::Server": (
        *_actions(
            "transfer",
            "CreateServer DeleteServer DescribeServer ListTagsForResource TagResource UntagResource UpdateServer",
        ),
        *_actions(
            "logs",
            """CreateLogDelivery DeleteLogDelivery DescribeLogGroups DescribeResourcePolicies GetLogDelivery
            ListLogDeliveries PutResourcePolicy UpdateLogDelivery""",
        ),
    ),
    "AWS::Transfer::User": (
        *_actions(
            "transfer",
            """CreateUser DeleteSshPublicKey DeleteUser DescribeUser ImportSshPublicKey ListTagsForResource TagResource
            UntagResource UpdateUser""",
        ),
        "iam:PassRole",
    ),
}


def is_reading(action: str) -> bool:
    """Return whether an action changes nothing: all that detecting drift needs."""
    return action.partition(":")[2].startswith(("Get", "GET", "List", "Describe"))
