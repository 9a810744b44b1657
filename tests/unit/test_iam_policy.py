"""The printed policy allows what the code calls, where it calls it, and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from calls_in_code import calls_in_code
from project_files import project, template

from deployer import cli
from deployer.errors import ConfigError
from deployer.project.config import load_project
from deployer.project.templates import load_templates, parse_template
from deployer.security.iam_policy import (
    COMMANDS,
    MANAGED_POLICY_CHARACTERS,
    Role,
    load_calls,
    managed_policies,
    policy,
)
from deployer.security.resource_actions import ACTIONS

ROOT = Path(__file__).parents[2]
PROJECT = load_project(ROOT)
TEMPLATES = load_templates(PROJECT)
MANAGED_POLICIES_OF_A_ROLE = 10  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
WITHOUT_AWS = {"validate", "local", "iam-policy", "sample"}


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
    assert set(load_calls(Role.OPERATE)) == calls_in_code()


def test_the_calls_exist() -> None:
    """Given the list of calls, when botocore's models are asked, then each is an operation of its service."""
    session = botocore.session.get_session()
    for service, operation in load_calls(Role.OPERATE):
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
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DetectStackDrift",
        "cloudformation:TagResource",
        "kms:Decrypt",
    }
    through = [each for each in made(Role.REVIEW) if each["Sid"].startswith("CloudFormation")]
    assert all(a.split(":")[1].startswith(("Get", "List", "Describe")) for each in through for a in each["Action"])


@pytest.mark.parametrize("role", Role)
def test_nothing_is_allowed_outside_the_environment(role: Role) -> None:
    """Given a policy, when its resources are read, then each names the environment, or has no name that could."""
    for statement in made(role):
        places = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        for place in places:
            is_named = "refunds-lake-uat-" in place or "_uat" in place
            assert is_named or set(statement["Action"]) <= NAMELESS, statement
            assert place == "*" or ":s3:::" in place or ":111111111111:" in place, statement
        assert not any("*" in action for action in statement["Action"])


NAMELESS = {
    # These act on no resource, or on one whose name nobody knows before it is there.
    "cloudformation:DescribeStackDriftDetectionStatus",
    "glue:CreateSecurityConfiguration", "glue:DeleteSecurityConfiguration", "glue:GetSecurityConfiguration",
    "glue:BatchStopJobRun", "glue:CreateJob", "glue:DeleteJob", "glue:GetJob", "glue:GetJobRun", "glue:GetJobRuns",
    "glue:GetTags", "glue:StartJobRun", "glue:TagResource", "glue:UntagResource", "glue:UpdateJob",
    "glue:GetDatabase", "glue:GetPartition", "glue:GetPartitions", "glue:GetTable", "glue:CreateTable",
    "glue:BatchCreatePartition", "glue:BatchUpdatePartition", "glue:DeletePartition",
    "glue:CreateDatabase", "glue:DeleteDatabase", "glue:UpdateDatabase", "glue:DeleteTable", "glue:UpdateTable",
    "kms:CreateGrant", "kms:CreateKey", "kms:Decrypt", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation",
    "kms:EnableKey", "kms:EnableKeyRotation", "kms:GenerateDataKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus",
    "kms:ListAliases", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource",
    "kms:UntagResource", "kms:UpdateKeyDescription", "kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias",
    "logs:DescribeLogGroups", "logs:DescribeLogStreams",
}  # fmt: skip


def test_keys_are_used_by_their_alias_and_resources_through_cloudformation() -> None:
    """Given the pipeline's policy, when its conditions are read, then no key and no resource is open to direct calls."""
    for statement in made(Role.DEPLOY):
        if statement["Sid"].startswith("Dataops") and any(action.startswith("kms:") for action in statement["Action"]):
            assert statement["Condition"] == {
                "ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/refunds-lake-uat-*"}
            }
        if statement["Sid"].startswith("CloudFormation"):
            through = {"ForAnyValue:StringEquals": {"aws:CalledVia": "cloudformation.amazonaws.com"}}
            services = [f"{name}.amazonaws.com" for name in ("firehose", "glue", "lambda", "scheduler")]
            passed = {"StringEquals": {"iam:PassedToService": services}}
            assert statement["Condition"] == (passed if statement["Action"] == ["iam:PassRole"] else through)


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
    assert template("X").resources["Topic"].type not in ACTIONS


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
    printed = json.loads(capfd.readouterr().out)
    assert printed["Statement"] == made(Role.DEPLOY, "prod")
    files = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(tmp_path.iterdir())]
    assert [statement for file in files for statement in file["Statement"]] == printed["Statement"]
    review = ["--project-dir", str(ROOT), "--output", "json", "iam-policy", "--env", "prod", "--role", "review"]
    assert cli.run(review) == 0
    assert json.loads(capfd.readouterr().out)["policy"]["Statement"] == made(Role.REVIEW, "prod")
