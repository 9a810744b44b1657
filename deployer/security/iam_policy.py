"""The least-privilege policy for running dataops, made from the calls in the code and the types in the templates.

aws_calls.json lists the calls, by the role that needs them; tests hold the list equal to the code and to what a run
of the whole suite has called. What CloudFormation does in the role's name is allowed through CloudFormation only.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from importlib import resources
from typing import Any

from deployer.errors import ConfigError
from deployer.project.config import Environment, Project
from deployer.project.templates import Template
from deployer.security.iam_places import Condition, Places, Scope
from deployer.security.resource_actions import ACTIONS, is_reading

CALLS_FILE = "aws_calls.json"
MANAGED_POLICY_CHARACTERS = 6_144  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
Calls = frozenset[tuple[str, str]]  # ("cloudformation", "DescribeStacks")


class Role(StrEnum):
    """Who runs dataops; each may do what the ones before it may."""

    REVIEW = "review"
    DEPLOY = "deploy"
    OPERATE = "operate"
    RESTORE = "restore"


COMMANDS: Mapping[Role, frozenset[str]] = {
    Role.REVIEW: frozenset({"diff", "doctor", "drift", "history", "plan", "show", "status"}),
    Role.DEPLOY: frozenset({"bootstrap", "deploy", "promote", "review", "rollback", "unlock"}),
    Role.OPERATE: frozenset(
        {
            "check",
            "data",
            "destroy",
            "ingest",
            "logs",
            "query",
            "rejected",
            "replay",
            "report",
            "run",
            "secret",
            "statement",
        }
    ),
    Role.RESTORE: frozenset({"restore"}),
}

# What Athena does in its caller's name: it reads the catalog and the data, and writes the result. The managed policy of
# the reports' readers has the same, held equal by a test.
# https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html
ATHENA_ACTIONS = (
    "glue:BatchGetPartition",
    "glue:GetDatabase",
    "glue:GetPartition",
    "glue:GetPartitions",
    "glue:GetTable",
    "glue:GetTables",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "s3:AbortMultipartUpload",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)

# Calls whose action has another name, or needs none. https://docs.aws.amazon.com/service-authorization/latest/reference/
_ACTIONS_OF: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("service-quotas", "ListServiceQuotas"): ("servicequotas:ListServiceQuotas",),
    ("sts", "GetCallerIdentity"): (),  # it cannot be denied
    # Without the right to list, a missing object answers 403 and not 404.
    ("s3", "GetObject"): ("s3:GetObject", "s3:ListBucket", "kms:Decrypt"),
    ("s3", "HeadObject"): ("s3:GetObject", "s3:ListBucket", "kms:Decrypt"),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "PutObject"): ("s3:PutObject", "kms:GenerateDataKey", "kms:Decrypt"),
    ("s3", "DeleteObjects"): ("s3:DeleteObject",),
    # Who lists versions removes markers of deletions, which IAM cannot tell from versions: a role of its own may do that.
    ("s3", "ListObjectVersions"): ("s3:ListBucketVersions", "s3:DeleteObjectVersion"),
    ("kinesis", "PutRecords"): ("kinesis:PutRecords", "kms:GenerateDataKey"),
    # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_PutSecretValue.html
    ("secretsmanager", "PutSecretValue"): ("secretsmanager:PutSecretValue", "kms:GenerateDataKey", "kms:Decrypt"),
    ("lambda", "Invoke"): ("lambda:InvokeFunction",),
    ("cloudformation", "CreateChangeSet"): ("cloudformation:CreateChangeSet", "cloudformation:TagResource"),
    ("cloudformation", "DetectStackDrift"): (
        "cloudformation:BatchDescribeTypeConfigurations",
        "cloudformation:DetectStackDrift",
        "cloudformation:DetectStackResourceDrift",
    ),
    ("athena", "StartQueryExecution"): ("athena:StartQueryExecution", *ATHENA_ACTIONS),
    ("athena", "GetQueryResults"): ("athena:GetQueryResults", "s3:GetObject", "kms:Decrypt"),
}

_ACTING = {("cloudformation", name) for name in ("ExecuteChangeSet", "DeleteStack", "RollbackStack")}
_LOOKING = {("cloudformation", "DetectStackDrift")}


def load_calls(role: Role) -> Calls:
    """Return the calls that a role makes, including those of the roles before it."""
    text = resources.files("deployer.security").joinpath(CALLS_FILE).read_text(encoding="utf-8")
    by_role: Mapping[str, Mapping[str, list[str]]] = json.loads(text)
    included = list(Role)[: list(Role).index(role) + 1]
    return frozenset((service, name) for r in included for service, names in by_role[r].items() for name in names)


def own_actions(role: Role) -> frozenset[str]:
    """Return the actions that dataops itself takes in a role."""
    return frozenset(action for _, action in _own(load_calls(role)))


def policy(project: Project, environment: Environment, templates: Iterable[Template], role: Role) -> dict[str, Any]:
    """Return the policy document of a role in an environment.

    Raise ConfigError for a resource type without a list, and when the roles' boundary is not known.
    """
    places = Places(project, environment)
    calls = load_calls(role)
    creates = calls & _ACTING != set()
    wanted = {
        (action, places.own(action, service=service, may_create_first=creates)) for service, action in _own(calls)
    }
    own = {(action, scope) for action, scope in wanted if scope.resources}
    through = {
        (action, scope)
        for action in _through_cloudformation(calls, templates)
        for scope in places.through_cloudformation(action)
    }
    return _document([*_statements("Dataops", own), *_statements("CloudFormation", through)])


def _own(calls: Calls) -> set[tuple[str, str]]:
    """Return the actions of calls, each with the service that is called, through which a key is used."""
    return {(call[0], action) for call in calls for action in _ACTIONS_OF.get(call, (f"{call[0]}:{call[1]}",))}


def managed_policies(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the same permissions as documents that each fit into a managed policy, by file name."""
    parts: list[list[Any]] = [[]]
    for statement in document["Statement"]:
        if len(_compact([*parts[-1], statement])) > MANAGED_POLICY_CHARACTERS:
            parts.append([])
        parts[-1].append(statement)
    return {f"policy-{number}.json": _document(part) for number, part in enumerate(parts, start=1)}


def _document(statements: Iterable[Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _compact(statements: Iterable[Any]) -> str:
    """Return the policy without white space, as IAM counts its size."""
    return json.dumps(_document(statements), separators=(",", ":"))


def _through_cloudformation(calls: Calls, templates: Iterable[Template]) -> set[str]:
    types = {(resource.type, template.file) for template in templates for resource in template.resources.values()}
    for type_, file in sorted(types):
        if type_ not in ACTIONS:
            hint = "add it to deployer/security/resource_actions.py"
            raise ConfigError(f"it is not declared what CloudFormation calls for {type_}", where=file, hint=hint)
    actions = {action for type_, _ in types for action in ACTIONS[type_]}
    if calls & _ACTING:
        return actions
    return {action for action in actions if is_reading(action)} if calls & _LOOKING else set()


def _statements(title: str, allowed: Iterable[tuple[str, Scope]]) -> Iterator[dict[str, Any]]:
    """Yield one statement for all actions that are allowed on the same resources."""
    by_scope: dict[Scope, list[str]] = defaultdict(list)
    for action, scope in allowed:
        by_scope[scope].append(action)
    ordered = sorted((sorted(actions), scope.resources, scope.conditions) for scope, actions in by_scope.items())
    for number, (actions, places, conditions) in enumerate(ordered, start=1):
        statement: dict[str, Any] = {"Sid": f"{title}{number}", "Effect": "Allow", "Action": actions}
        statement["Resource"] = _shortest(places)
        if conditions:
            statement["Condition"] = _condition(conditions)
        yield statement


def _condition(conditions: Iterable[Condition]) -> dict[str, dict[str, Any]]:
    block: dict[str, dict[str, Any]] = defaultdict(dict)
    for operator, key, values in conditions:
        block[operator][key] = _shortest(values)
    return dict(block)


def _shortest(values: tuple[str, ...]) -> str | list[str]:
    return values[0] if len(values) == 1 else list(values)
