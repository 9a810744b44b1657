"""Builders of small projects for tests: defaults for everything, so that a test shows only what matters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

from deployer.project.config import Project, parse_project
from deployer.project.templates import Template, parse_template

ENVIRONMENT = 'uat: {account: "111111111111", region: ap-southeast-2}'
STACKS = "a: {template: a.yaml}"
# Every key of a dataops.yml except `endpoint`.
FULL = """\
project: lake
environments:
  uat:
    account: "111111111111"
    region: ap-southeast-2
    profile: uat-admin
    release_max_age_days: 7
    tags: {owner: finance}
    partner: {account: "999999999999", profile: partner, role: "arn:aws:iam::999999999999:role/us", external_id_variable: ID}
    parameters:
      Days: 030
      Enabled: yes
      Empty: ""
      Secret: {from_environment: PARTNER_SECRET}
    drift_ignore:
      - resource: storage/RawBucket
        property: Tags
        reason: tagged by the platform team
        until: 2027-01-31
    routes: {sftp: {expected_every_hours: 24}, s3: {expected_every_hours: 6}}
    third_party: {account: "888888888888"}
    sftp_users: {acme: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF9axuj2ujobwRYDYZpN6Qxa+A+MbpfYp+EI/Ng4l7B+]}
  prod:
    account: "012345670123"
    region: eu-west-1
    promotes_from: uat
    termination_protection: true
artifacts:
  Script: {file: glue/job.py}
  Library: {zip: glue/library}
  Sql: {text: athena/refunds.sql}
  Function: {bundle: [functions/validate, glue/library]}
stacks:
  storage: {template: templates/storage.yaml}
  copy:
    template: templates/storage.yaml
    parameters: {Days: 7}
    outputs: {BucketName: CopyBucketName}
"""


def config_text(*, environments: str = ENVIRONMENT, stacks: str = STACKS, artifacts: str = "") -> str:
    """A dataops.yml; each argument is the content of its section, which starts on the line after the section's key."""
    sections = {"environments": environments, "artifacts": artifacts, "stacks": stacks}
    lines = ["project: lake"]
    for name, content in sections.items():
        if content:
            lines += [f"{name}:", *(f"  {line}" for line in dedent(content).strip().splitlines())]
    return "\n".join(lines) + "\n"


def project(text: str | None = None, *, variables: Mapping[str, str] | None = None, **sections: str) -> Project:
    """The project of a dataops.yml."""
    return parse_project(text if text is not None else config_text(**sections), Path("/project"), variables or {})


def template(
    *parameters: str,
    outputs: tuple[str, ...] = (),
    declared: Mapping[str, str] | None = None,
    file: str = "templates/a.yaml",
) -> Template:
    """A template with plain parameters and outputs; `declared` gives a parameter's body. Parameters start on line 2."""
    bodies = {**dict.fromkeys(parameters, "{Type: String}"), **(declared or {})}
    lines = ["Parameters:", *(f"  {name}: {body}" for name, body in bodies.items())] if bodies else []
    lines += ["Resources:", "  Topic: {Type: AWS::SNS::Topic}"]
    if outputs:
        lines += ["Outputs:", *(f"  {name}: {{Value: !Ref Topic}}" for name in outputs)]
    return parse_template("\n".join(lines) + "\n", Path(file), shown_as=file)
