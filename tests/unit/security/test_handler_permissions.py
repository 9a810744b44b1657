"""The pipeline may do what AWS's schemas say that CloudFormation calls for each type, except what is explained here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from handler_permissions import FILE, from_schemas, load_handler_permissions
from repository import ROOT
from template_model import all_resources

from deployer.local.cloudformation.resource_calls import KINDS
from deployer.project.templates import load_template
from deployer.security.iam_policy import Role, own_actions
from deployer.security.resource_actions import ACTIONS

STORED = load_handler_permissions()
TYPES = {resource.type for resource in all_resources()}

# Types that the registry has no handlers for: what they call is known from use.
WITHOUT_HANDLERS = {
    "AWS::Events::Rule",
    "AWS::Glue::SecurityConfiguration",
    "AWS::Glue::Table",
    "AWS::SNS::Subscription",
    "AWS::Transfer::Server",
    "AWS::Transfer::User",
}

# type -> why -> what is not granted. A property that a template begins to set moves its actions to resource_actions.py.
NOT_GRANTED: dict[str, dict[str, str]] = {
    "AWS::ApiGateway::RestApi": {
        "the API's body stands in the template, and its integration has no role": "iam:PassRole s3:GetObject",
        "the API has no resource policy: callers have the policy of their own account": "apigateway:UpdateRestApiPolicy",
    },
    "AWS::Athena::WorkGroup": {
        "our workgroup has no execution role (those of Spark and Identity Center have)": """
            iam:CreateServiceLinkedRole iam:PassRole""",
    },
    "AWS::Glue::Database": {
        "only a federated database has a connection": """
            glue:CreateConnection glue:DeleteConnection glue:GetConnection glue:PassConnection glue:UpdateConnection""",
    },
    "AWS::IAM::ManagedPolicy": {
        "no template attaches a policy to users or groups": """
            iam:AttachGroupPolicy iam:AttachUserPolicy iam:DetachGroupPolicy iam:DetachUserPolicy""",
    },
    "AWS::IAM::Role": {
        "no role has inline policies: one would be a right that no condition on a policy's ARN sees": """
            iam:DeleteRolePolicy iam:PutRolePolicy""",
        "a boundary is taken off by an administrator": "iam:DeleteRolePermissionsBoundary",
    },
    "AWS::KinesisFirehose::DeliveryStream": {
        "grants are for a delivery stream that is encrypted itself; ours reads from an encrypted stream": """
            kms:CreateGrant kms:RevokeGrant""",
    },
    "AWS::Lambda::Function": {
        "no function is in a VPC, mounts a file system or has instances of its own": """
            ec2:DescribeSecurityGroups ec2:DescribeSubnets ec2:DescribeVpcs elasticfilesystem:DescribeMountTargets
            lambda:PassCapacityProvider lambda:PutFunctionScalingConfig s3files:ListMountTargets""",
        "no function has a key for its variables or its code": """
            kms:CreateGrant kms:DescribeKey kms:Encrypt""",
        "code is named by its content's key, not by a version": "lambda:PublishVersion s3:GetObjectVersion",
        "no template sets these properties": """
            lambda:DeleteFunctionCodeSigningConfig lambda:DeleteFunctionConcurrency lambda:GetCodeSigningConfig
            lambda:GetLayerVersion lambda:PutFunctionCodeSigningConfig lambda:PutFunctionConcurrency
            lambda:PutFunctionRecursionConfig lambda:PutRuntimeManagementConfig""",
    },
    "AWS::Logs::LogGroup": {
        "no template sets a data protection, index or resource policy, or bearer tokens": """
            firehose:TagDeliveryStream logs:CreateLogDelivery logs:DeleteIndexPolicy logs:DeleteResourcePolicy
            logs:PutBearerTokenAuthentication logs:PutDataProtectionPolicy logs:PutIndexPolicy logs:PutResourcePolicy
            s3:REST.PUT.OBJECT""",
        "no template sets DeletionProtectionEnabled": "logs:PutLogGroupDeletionProtection",
    },
    "AWS::S3::Bucket": {
        "no bucket has an inventory; IAM knows replication by another name": """
            s3:PutBucketReplication s3:PutInventoryConfiguration""",
        "no bucket has a metadata table": """
            s3:CreateBucketMetadataTableConfiguration s3:DeleteBucketMetadataTableConfiguration
            s3:UpdateBucketMetadataAnnotationTableConfiguration s3:UpdateBucketMetadataInventoryTableConfiguration
            s3:UpdateBucketMetadataJournalTableConfiguration s3tables:CreateNamespace s3tables:CreateTable
            s3tables:CreateTableBucket s3tables:GetTable s3tables:GetTableMetadataLocation
            s3tables:PutTableBucketPolicy s3tables:PutTableEncryption s3tables:PutTablePolicy
            s3tables:UpdateTableMetadataLocation""",
        "no template sets these properties": """
            s3:DeleteBucketWebsite s3:PutAccelerateConfiguration s3:PutAnalyticsConfiguration s3:PutBucketAbac
            s3:PutBucketCORS s3:PutBucketWebsite s3:PutIntelligentTieringConfiguration s3:PutMetricsConfiguration""",
        "no bucket has Object Lock (docs/decisions/0102)": """
            s3:PutBucketObjectLockConfiguration s3:PutObjectLockConfiguration""",
        "ACLs are off (BucketOwnerEnforced)": "s3:PutBucketAcl s3:PutObjectAcl",
        "IAM knows no such action: deleting a configuration needs the right to put it": """
            s3:DeleteBucketAnalyticsConfiguration s3:DeleteBucketCors s3:DeleteBucketEncryption
            s3:DeleteBucketLifecycle s3:DeleteBucketMetricsConfiguration s3:DeleteBucketReplication""",
    },
    "AWS::SNS::Topic": {
        "no topic names its subscriptions itself": "sns:Subscribe sns:Unsubscribe",
        "no topic has a role that logs its deliveries, or a data protection policy": """
            iam:GetRole iam:PassRole sns:PutDataProtectionPolicy""",
    },
    "AWS::SecretsManager::Secret": {
        "no secret is generated, read by a stack, or replicated": """
            secretsmanager:GetRandomPassword secretsmanager:GetSecretValue secretsmanager:RemoveRegionsFromReplication
            secretsmanager:ReplicateSecretToRegions""",
    },
}

# type -> why -> what is granted although no handler lists it.
BESIDES: dict[str, dict[str, str]] = {
    "AWS::Lambda::Function": {"GetFunction shows tags only to those who may list them": "lambda:ListTags"},
    "AWS::Kinesis::Stream": {
        "Kinesis looks at the key in the name of whoever turns encryption on": "kms:DescribeKey",
    },
}


def explained(table: dict[str, dict[str, str]], type_: str) -> set[str]:
    """The actions of a type in one of the tables above."""
    return {action for actions in table.get(type_, {}).values() for action in actions.split()}


def handler_actions(type_: str) -> set[str]:
    return {action for actions in STORED[type_].values() for action in actions}


def test_the_stored_copy_is_of_exactly_the_types_in_use() -> None:
    """Given the templates, when their types are read, then the stored copy has these and no others."""
    assert set(STORED) == TYPES
    assert {type_ for type_, handlers in STORED.items() if not handlers} == WITHOUT_HANDLERS


@pytest.mark.parametrize("type_", sorted(TYPES - WITHOUT_HANDLERS))
def test_what_a_handler_calls_is_granted_or_explained(type_: str) -> None:
    """Given a resource type, when its handlers' actions are read, then each is granted, or stands here with its reason."""
    granted = set(ACTIONS[type_]) | own_actions(Role.DEPLOY)
    missing = handler_actions(type_) - granted - explained(NOT_GRANTED, type_)
    assert not missing, sorted(missing)


@pytest.mark.parametrize("type_", sorted(TYPES - WITHOUT_HANDLERS))
def test_nothing_is_granted_that_no_handler_calls(type_: str) -> None:
    """Given a resource type, when what it grants is read, then a handler lists it, or a reason stands here."""
    assert set(ACTIONS[type_]) - handler_actions(type_) == explained(BESIDES, type_)


@pytest.mark.parametrize("type_", sorted(TYPES))
def test_the_local_cloud_judges_what_a_handler_calls(type_: str) -> None:
    """Given a resource type, when it is deployed locally, then the caller is asked for every action that is granted for it."""
    asked = {*KINDS[type_].actions(), *KINDS[type_].roles.split()}
    assert not set(ACTIONS[type_]) - asked


@pytest.mark.parametrize("type_", sorted(WITHOUT_HANDLERS))
def test_two_lists_agree_where_the_registry_has_none(type_: str) -> None:
    """Given a type without handlers in the registry, then the pipeline is granted exactly what the local cloud asks for."""
    assert set(KINDS[type_].actions()) == set(ACTIONS[type_]) - {"iam:PassRole"}


def test_the_local_cloud_judges_every_type_of_the_templates() -> None:
    """Given the templates, the pipeline's roles included, then each type is one whose calls the local cloud judges."""
    files = [load_template(path) for path in ROOT.glob("templates/**/*.yaml")]
    assert {resource.type for template in files for resource in template.resources.values()} == set(KINDS)


@pytest.mark.parametrize("type_", sorted(TYPES - WITHOUT_HANDLERS))
def test_every_reason_is_still_needed(type_: str) -> None:
    """Given what is not granted, when the handlers are read again, then they still list it, and we still do not grant it."""
    assert explained(NOT_GRANTED, type_) <= handler_actions(type_) - set(ACTIONS[type_])


def test_the_copy_is_renewed_from_schemas(tmp_path: Path) -> None:
    """Given a folder of schemas, when the copy is renewed, then it has the permissions of the four handlers, once each."""
    handlers = {"create": {"permissions": ["S3:PutX", "s3:PutX", "s3:GetX"]}, "list": {"permissions": ["s3:ListX"]}}
    (tmp_path / "aws-s3-bucket.json").write_text(json.dumps({"handlers": handlers}), encoding="utf-8")
    (tmp_path / "aws-glue-table.json").write_text("{}", encoding="utf-8")
    renewed = from_schemas(tmp_path, ["AWS::S3::Bucket", "AWS::Glue::Table"])
    assert renewed == {"AWS::Glue::Table": {}, "AWS::S3::Bucket": {"create": ["s3:GetX", "s3:PutX"]}}
    assert json.loads(FILE.read_text(encoding="utf-8"))["date"]
