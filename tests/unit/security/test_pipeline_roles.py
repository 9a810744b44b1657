"""The pipeline's roles: who may take them, with which rights, and what is left to be clicked."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from repository import ROOT

from deployer.errors import DataopsError, UsageError
from deployer.project.config import load_project
from deployer.project.templates import load_template, load_templates
from deployer.security.iam_policy import MANAGED_POLICY_CHARACTERS, Role, policy
from deployer.security.pipeline_roles import (
    TEMPLATE,
    AzureProject,
    parameters_of,
    remaining_steps,
    stack_of,
    with_policies,
)

PROJECT = load_project(ROOT)
PROD = PROJECT.environments["prod"]
AZURE = AzureProject("acme", "0f0e0d0c-0000-4000-8000-000000000001", "refunds")
TEMPLATES = load_templates(PROJECT).values()
POLICIES = {role: policy(PROJECT, PROD, TEMPLATES, role) for role in (Role.DEPLOY, Role.REVIEW)}
TEMPLATE_FILE = load_template(ROOT / TEMPLATE)


def resources() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(with_policies(TEMPLATE_FILE, POLICIES))["Resources"]
    return found


def test_each_role_has_the_policies_that_iam_policy_prints() -> None:
    """Given the policies of both roles, when they are put into the template, then each role has its own, whole, and fits."""
    for role_id, role in (("DeployRole", Role.DEPLOY), ("ReviewRole", Role.REVIEW)):
        listed = [each["Ref"] for each in resources()[role_id]["Properties"]["ManagedPolicyArns"]]
        documents = [resources()[name]["Properties"]["PolicyDocument"] for name in listed]
        granted = [statement for document in documents for statement in document["Statement"]]
        assert granted == POLICIES[role]["Statement"] and granted
        for document in documents:
            assert len(json.dumps(document, separators=(",", ":"))) <= MANAGED_POLICY_CHARACTERS


def test_a_role_that_needs_too_many_policies_is_an_error() -> None:
    """Given more statements than ten managed policies hold, when they are put in, then it is an error and no silence."""
    statement = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "x" * 6000}
    many = {"Version": "2012-10-17", "Statement": [statement] * 11}
    with pytest.raises(DataopsError, match="11 managed policies"):
        with_policies(TEMPLATE_FILE, {**POLICIES, Role.DEPLOY: many})


def test_one_connection_deploys_and_all_may_look() -> None:
    """Given the environments, when prod's roles are made, then prod's connection alone deploys, and both may look."""
    parameters = parameters_of(PROJECT, PROD, AZURE, make_provider=True)
    assert parameters["DeploySubject"] == "sc://acme/refunds/refunds-lake-prod"
    assert parameters["ReviewSubjects"] == "sc://acme/refunds/refunds-lake-uat,sc://acme/refunds/refunds-lake-prod"
    assert parameters["IssuerHost"] == "vstoken.dev.azure.com/0f0e0d0c-0000-4000-8000-000000000001"


@pytest.mark.parametrize("role", [Role.DEPLOY, Role.OPERATE])
def test_no_role_may_change_its_own_rights(role: Role) -> None:
    """Given the policy of a role, when its resources are read, then neither the roles nor their stack are among them."""
    text = json.dumps(policy(PROJECT, PROD, TEMPLATES, role))
    assert "role/refunds-lake-prod-" in text
    assert stack_of(PROJECT, PROD) == "refunds-lake-pipeline-prod"
    for name in (stack_of(PROJECT, PROD), "refunds-lake-deploy-prod", "refunds-lake-review-prod"):
        assert name not in text
    assert "refunds-lake-*" not in text and "oidc-provider" not in text


def test_what_remains_names_connection_group_and_approval() -> None:
    """Given prod, when what remains is listed, then it has the role, the variable and an approval; uat has no approval."""
    said = "\n".join(remaining_steps(PROJECT, PROD, AZURE, "arn:aws:iam::222222222222:role/refunds-lake-deploy-prod"))
    assert "role to assume arn:aws:iam::222222222222:role/refunds-lake-deploy-prod" in said
    assert "serviceConnectionId" in said and "approval" in said
    assert "approval" not in "\n".join(remaining_steps(PROJECT, PROJECT.environments["uat"], AZURE, "x"))


@pytest.mark.parametrize(
    ("organization", "organization_id", "project"),
    [
        ("acme", "not-an-id", "refunds"),
        ("ac/me", "0f0e0d0c-0000-4000-8000-000000000001", "refunds"),
        ("acme", "0f0e0d0c-0000-4000-8000-000000000001", "*"),
        ("acme", "0f0e0d0c-0000-4000-8000-000000000001", 'a"b'),
        ("acme", "0f0e0d0c-0000-4000-8000-000000000001", "a,b"),
    ],
)
def test_names_that_would_change_the_trust_are_refused(organization: str, organization_id: str, project: str) -> None:
    """Given a name with a wildcard, a quote or a separator, or no id, when a subject is to be made, then it is refused."""
    with pytest.raises(UsageError):
        AzureProject(organization, organization_id, project)


@pytest.mark.parametrize("role", ["DeployRole", "ReviewRole"])
def test_the_longest_name_of_a_role_is_one(role: str) -> None:
    """Given the longest prefix and environment that the template takes, when a role is named, then IAM takes the name."""
    name: str = resources()[role]["Properties"]["RoleName"]["Fn::Sub"]
    for parameter in re.findall(r"\$\{(\w+)\}", name):
        pattern = TEMPLATE_FILE.document["Parameters"][parameter]["AllowedPattern"]
        longest = max(length for length in range(1, 129) if re.fullmatch(pattern, "a" * length))
        name = name.replace(f"${{{parameter}}}", "a" * longest)
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    assert re.fullmatch(r"[a-z-]{1,64}", name)
