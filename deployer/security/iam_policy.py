"""The least policy of whoever runs dataops, made from the calls that the code makes and the types of the templates.

aws_calls.json lists the calls, by the role that needs them; tests hold the list equal to the code and to what a run
of the whole suite has called. What CloudFormation does in the role's name is allowed through CloudFormation only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from typing import Any

from deployer.errors import ConfigError
from deployer.project.config import Environment, Project
from deployer.project.templates import Template
from deployer.security.resource_actions import ACTIONS, is_reading

CALLS_FILE = "aws_calls.json"
MANAGED_POLICY_CHARACTERS = 6_144  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
Calls = frozenset[tuple[str, str]]  # ("cloudformation", "DescribeStacks")


class Role(StrEnum):
    """Who runs dataops; each may do what the ones before it may."""

    REVIEW = "review"
    DEPLOY = "deploy"
    OPERATE = "operate"


COMMANDS: Mapping[Role, frozenset[str]] = {
    Role.REVIEW: frozenset({"diff", "drift", "history", "plan", "show", "status"}),
    Role.DEPLOY: frozenset({"deploy", "promote", "review", "rollback", "unlock"}),
    Role.OPERATE: frozenset({"check", "data", "destroy", "ingest", "logs", "replay", "report", "run"}),
}

# Calls whose action has another name, or needs none. https://docs.aws.amazon.com/service-authorization/latest/reference/
_ACTIONS_OF: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sts", "GetCallerIdentity"): (),  # nobody can be denied it
    # Without the right to list, a missing object answers 403 and not 404.
    ("s3", "GetObject"): ("s3:GetObject", "s3:ListBucket", "kms:Decrypt"),
    ("s3", "HeadObject"): ("s3:GetObject", "s3:ListBucket", "kms:Decrypt"),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "PutObject"): ("s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"),
    ("s3", "DeleteObjects"): ("s3:DeleteObject",),
    ("kinesis", "PutRecords"): ("kinesis:PutRecords", "kms:GenerateDataKey"),
    ("cloudformation", "CreateChangeSet"): ("cloudformation:CreateChangeSet", "cloudformation:TagResource"),
    # Athena reads the catalog and the data, and writes the result, in the caller's name.
    ("athena", "StartQueryExecution"): (
        "athena:StartQueryExecution",
        "glue:GetDatabase",
        "glue:GetPartition",
        "glue:GetPartitions",
        "glue:GetTable",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "s3:AbortMultipartUpload",
        "s3:GetBucketLocation",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    ),
    ("athena", "GetQueryResults"): ("athena:GetQueryResults", "s3:GetObject", "kms:Decrypt"),
}

_ACTING = {("cloudformation", name) for name in ("ExecuteChangeSet", "DeleteStack", "RollbackStack")}
_LOOKING = {("cloudformation", "DetectStackDrift")}

_OBJECT_ACTIONS = {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
_ANYWHERE = {  # these know no resource
    "cloudformation:DescribeStackDriftDetectionStatus",
    "glue:CreateSecurityConfiguration",
    "glue:DeleteSecurityConfiguration",
    "glue:GetSecurityConfiguration",
    "kms:CreateKey",
    "kms:ListAliases",
    "logs:DescribeLogGroups",
}
_JOB_NOUNS = ("Job", "Tag", "UntagResource")


@dataclass(frozen=True)
class _Scope:
    """Where an action is allowed, and under which conditions."""

    resources: tuple[str, ...]
    condition: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


def load_calls(role: Role) -> Calls:
    """The calls that a role makes, its own and those of the roles before it."""
    text = resources.files("deployer.security").joinpath(CALLS_FILE).read_text(encoding="utf-8")
    by_role: Mapping[str, Mapping[str, list[str]]] = json.loads(text)
    included = list(Role)[: list(Role).index(role) + 1]
    return frozenset((service, name) for r in included for service, names in by_role[r].items() for name in names)


def policy(project: Project, environment: Environment, templates: Iterable[Template], role: Role) -> dict[str, Any]:
    """The policy document of a role in an environment. Raises ConfigError for a resource type without a list."""
    places = _Places(project, environment)
    calls = load_calls(role)
    own = {action for call in calls for action in _ACTIONS_OF.get(call, (f"{call[0]}:{call[1]}",))}
    through = _through_cloudformation(calls, templates)
    return _document(
        [
            *_statements("Dataops", ((action, places.scope(action)) for action in own)),
            *_statements("CloudFormation", ((action, places.scope_through(action)) for action in through)),
        ]
    )


def managed_policies(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The same rights as documents that each fit into a managed policy, by a file name for each."""
    parts: list[list[Any]] = [[]]
    for statement in document["Statement"]:
        if len(_compact([*parts[-1], statement])) > MANAGED_POLICY_CHARACTERS:
            parts.append([])
        parts[-1].append(statement)
    return {f"policy-{number}.json": _document(part) for number, part in enumerate(parts, start=1)}


def _document(statements: Iterable[Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _compact(statements: Iterable[Any]) -> str:
    """As IAM counts: without white space."""
    return json.dumps(_document(statements), separators=(",", ":"))


def _through_cloudformation(calls: Calls, templates: Iterable[Template]) -> set[str]:
    types = {(resource.type, template.file) for template in templates for resource in template.resources.values()}
    for type_, file in sorted(types):
        if type_ not in ACTIONS:
            hint = "add it to deployer/security/resource_actions.py"
            raise ConfigError(f"nobody has written down what CloudFormation calls for {type_}", where=file, hint=hint)
    actions = {action for type_, _ in types for action in ACTIONS[type_]}
    if calls & _ACTING:
        return actions
    return {action for action in actions if is_reading(action)} if calls & _LOOKING else set()


class _Places:
    """The ARNs of an environment. Physical names start with the stack's name, and that with project and environment."""

    def __init__(self, project: Project, environment: Environment) -> None:
        region, self._name = environment.region, environment.name
        self._partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(
            region.rpartition("-")[0].rpartition("-")[0], "aws"
        )
        self._where = f"{region}:{environment.account or '*'}"
        self._account = environment.account or "*"
        self._prefix = f"{project.name}-{environment.name}-"

    def scope(self, action: str) -> _Scope:
        """Where dataops itself may do it."""
        if action.startswith("kms:"):
            aliases = f"alias/{self._prefix}*"
            return _Scope(
                (self._arn("kms", "key/*"),), (("ForAnyValue:StringLike", "kms:ResourceAliases", (aliases,)),)
            )
        return _Scope(self._resources(action))

    def scope_through(self, action: str) -> _Scope:
        """Where CloudFormation may do it for dataops."""
        through = ("ForAnyValue:StringEquals", "aws:CalledVia", ("cloudformation.amazonaws.com",))
        if action == "iam:PassRole":
            services = tuple(f"{service}.amazonaws.com" for service in ("firehose", "glue", "lambda", "scheduler"))
            return _Scope(self._resources(action), (("StringEquals", "iam:PassedToService", services),))
        return _Scope(self._resources(action), (through,))

    def _resources(self, action: str) -> tuple[str, ...]:
        service, _, name = action.partition(":")
        if action in _ANYWHERE:
            return ("*",)
        match service:
            case "cloudformation":
                return (self._arn(service, f"stack/{self._prefix}*"),)
            case "s3":
                bucket = f"arn:{self._partition}:s3:::{self._prefix}*"
                return (f"{bucket}/*" if action in _OBJECT_ACTIONS else bucket,)
            case "glue":
                return self._glue(name)
            case "athena":
                return (self._arn(service, f"workgroup/{self._prefix}*"),)
            case "logs":
                return (self._arn(service, "log-group:*"),) if name.startswith("Describe") else (
                    self._arn(service, f"log-group:/{self._prefix}*"),
                    self._arn(service, f"log-group:{self._prefix}*"),
                )  # fmt: skip
            case "cloudwatch":
                return (self._arn(service, f"alarm:{self._prefix}*"),)
            case "lambda":
                return (self._arn(service, f"function:{self._prefix}*"),)
            case "scheduler":
                return (self._arn(service, f"schedule/default/{self._prefix}*"),)
            case "sqs":
                return (self._arn(service, f"{self._prefix}*"),)
            case "kinesis":
                return (self._arn(service, f"stream/{self._prefix}*"),)
            case "firehose":
                return (self._arn(service, f"deliverystream/{self._prefix}*"),)
            case "kms":
                key, alias = self._arn(service, "key/*"), self._arn(service, f"alias/{self._prefix}*")
                return (key, alias) if name.endswith("Alias") else (key,)
            case "iam":
                kind = (
                    "policy"
                    if name.endswith(("Policy", "PolicyVersion", "PolicyVersions")) and "Role" not in name
                    else "role"
                )
                return (f"arn:{self._partition}:iam::{self._account}:{kind}/{self._prefix}*",)
            case _:
                raise ConfigError(
                    f"nobody has written down where {action} is allowed", where="deployer/security/iam_policy.py"
                )

    def _glue(self, name: str) -> tuple[str, ...]:
        """Jobs have generated names that do not start with the stack's; databases end with the environment's name."""
        if any(noun in name for noun in _JOB_NOUNS):
            return (self._arn("glue", "job/*"),)
        databases = self._arn("glue", f"database/*_{self._name}")
        tables = () if "Database" in name else (self._arn("glue", f"table/*_{self._name}/*"),)
        return (self._arn("glue", "catalog"), databases, *tables)

    def _arn(self, service: str, rest: str) -> str:
        return f"arn:{self._partition}:{service}:{self._where}:{rest}"


def _statements(title: str, allowed: Iterable[tuple[str, _Scope]]) -> Iterator[dict[str, Any]]:
    """One statement for all actions that are allowed at the same places."""
    by_scope: dict[_Scope, list[str]] = defaultdict(list)
    for action, scope in allowed:
        by_scope[scope].append(action)
    ordered = sorted((sorted(actions), scope) for scope, actions in by_scope.items())
    for number, (actions, scope) in enumerate(ordered, start=1):
        statement: dict[str, Any] = {"Sid": f"{title}{number}", "Effect": "Allow", "Action": actions}
        statement["Resource"] = scope.resources[0] if len(scope.resources) == 1 else list(scope.resources)
        if scope.condition:
            statement["Condition"] = {
                operator: {key: list(values) if len(values) > 1 else values[0]}
                for operator, key, values in scope.condition
            }
        yield statement
