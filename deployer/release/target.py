"""What is to be deployed where: a release's templates and artifacts, wired, for one environment.
Pure: from it follows each stack's request once the values of its parents are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployer.cloudformation.outputs import ARTIFACTS_BUCKET_OUTPUT
from deployer.cloudformation.port import MAX_INLINE_TEMPLATE_BYTES, StackRequest
from deployer.errors import ConfigError
from deployer.project.config import Artifact, ArtifactKind, Environment, Project, StackSpec, stack_name
from deployer.project.sftp_users import with_users
from deployer.project.templates import Template, parse_template
from deployer.project.wiring import BuiltIn, FromArtifact, FromOutput, Given, TemplateDefault, Wiring, wire
from deployer.release.release import Release, ReleaseFile

_IAM_TYPES_WITH_NAMES = {
    "AWS::IAM::Group": "GroupName",
    "AWS::IAM::InstanceProfile": "InstanceProfileName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::IAM::User": "UserName",
}


@dataclass(frozen=True)
class Unknown:
    """A value that exists only when its stack has been deployed."""

    stack: str
    output: str


Value = str | Unknown
Outputs = Mapping[str, Mapping[str, str]]  # stack -> output -> value


@dataclass(frozen=True)
class Target:
    """One release for one environment."""

    project: Project
    environment: Environment
    release: Release
    wiring: Wiring = field(repr=False)
    templates: Mapping[str, Template] = field(repr=False)

    @property
    def stack_names(self) -> dict[str, str]:
        """Names in CloudFormation, in the order of deployment."""
        return {
            s: stack_name(self.project.name, self.environment.name, s) for batch in self.wiring.order() for s in batch
        }

    @property
    def artifacts_stack(self) -> str:
        """The stack that makes the artifacts bucket; it is deployed before anything can be stored."""
        found = [stack for stack, template in self.templates.items() if ARTIFACTS_BUCKET_OUTPUT in template.outputs]
        if len(found) != 1:
            raise ConfigError(
                f"{len(found) or 'no'} stacks have the output {ARTIFACTS_BUCKET_OUTPUT}: exactly one must create "
                "the artifacts bucket",
                where="dataops.yml",
            )
        return found[0]

    def values(self, stack: str, outputs: Outputs) -> dict[str, Value]:
        """Return each parameter of a stack, with what is known of its parents' outputs."""
        template, artifacts = self.templates[stack], self.release.artifact_values()
        values: dict[str, Value] = {}
        for name, source in self.wiring.stacks[stack].sources.items():
            match source:
                case Given(value=value) | BuiltIn(value=value):
                    values[name] = value
                case FromArtifact(name=artifact):
                    values[name] = artifacts[artifact]
                case FromOutput(stack=parent, output=output):
                    values[name] = outputs.get(parent, {}).get(output, Unknown(parent, output))
                case TemplateDefault():
                    values[name] = template.parameters[name].default or ""
        return values

    def request(self, stack: str, values: Mapping[str, str], *, bucket: str | None) -> StackRequest:
        """Return the request to CloudFormation. A template too big to be sent inline is given by its artifact's address."""
        template = self.templates[stack]
        inline = len(template.body.encode()) <= MAX_INLINE_TEMPLATE_BYTES
        return StackRequest(
            stack=stack,
            stack_name=self.stack_names[stack],
            body=template.body,
            parameters=values,
            tags={"Project": self.project.name, "Environment": self.environment.name, **self.environment.tags},
            capabilities=_capabilities(template),
            template_url=None if inline or not bucket else self._url(stack, bucket),
        )

    def template_file(self, stack: str) -> ReleaseFile:
        """Return the stack's template as an artifact."""
        return self.release.files[self.release.manifest["stacks"][stack]["template"]]

    def _url(self, stack: str, bucket: str) -> str:
        """Return the address in path style, which CloudFormation accepts in every region."""
        return f"https://s3.{self.environment.region}.amazonaws.com/{bucket}/{self.template_file(stack).key}"

    def secrets(self, stack: str, values: Mapping[str, Value]) -> tuple[str, ...]:
        """Return the values that must not be printed."""
        declared = self.templates[stack].parameters
        return tuple(value for name, value in values.items() if declared[name].no_echo and isinstance(value, str))


def target_of(project: Project, environment: Environment, release: Release) -> Target:
    """Combine a release with an environment: the release's stacks and files, the environment's values.

    Raise ConfigError with every problem of the wiring.
    """
    project = _as_released(project, release)
    templates = {
        name: _template(release, item["template"], environment) for name, item in release.manifest["stacks"].items()
    }
    wiring = wire(project, templates, environment)
    if wiring.findings:
        errors = [ConfigError(each.message, where=str(each.location), hint=each.hint) for each in wiring.findings]
        raise ConfigError(errors[0].message, where=errors[0].where, hint=errors[0].hint, others=errors[1:])
    return Target(project, environment, release, wiring, templates)


def _template(release: Release, path: str, environment: Environment) -> Template:
    template = parse_template(release.files[path].content.decode(), Path(path), shown_as=path)
    body = with_users(template, environment.sftp_users)
    if body == template.body:
        return template
    if len(body.encode()) > MAX_INLINE_TEMPLATE_BYTES:
        raise ConfigError(
            f"with {len(environment.sftp_users)} users the template is larger than CloudFormation accepts inline",
            where=path,
            hint="keys of type ed25519 are short",
        )
    return parse_template(body, Path(path), shown_as=path)


def _as_released(project: Project, release: Release) -> Project:
    """Return the project with the stacks and artifacts of the release, which may be older than the checkout."""
    manifest, written = release.manifest, project.stacks
    stacks = {
        name: StackSpec(
            name,
            project.directory / item["template"],
            item["parameters"],
            item["outputs"],
            places=written[name].places if name in written else {},
        )
        for name, item in manifest["stacks"].items()
    }
    artifacts = {
        name: Artifact(name, ArtifactKind(item["kind"]), Path(item["path"]))
        for name, item in manifest["artifacts"].items()
    }
    return replace(project, stacks=stacks, artifacts=artifacts)


def _capabilities(template: Template) -> tuple[str, ...]:
    """Return only the capabilities that the template needs: one that is always acknowledged means nothing."""
    resources = template.document.get("Resources", {})
    iam = [body for body in resources.values() if str(body.get("Type", "")).startswith("AWS::IAM::")]
    if not iam:
        return ()
    is_named = any(_IAM_TYPES_WITH_NAMES.get(body["Type"], "-") in (body.get("Properties") or {}) for body in iam)
    return ("CAPABILITY_NAMED_IAM",) if is_named else ("CAPABILITY_IAM",)
