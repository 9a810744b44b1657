"""`dataops bootstrap`: create the roles that the pipeline assumes, once per account, and list what remains to be set up."""

from __future__ import annotations

from dataclasses import dataclass

import click

from deployer.cloudformation.port import MAX_INLINE_TEMPLATE_BYTES, ChangeSet, StackRequest, StackState
from deployer.composition.environment import cloud_of
from deployer.deploying.results import StackOutcome
from deployer.deploying.single_stack import bring_up
from deployer.documents import as_document
from deployer.errors import DataopsError, UsageError
from deployer.pauses import Deadline, Pauses
from deployer.project.config import Environment, Project
from deployer.project.templates import load_template, load_templates
from deployer.security.iam_policy import Role, policy
from deployer.security.pipeline_roles import (
    ISSUER,
    ROLES,
    TEMPLATE,
    AzureProject,
    parameters_of,
    remaining_steps,
    stack_of,
    with_policies,
)
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples, timeout_option, yes_option


@dataclass(frozen=True)
class BootstrapResult:
    """The pipeline's roles in an account, and what has to be done in Azure DevOps."""

    environment: str  #: the environment
    outcome: str  #: `done`, `unchanged` or `declined`
    stack: str  #: the stack of the roles
    deploy_role_arn: str | None  #: the role that deploys
    review_role_arn: str | None  #: the role for reviews and plans
    issuer: str  #: whose tokens the roles trust
    subject: str  #: the service connection that deploys
    remaining: tuple[str, ...]  #: what remains to be set up in Azure DevOps


@click.command(
    epilog=examples(
        "dataops bootstrap --env uat --organization acme --organization-id 0f0e0d0c-... --azure-project refunds",
        "dataops bootstrap --env uat --yes",
    )
)
@env_option
@click.option(
    "--organization", metavar="NAME", help="The organization in Azure DevOps; remembered after the first time."
)
@click.option(
    "--organization-id", metavar="ID", help="The organization's id, which is part of the issuer of its tokens."
)
@click.option("--azure-project", metavar="NAME", help="The project in Azure DevOps.")
@click.option("--provider-exists", is_flag=True, help="The account already has a provider for this issuer.")
@yes_option
@timeout_option
@click.pass_obj
def bootstrap(
    app: App,
    env_name: str,
    organization: str | None,
    organization_id: str | None,
    azure_project: str | None,
    provider_exists: bool,
    yes: bool,
    timeout: float | None,
) -> int:
    """Create the pipeline's roles in an account for OpenID Connect; no key is created or stored.

    Needs the permissions of an IAM administrator, which no pipeline has. Run it again when the output of `dataops
    iam-policy` has changed.
    """
    given = (organization, organization_id, azure_project)
    if any(given) and not all(given):
        raise UsageError("--organization, --organization-id and --azure-project must be given together")
    environment, project = app.environment(env_name), app.project()
    named = AzureProject(organization or "", organization_id or "", azure_project or "") if all(given) else None
    session = app.connect(env_name)
    session.verify_identity()
    cloud, name = cloud_of(session), stack_of(project, environment)
    azure = named or _known(cloud.describe(name))
    makes = not provider_exists if named else _made_provider(cloud.describe(name))
    request = _request(project, environment, parameters_of(project, environment, azure, make_provider=makes))

    def approve(change_set: ChangeSet) -> bool:
        for change in change_set.changes:
            app.say(f"{change['Action'].lower()}: {change['LogicalResourceId']} ({change['ResourceType']})")
        app.say(f"the pipeline will assume the roles with tokens of https://{azure.issuer_host}")
        return app.confirm(f"change stack {name} of environment {env_name}?", yes=yes)

    result = bring_up(cloud, request, Pauses(deadline=Deadline(timeout)), approve=approve, say=app.say)
    state = result.state if result else None
    arns = {role: state.outputs.get(f"{role}Arn") if state else None for role in ROLES}
    remaining = remaining_steps(project, environment, azure, arns["DeployRole"] or "") if result else ()
    done = BootstrapResult(
        environment=env_name,
        outcome=result.outcome.value if result else "declined",
        stack=name,
        deploy_role_arn=arns["DeployRole"],
        review_role_arn=arns["ReviewRole"],
        issuer=f"https://{azure.issuer_host}",
        subject=request.parameters["DeploySubject"],
        remaining=remaining,
    )
    app.emit(as_document(done), _text(done))
    return 0 if result else 6


def _request(project: Project, environment: Environment, parameters: dict[str, str]) -> StackRequest:
    templates = load_templates(project).values()
    policies = {role: policy(project, environment, templates, role) for role in (Role.DEPLOY, Role.REVIEW)}
    body = with_policies(load_template(project.directory / TEMPLATE, shown_as=TEMPLATE), policies)
    if len(body.encode()) > MAX_INLINE_TEMPLATE_BYTES:
        raise DataopsError(f"with the policies, the template has {len(body.encode()):,} bytes", where=TEMPLATE)
    return StackRequest(
        stack="pipeline",
        stack_name=stack_of(project, environment),
        body=body,
        parameters=parameters,
        tags=environment.tags,
        capabilities=("CAPABILITY_NAMED_IAM",),
    )


def _known(state: StackState | None) -> AzureProject:
    """Return the Azure DevOps project that the stack was created for."""
    if state is None or "DeploySubject" not in state.parameters:
        raise UsageError(
            "the Azure DevOps project of the pipeline is not known yet",
            hint="--organization NAME --organization-id ID --azure-project NAME",
        )
    organization, project, _ = state.parameters["DeploySubject"].removeprefix("sc://").split("/")
    return AzureProject(organization, state.parameters["IssuerHost"].removeprefix(f"{ISSUER}/"), project)


def _made_provider(state: StackState | None) -> bool:
    return state is None or state.parameters.get("MakeProvider", "true") == "true"


def _text(done: BootstrapResult) -> str:
    if not done.remaining:
        return "nothing was changed"
    head = "nothing to do" if done.outcome == StackOutcome.UNCHANGED.value else "done"
    lines = [
        f"{head}: stack {done.stack}",
        f"  deploys as {done.deploy_role_arn}",
        f"  reviews as {done.review_role_arn}",
    ]
    steps = [f"{number}. {step}" for number, step in enumerate(done.remaining, start=1)]
    return "\n".join([*lines, "", "To be set up in Azure DevOps:", *steps])
