"""`dataops iam-policy`: the least policy of a role, from the calls that the code makes. It is made in iam_policy.py."""

from __future__ import annotations

from pathlib import Path

import click

from deployer.app import App
from deployer.options import env_option, examples


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
    type=click.Choice(["review", "deploy", "operate"]),
    default="deploy",
    show_default=True,
    help="review: look and plan. deploy: the pipeline's role. operate: also ingest, run, report, destroy.",
)
@click.option(
    "--out",
    "out_dir",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write files there, each small enough for a managed policy.",
)
@click.pass_obj
def iam_policy(app: App, env_name: str, role_name: str, out_dir: Path | None) -> None:
    """Print the least policy of the role that runs dataops in an environment.

    Calls no AWS. What CloudFormation does for dataops is allowed through CloudFormation only.
    """
    import json

    from deployer.iam_policy import Role, managed_policies, policy
    from deployer.templates import load_templates

    environment, project = app.environment(env_name), app.project()
    document = policy(project, environment, load_templates(project).values(), Role(role_name))
    if out_dir is not None:
        out_dir.mkdir(parents=True, exist_ok=True)
        for name, part in managed_policies(document).items():
            (out_dir / name).write_text(json.dumps(part, indent=2) + "\n", encoding="utf-8")
            app.say(f"wrote {out_dir / name}")
    app.emit({"environment": env_name, "role": role_name, "policy": document}, json.dumps(document, indent=2))
