"""The pipeline's roles in one account: the template of both, with the least policies of this checkout in it.

The template says who may take the roles; the policies change with the templates, so they are put in when it is deployed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import DataopsError, UsageError
from deployer.project.config import Environment, Project
from deployer.project.templates import Template
from deployer.security.iam_policy import Role, managed_policies

TEMPLATE = "templates/account/pipeline.yaml"
ISSUER = "vstoken.dev.azure.com"
ROLES: Mapping[str, Role] = {"DeployRole": Role.DEPLOY, "ReviewRole": Role.REVIEW}
MOST_POLICIES = 10  # of a role: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_NAME = re.compile(r"[^/*?\",\\]+")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class AzureProject:
    """Where the pipeline is: organization (name and id) and project in Azure DevOps."""

    organization: str
    organization_id: str
    project: str

    def __post_init__(self) -> None:
        """Raise UsageError for what cannot be one."""
        if _ID.fullmatch(self.organization_id) is None:
            hint = "https://dev.azure.com/ORGANIZATION/_apis/connectionData shows it as instanceId"
            raise UsageError(f"'{self.organization_id}' is not an organization's id", hint=hint)
        for name in (self.organization, self.project):
            if _NAME.fullmatch(name) is None:
                raise UsageError(f"'{name}' is not the name of an organization or a project")

    @property
    def issuer_host(self) -> str:
        """The issuer of its tokens, without https."""
        return f"{ISSUER}/{self.organization_id}"

    def subject(self, connection: str) -> str:
        """Return the subject of a service connection."""
        return f"sc://{self.organization}/{self.project}/{connection}"


def stack_of(project: Project, environment: Environment) -> str:
    """Return the stack's name. It does not begin like those of the layers, so that whoever may change these may not change it."""
    return f"{project.name}-pipeline-{environment.name}"


def connection_of(project: Project, environment: str) -> str:
    """Return the service connection of an environment; the variable group has the same name."""
    return f"{project.name}-{environment}"


def deploy_role(project: Project, environment: str) -> str:
    """Return the name of the role that deploys to an environment, as the template makes it.

    The environment comes last: two environments may share an account, and whoever deploys may change roles that begin like
    those of its layers, but not this one.
    """
    return f"{project.name}-deploy-{environment}"


def parameters_of(
    project: Project, environment: Environment, azure: AzureProject, *, make_provider: bool
) -> dict[str, str]:
    """Return the parameters of the template, except those with their own default."""
    environments = [name for name, each in project.environments.items() if each.account is not None]
    return {
        "EnvironmentName": environment.name,
        "IssuerHost": azure.issuer_host,
        "DeploySubject": azure.subject(connection_of(project, environment.name)),
        "ReviewSubjects": ",".join(azure.subject(connection_of(project, name)) for name in environments),
        "MakeProvider": "true" if make_provider else "false",
        "RolePrefix": project.name,
    }


def with_policies(template: Template, policies: Mapping[Role, Mapping[str, Any]]) -> str:
    """Return the template's text, as JSON, with each role's policies as managed policies of the same stack."""
    document = json.loads(json.dumps(template.document))
    for logical_id, role in ROLES.items():
        found = dict(_managed(logical_id, role, policies[role]))
        if len(found) > MOST_POLICIES:
            raise DataopsError(
                f"the policy of {role.value} needs {len(found)} managed policies, the maximum is {MOST_POLICIES}"
            )
        document["Resources"] |= found
        document["Resources"][logical_id]["Properties"]["ManagedPolicyArns"] = [{"Ref": name} for name in found]
    return json.dumps(document, separators=(",", ":"))


def _managed(role_id: str, role: Role, document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, part in enumerate(managed_policies(document).values(), start=1):
        properties = {"Description": f"What dataops calls as {role.value}, part {number}.", "PolicyDocument": part}
        name = f"{role_id.removesuffix('Role')}Policy{number}"
        yield name, {"Type": "AWS::IAM::ManagedPolicy", "Properties": properties}


def remaining_steps(
    project: Project, environment: Environment, azure: AzureProject, deploy_role_arn: str
) -> tuple[str, ...]:
    """Return what has to be set up in Azure DevOps once the roles exist."""
    connection = connection_of(project, environment.name)
    steps = [
        (
            f"Project settings, Service connections: create one of type AWS, named {connection}, with `Use OIDC`, "
            f"role to assume {deploy_role_arn}"
        ),
        f"It must show issuer https://{azure.issuer_host} and subject {azure.subject(connection)}",
        f"Pipelines, Library: variable group {connection} with serviceConnectionId, the id in the connection's address",
        f"Pipelines, Environments: {environment.name} with an exclusive lock",
    ]
    if environment.promotes_from:
        steps.append(
            f"Environment {environment.name}, connection and variable group {connection}: add an approval to each"
        )
        steps.append(f"Pipelines: create a second one from .ci/rollback.yml, which rolls {environment.name} back")
    return (*steps, "Service connection, Security: allow no other pipelines")
