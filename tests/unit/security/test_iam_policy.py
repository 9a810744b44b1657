"""The printed policy allows what the code calls, where it calls it, and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from calls_in_code import calls_in_code
from project_files import project
from repository import ROOT
from template_model import as_list, one_resource, policy_allows, statements

from deployer import cli
from deployer.errors import ConfigError
from deployer.project.config import load_project
from deployer.project.templates import load_templates, parse_template
from deployer.security.iam_policy import (
    ATHENA_ACTIONS,
    COMMANDS,
    MANAGED_POLICY_CHARACTERS,
    Role,
    load_calls,
    managed_policies,
    policy,
)
from deployer.security.resource_actions import ACTIONS

PROJECT = load_project(ROOT)
TEMPLATES = load_templates(PROJECT)
MANAGED_POLICIES_OF_A_ROLE = 10  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
WITHOUT_AWS = {"cost", "iam-policy", "local", "new", "sample", "sftp", "validate"}


def made(role: Role, environment: str = "uat") -> list[dict[str, Any]]:
    """The statements of a role in an environment of this project."""
    statements: list[dict[str, Any]] = policy(PROJECT, PROJECT.environments[environment], TEMPLATES.values(), role)[
        "Statement"
    ]
    return statements


def own(statements: list[dict[str, Any]]) -> set[str]:
    """The actions that dataops takes itself."""
    return {action for each in statements if each["Sid"].startswith("Dataops") for action in each["Action"]}


def test_the_list_of_calls_is_what_the_code_can_call() -> None:
    """Given the source, when its calls are read, then aws_calls.json lists exactly these."""
    assert set(load_calls(Role.RESTORE)) == calls_in_code()


def test_the_calls_exist() -> None:
    """Given the list of calls, when botocore's models are asked, then each is an operation of its service."""
    session = botocore.session.get_session()
    for service, operation in load_calls(Role.RESTORE):
        assert operation in session.get_service_model(service).operation_names, (service, operation)


def test_each_role_may_more_than_the_one_before() -> None:
    """Given the roles in order, when their calls are compared, then each has all of the former one and more."""
    for less, more in pairwise(Role):
        assert load_calls(less) < load_calls(more)


def test_every_command_belongs_to_one_role() -> None:
    """Given the commands, when their roles are looked up, then each that calls AWS has exactly one."""
    listed = [command for commands in COMMANDS.values() for command in commands]
    assert sorted(listed) == sorted(set(cli.COMMANDS) - WITHOUT_AWS)


def test_looking_changes_nothing() -> None:
    """Given the role for reviews, when its actions are read, then only change sets and drift detection are not reading."""
    changing = {a for a in own(made(Role.REVIEW)) if not a.split(":")[1].startswith(("Get", "List", "Describe"))}
    assert changing == {
        "cloudformation:BatchDescribeTypeConfigurations",  # reading, too
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DetectStackDrift",
        "cloudformation:DetectStackResourceDrift",
        "cloudformation:TagResource",
        "iam:SimulatePrincipalPolicy",  # calls nothing that it simulates
        "kms:Decrypt",
    }
    through = [each for each in made(Role.REVIEW) if each["Sid"].startswith("CloudFormation")]
    assert all(
        a.split(":")[1].startswith(("Get", "GET", "List", "Describe")) for each in through for a in each["Action"]
    )


OF_ALL_CRAWLERS = ("log-group:/aws-glue/crawlers", "log-group:/aws-glue/crawlers:*")  # Glue's name, not ours


@pytest.mark.parametrize("role", Role)
def test_nothing_is_allowed_outside_the_environment(role: Role) -> None:
    """Given a policy, when its resources are read, then each names the environment, or has no name that could."""
    for statement in made(role):
        places = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for place in places:
            is_named = "refunds-lake-uat-" in place or "_uat" in place or place.endswith(OF_ALL_CRAWLERS)
            assert is_named or set(statement["Action"]) <= NAMELESS, statement
            without_account = (":s3:::", ":apigateway:ap-southeast-2::/")
            assert place == "*" or ":111111111111:" in place or any(each in place for each in without_account), (
                statement
            )
        assert not any("*" in action for action in statement["Action"])


NAMELESS = {
    # An API's id is API Gateway's own choice; the account has one setting for all APIs.
    "apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT",
    # These act on no resource, or on a key, whose name nobody knows before it is there.
    "cloudformation:BatchDescribeTypeConfigurations", "cloudformation:DescribeStackDriftDetectionStatus",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeRegions",
    # What the account is, and what its own role may do, which may have any name.
    "iam:GetAccountSummary", "iam:GetRole", "iam:SimulatePrincipalPolicy", "kinesis:DescribeLimits",
    "glue:GetDataCatalogEncryptionSettings", "lakeformation:GetDataLakeSettings", "lakeformation:ListPermissions",
    "lambda:GetAccountSettings", "servicequotas:ListServiceQuotas",
    "cloudwatch:DescribeAlarms",  # asked for names that begin so, it is judged on all
    "cloudwatch:GetMetricData",  # no metric is a resource
    "glue:CreateCrawler", "glue:CreateSecurityConfiguration", "glue:DeleteSecurityConfiguration",
    "glue:GetSecurityConfiguration",
    # A subscription is judged on nothing; its topic is, when it is made.
    "sns:GetSubscriptionAttributes", "sns:SetSubscriptionAttributes", "sns:Unsubscribe",
    # On the catalog beside the database.
    "glue:BatchGetPartition", "glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable",
    "glue:GetTables", "glue:CreateTable", "glue:BatchCreatePartition", "glue:BatchUpdatePartition",
    "glue:DeletePartition", "glue:CreateDatabase", "glue:DeleteDatabase", "glue:UpdateDatabase", "glue:DeleteTable",
    "glue:UpdateTable",
    "kinesis:DisableEnhancedMonitoring", "kinesis:EnableEnhancedMonitoring", "kinesis:StartStreamEncryption",
    "kinesis:StopStreamEncryption", "kinesis:UpdateShardCount", "kinesis:UpdateStreamMode",
    "kms:CreateKey", "kms:Decrypt", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey",
    "kms:EnableKeyRotation", "kms:GenerateDataKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases",
    "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource",
    "kms:UpdateKeyDescription", "kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias",
    "lakeformation:DescribeLakeFormationIdentityCenterConfiguration", "lakeformation:DescribeResource",
    "lakeformation:ListResources",
    "logs:DescribeIndexPolicies", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies",
    # The delivery of a server's log; servers and their users, whose ids are AWS's.
    "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:GetLogDelivery", "logs:ListLogDeliveries",
    "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
    "transfer:CreateServer", "transfer:CreateUser", "transfer:DeleteServer", "transfer:DeleteSshPublicKey",
    "transfer:DeleteUser", "transfer:DescribeServer", "transfer:DescribeUser", "transfer:ImportSshPublicKey",
    "transfer:ListTagsForResource", "transfer:TagResource", "transfer:UntagResource", "transfer:UpdateServer",
    "transfer:UpdateUser",
    # On change sets beside their stack: their names are unique in the account, and the stack's is in none of them.
    "cloudformation:DescribeEvents", "cloudformation:TagResource",
}  # fmt: skip


def test_resources_are_changed_through_cloudformation_only() -> None:
    """Given the pipeline's policy, when its statements for CloudFormation are read, then none admits a direct call."""
    for statement in made(Role.DEPLOY):
        if statement["Sid"].startswith("CloudFormation") and statement["Action"] != ["iam:PassRole"]:
            through = statement["Condition"]["ForAnyValue:StringEquals"]
            assert through == {"aws:CalledVia": "cloudformation.amazonaws.com"}


WHERE = "ap-southeast-2:111111111111"
KEY, ALIAS = f"arn:aws:kms:{WHERE}:key/any", f"arn:aws:kms:{WHERE}:alias/refunds-lake-uat-storage-data"
STREAM = f"arn:aws:kinesis:{WHERE}:stream/refunds-lake-uat-ingest-TransactionStream-1"
STACK = f"arn:aws:cloudformation:{WHERE}:stack/refunds-lake-uat-storage/1"
GLUE = f"arn:aws:glue:{WHERE}"
FUNCTION = f"arn:aws:lambda:{WHERE}:function:refunds-lake-uat-"
RAW = "arn:aws:s3:::refunds-lake-uat-storage-rawbucket-1"
ROLE = "arn:aws:iam::111111111111:role/refunds-lake-uat-glue-JobRole-1"
OURS = "arn:aws:iam::111111111111:policy/refunds-lake-uat-glue-JobRights-1"
ADMIN = "arn:aws:iam::aws:policy/AdministratorAccess"
VIA = {"aws:CalledVia": "cloudformation.amazonaws.com"}
S3 = {"kms:ViaService": "s3.ap-southeast-2.amazonaws.com"}
KINESIS = {"kms:ViaService": "kinesis.ap-southeast-2.amazonaws.com"}
BUCKET, OBJECT = ({"kms:EncryptionContext:aws:s3:arn": f"arn:aws:s3:::refunds-lake-uat-raw-1{k}"} for k in ("", "/a"))
FOREIGN_BUCKET = {"kms:EncryptionContext:aws:s3:arn": "arn:aws:s3:::payroll"}
ON_STREAM = {"kms:EncryptionContext:aws:kinesis:arn": STREAM}


def tags(kind: str, project: str = "refunds-lake", environment: str = "uat") -> dict[str, str]:
    return {f"aws:{kind}Tag/Project": project, f"aws:{kind}Tag/Environment": environment}


# (role, action, resource, condition keys of the request, allowed)
REQUESTS: list[tuple[Role, str, str, dict[str, str], bool]] = [
    # A key is used through S3 for our buckets, from the first minute on: no alias and no tag is asked for.
    (Role.DEPLOY, "kms:GenerateDataKey", KEY, {**S3, **BUCKET}, True),
    (Role.DEPLOY, "kms:Decrypt", KEY, {**S3, **OBJECT}, True),
    (Role.REVIEW, "kms:Decrypt", KEY, {**S3, **BUCKET}, True),
    (Role.DEPLOY, "kms:Decrypt", KEY, {**S3, **FOREIGN_BUCKET}, False),
    (Role.DEPLOY, "kms:Decrypt", KEY, {"kms:ResourceAliases": "alias/refunds-lake-uat-x"}, False),
    (Role.DEPLOY, "kms:Decrypt", KEY, {}, False),
    (Role.DEPLOY, "kms:GenerateDataKey", KEY, {**KINESIS, **ON_STREAM}, False),
    (Role.OPERATE, "kms:GenerateDataKey", KEY, {**KINESIS, **ON_STREAM}, True),
    (Role.OPERATE, "kms:Decrypt", KEY, {**KINESIS, **ON_STREAM}, False),
    # Keys are made with our tags, and what could take one away acts on tagged ones only.
    (Role.DEPLOY, "kms:CreateKey", "*", {**VIA, **tags("Request")}, True),
    (Role.DEPLOY, "kms:CreateKey", "*", {**VIA, **tags("Request", environment="prod")}, False),
    (Role.DEPLOY, "kms:CreateKey", "*", VIA, False),
    (Role.DEPLOY, "kms:CreateKey", "*", tags("Request"), False),
    (Role.DEPLOY, "kms:TagResource", KEY, {**VIA, **tags("Request")}, True),
    (Role.DEPLOY, "kms:TagResource", KEY, {**VIA, **tags("Resource"), "aws:RequestTag/CostCentre": "1"}, True),
    (Role.DEPLOY, "kms:TagResource", KEY, {**VIA, "aws:RequestTag/CostCentre": "1"}, False),
    (Role.DEPLOY, "kms:EnableKeyRotation", KEY, VIA, True),
    (Role.DEPLOY, "kms:ScheduleKeyDeletion", KEY, {**VIA, **tags("Resource")}, True),
    (Role.DEPLOY, "kms:ScheduleKeyDeletion", KEY, {**VIA, **tags("Resource", project="payroll")}, False),
    (Role.DEPLOY, "kms:ScheduleKeyDeletion", KEY, VIA, False),
    (Role.DEPLOY, "kms:DisableKey", KEY, VIA, False),
    (Role.DEPLOY, "kms:PutKeyPolicy", KEY, {**VIA, **tags("Resource", project="payroll")}, False),
    (Role.DEPLOY, "kms:PutKeyPolicy", KEY, VIA, True),
    (Role.DEPLOY, "kms:CreateGrant", KEY, {**VIA, **tags("Resource")}, False),
    (Role.DEPLOY, "kms:CreateAlias", ALIAS, VIA, True),
    (Role.DEPLOY, "kms:CreateAlias", ALIAS.replace("-uat-", "-prod-"), VIA, False),
    # Encryption of a stream is judged on the stream and on the key; some of Kinesis on nothing at all.
    (Role.DEPLOY, "kinesis:StartStreamEncryption", STREAM, VIA, True),
    (Role.DEPLOY, "kinesis:StartStreamEncryption", KEY, VIA, True),
    (Role.DEPLOY, "kinesis:StartStreamEncryption", KEY, {}, False),
    (Role.DEPLOY, "kinesis:UpdateStreamMode", "*", VIA, True),
    (Role.DEPLOY, "kinesis:DeleteStream", STREAM, VIA, True),
    (Role.DEPLOY, "kinesis:DeleteStream", STREAM.replace("-uat-", "-prod-"), VIA, False),
    # Deleting a database is judged on all that is in it.
    (Role.DEPLOY, "glue:DeleteDatabase", f"{GLUE}:database/refunds_base_uat", VIA, True),
    (Role.DEPLOY, "glue:DeleteDatabase", f"{GLUE}:table/refunds_base_uat/refund", VIA, True),
    (Role.DEPLOY, "glue:DeleteDatabase", f"{GLUE}:userDefinedFunction/refunds_base_uat/f", VIA, True),
    (Role.DEPLOY, "glue:DeleteDatabase", f"{GLUE}:table/refunds_base_prod/refund", VIA, False),
    # Drift is detected by resource, and asks for the types' configurations.
    (Role.REVIEW, "cloudformation:DetectStackResourceDrift", STACK, {}, True),
    (Role.REVIEW, "cloudformation:BatchDescribeTypeConfigurations", "*", {}, True),
    (Role.REVIEW, "kinesis:ListTagsForResource", STREAM, VIA, True),
    (Role.REVIEW, "logs:DescribeIndexPolicies", "*", VIA, True),
    # Events may be judged on the change set.
    (Role.REVIEW, "cloudformation:DescribeEvents", f"arn:aws:cloudformation:{WHERE}:changeSet/dataops-1-a/2", {}, True),
    (Role.REVIEW, "cloudformation:DescribeEvents", f"arn:aws:cloudformation:{WHERE}:changeSet/other/2", {}, False),
    # Of all functions, only that of the month end is asked for something by a person.
    (Role.OPERATE, "lambda:InvokeFunction", f"{FUNCTION}month-end-IssueStatement-1", {}, True),
    (Role.OPERATE, "lambda:InvokeFunction", f"{FUNCTION}alerts-Notify-1", {}, False),
    (Role.DEPLOY, "lambda:InvokeFunction", f"{FUNCTION}month-end-IssueStatement-1", {}, False),
    # Only who may restore deletes versions, and only of transaction files: the marker of a deletion is one.
    (Role.RESTORE, "s3:DeleteObjectVersion", f"{RAW}/transactions/source=s3/a", {}, True),
    (Role.RESTORE, "s3:DeleteObjectVersion", f"{RAW}/smoke/a", {}, False),
    (Role.RESTORE, "s3:ListBucketVersions", RAW, {}, True),
    (Role.OPERATE, "s3:DeleteObjectVersion", f"{RAW}/transactions/source=s3/a", {}, False),
    # Athena reads partitions in its caller's name.
    (Role.DEPLOY, "glue:BatchGetPartition", f"{GLUE}:table/refunds_base_uat/refund", {}, True),
    (Role.DEPLOY, "glue:BatchGetPartition", f"{GLUE}:table/refunds_base_prod/refund", {}, False),
    # A role gets policies of ours only, and none inline.
    (Role.DEPLOY, "iam:AttachRolePolicy", ROLE, {**VIA, "iam:PolicyARN": OURS}, True),
    (Role.DEPLOY, "iam:AttachRolePolicy", ROLE, {**VIA, "iam:PolicyARN": ADMIN}, False),
    (Role.DEPLOY, "iam:PutRolePolicy", ROLE, VIA, False),
    (Role.DEPLOY, "iam:DeleteRolePermissionsBoundary", ROLE, VIA, False),
    (Role.DEPLOY, "iam:CreateRole", ROLE, VIA, True),
    (Role.DEPLOY, "iam:PassRole", ROLE, {"iam:PassedToService": "glue.amazonaws.com"}, True),
    (Role.DEPLOY, "iam:PassRole", ROLE, {"iam:PassedToService": "ec2.amazonaws.com"}, False),
    # Only our job is started, stopped or changed.
    (Role.DEPLOY, "glue:StartJobRun", f"{GLUE}:job/refunds-lake-uat-glue-base-tables", {}, True),
    (Role.DEPLOY, "glue:StartJobRun", f"{GLUE}:job/payroll", {}, False),
    (Role.DEPLOY, "glue:UpdateJob", f"{GLUE}:job/payroll", VIA, False),
    (Role.DEPLOY, "glue:UpdateCrawler", f"{GLUE}:crawler/refunds-lake-uat-crawlers-raw", VIA, True),
    (Role.DEPLOY, "glue:DeleteCrawler", f"{GLUE}:crawler/payroll", VIA, False),
    # Some calls are judged on no resource: AWS's own data names none for them.
    (Role.DEPLOY, "glue:CreateCrawler", "*", VIA, True),
    (Role.DEPLOY, "glue:CreateCrawler", "*", {}, False),
    (Role.DEPLOY, "sns:Unsubscribe", "*", VIA, True),
    (Role.DEPLOY, "sns:Unsubscribe", "*", {}, False),
    (Role.DEPLOY, "transfer:CreateServer", "*", VIA, True),
    # Change sets have our names and import nothing; the first deployment's name is not the reviewer's to take.
    (Role.REVIEW, "cloudformation:CreateChangeSet", STACK, {"cloudformation:ChangeSetName": "dataops-1-a"}, True),
    (Role.REVIEW, "cloudformation:CreateChangeSet", STACK, {"cloudformation:ChangeSetName": "dataops-first-1"}, False),
    (Role.DEPLOY, "cloudformation:CreateChangeSet", STACK, {"cloudformation:ChangeSetName": "dataops-first-1"}, True),
    (Role.DEPLOY, "cloudformation:CreateChangeSet", STACK, {"cloudformation:ChangeSetName": "mine"}, False),
    (
        Role.DEPLOY,
        "cloudformation:CreateChangeSet",
        STACK,
        {"cloudformation:ChangeSetName": "dataops-1-a", "cloudformation:ImportResourceTypes": "AWS::KMS::Key"},
        False,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("role", "action", "resource", "context", "allowed"), REQUESTS)
def test_a_role_may_do_what_it_needs_and_no_more(
    role: Role, action: str, resource: str, context: dict[str, str], allowed: bool
) -> None:
    """Given the policy of a role, when IAM judges a request by it, then the answer is the table's."""
    assert policy_allows(made(role), action, resource, context) is allowed


BOUNDARY = "arn:aws:iam::111111111111:policy/lake-boundary"


def bounded(boundary: str = BOUNDARY) -> list[dict[str, Any]]:
    """The pipeline's policy in an environment that demands a boundary."""
    environment = PROJECT.environments["uat"]
    with_boundary = replace(environment, parameters={**environment.parameters, "PermissionsBoundaryArn": boundary})
    statements: list[dict[str, Any]] = policy(PROJECT, with_boundary, TEMPLATES.values(), Role.DEPLOY)["Statement"]
    return statements


def test_with_a_boundary_no_role_is_made_without_it() -> None:
    """Given an environment with a boundary, when roles are made or changed, then only with that very boundary."""
    within = {**VIA, "iam:PermissionsBoundary": BOUNDARY}
    for action in ("iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:PutRolePermissionsBoundary"):
        assert policy_allows(bounded(), action, ROLE, within)
        assert not policy_allows(bounded(), action, ROLE, VIA)
        assert not policy_allows(bounded(), action, ROLE, {**within, "iam:PermissionsBoundary": ADMIN})
    assert policy_allows(bounded(), "iam:AttachRolePolicy", ROLE, {**within, "iam:PolicyARN": OURS})
    assert not policy_allows(bounded(), "iam:AttachRolePolicy", ROLE, {**VIA, "iam:PolicyARN": OURS})
    assert not policy_allows(made(Role.DEPLOY), "iam:PutRolePermissionsBoundary", ROLE, within)


def test_a_boundary_that_the_stacks_could_change_is_refused() -> None:
    """Given a boundary with a name like the stacks' policies, when the policy is made, then it is refused."""
    with pytest.raises(ConfigError, match="may change"):
        bounded("arn:aws:iam::111111111111:policy/refunds-lake-uat-boundary")


def test_an_unknown_boundary_is_no_missing_one() -> None:
    """Given a boundary from a variable that is not set, when the policy is made, then it says so and makes none."""
    environment = replace(PROJECT.environments["uat"], variables={"PermissionsBoundaryArn": "BOUNDARY_ARN"})
    with pytest.raises(ConfigError, match="BOUNDARY_ARN is not set"):
        policy(PROJECT, environment, TEMPLATES.values(), Role.DEPLOY)


@pytest.mark.parametrize(
    ("template_name", "policy_id"),
    [("athena", "ReportReaders"), ("operations", "ValidationRights"), ("month_end", "StatementRights")],
)
def test_who_queries_may_do_what_athena_does_in_their_name(template_name: str, policy_id: str) -> None:
    """Given a policy for queries, then it has all that dataops grants itself for its own, beside Athena's calls."""
    rights = statements(one_resource(template_name, policy_id))
    granted = {action for statement in rights for action in as_list(statement["Action"])}
    assert set(ATHENA_ACTIONS) <= granted
    assert set(ATHENA_ACTIONS) <= own(made(Role.DEPLOY))


def test_identities_need_no_right() -> None:
    """Given that nobody can be denied GetCallerIdentity, when the policy is made, then it does not mention it."""
    assert ("sts", "GetCallerIdentity") in load_calls(Role.REVIEW)
    assert not any(action.startswith("sts:") for action in own(made(Role.OPERATE)))


@pytest.mark.parametrize("role", Role)
def test_the_files_fit_into_managed_policies(role: Role) -> None:
    """Given a policy, when it is divided, then each file fits as IAM counts, a role holds all, and no right is lost."""
    document = {"Version": "2012-10-17", "Statement": made(role)}
    parts = managed_policies(document).values()
    assert all(len(json.dumps(part, separators=(",", ":"))) <= MANAGED_POLICY_CHARACTERS for part in parts)
    assert len(parts) <= MANAGED_POLICIES_OF_A_ROLE
    assert [statement for part in parts for statement in part["Statement"]] == document["Statement"]


def test_a_type_that_nobody_wrote_down_is_told() -> None:
    """Given a template with a new type, when the policy is made, then the error says where the type belongs."""
    body = "Resources: {Thing: {Type: AWS::New::Thing}}"
    with pytest.raises(ConfigError, match="CloudFormation calls for AWS::New::Thing") as raised:
        new = parse_template(body, Path("new.yaml"), shown_as="new.yaml")
        policy(PROJECT, PROJECT.environments["uat"], [new], Role.DEPLOY)
    assert raised.value.where == "new.yaml"


def test_what_no_template_uses_is_not_allowed() -> None:
    """Given templates without buckets, when the policy is made, then CloudFormation may not make any."""
    declared = project()
    body = "Resources: {Group: {Type: AWS::Logs::LogGroup}}"
    templates = [parse_template(body, Path("a.yaml"))]
    statements = policy(declared, declared.environments["uat"], templates, Role.DEPLOY)["Statement"]
    through = {a for each in statements if each["Sid"].startswith("CloudFormation") for a in each["Action"]}
    assert through == set(ACTIONS["AWS::Logs::LogGroup"])


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_arns_have_the_partition_of_the_region(region: str, partition: str) -> None:
    """Given a region of another partition, when the policy is made, then its ARNs say so."""
    declared = project(
        f'project: x\nenvironments: {{uat: {{account: "111111111111", region: {region}}}}}\n'
        "stacks: {a: {template: a.yaml}}"
    )
    (statement, *_) = policy(declared, declared.environments["uat"], [], Role.DEPLOY)["Statement"]
    assert statement["Resource"].startswith(f"arn:{partition}:athena:{region}:111111111111:")


def test_the_command_prints_a_policy_document(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Given the command, when it runs, then stdout is the document, and --out has the same in files."""
    assert cli.run(["--project-dir", str(ROOT), "iam-policy", "--env", "prod", "--out", str(tmp_path)]) == 0
    out, err = capfd.readouterr()
    printed = json.loads(out)
    assert printed["Statement"] == made(Role.DEPLOY, "prod")
    assert "without PermissionsBoundaryArn" in err
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.iterdir())]
    assert [statement for file in files for statement in file["Statement"]] == printed["Statement"]
    review = ["--project-dir", str(ROOT), "--output", "json", "iam-policy", "--env", "prod", "--role", "review"]
    assert cli.run(review) == 0
    assert json.loads(capfd.readouterr().out)["policy"]["Statement"] == made(Role.REVIEW, "prod")
