"""`dataops iam-policy`: print the least-privilege policy of a role. It is made in deployer/security/iam_policy.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from deployer.documents import as_document
from deployer.files import write_file
from deployer.project.templates import load_templates
from deployer.security.iam_places import BOUNDARY
from deployer.security.iam_policy import Role, managed_policies, policy
from deployer.terminal.app import App
from deployer.terminal.options import env_option, examples


@dataclass(frozen=True)
class PolicyResult:
    """The least-privilege policy of a role in an environment, in IAM's form."""

    environment: str  #: the environment
    role: Role  #: whose policy it is
    policy: Mapping[str, Any]  #: a policy document for IAM


@click.command(
    epilog=examples(
        "dataops iam-policy --env uat",
        "dataops iam-policy --env prod --role review",
        "dataops iam-policy --env uat --out policies",
    )
)
@env_option
@click.option(
    "--role",
    "role_name",
    type=click.Choice([role.value for role in Role]),
    default=Role.DEPLOY.value,
    show_default=True,
    help="review: read and plan. deploy: the pipeline's role. operate: also ingest, run, report, destroy. "
    "restore: also bring deleted raw files back.",
)
@click.option(
    "--out",
    "out_dir",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write files to this directory, each small enough for a managed policy.",
)
@click.pass_obj
def iam_policy(app: App, env_name: str, role_name: str, out_dir: Path | None) -> None:
    """Print the least-privilege policy of the role that runs dataops in an environment.

    Calls no AWS. Actions that CloudFormation carries out for dataops are allowed through CloudFormation only.
    """
    environment, project, role = app.environment(env_name), app.project(), Role(role_name)
    result = PolicyResult(env_name, role, policy(project, environment, load_templates(project).values(), role))
    if not environment.parameters.get(BOUNDARY) and role is not Role.REVIEW:
        app.say(f"without {BOUNDARY} in dataops.yml the deploying role can create roles with any permissions")
    if out_dir is not None:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, part in managed_policies(result.policy).items():
            write_file(out_dir / name, json.dumps(part, indent=2) + "\n")
            app.say(f"wrote {out_dir / name}")
    app.emit(as_document(result), json.dumps(result.policy, indent=2))
