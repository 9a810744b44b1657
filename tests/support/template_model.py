"""The templates as the tests see them: every resource with its intrinsics filled in from sample values.

Also a small evaluator of IAM policies (policy_allows): the operators that our policies use, with IAM's rules for absent
keys. It knows no more of CloudFormation and IAM than these templates need, and raises for anything else.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from repository import ROOT

from deployer.project.templates import Template, load_template

TEMPLATES: dict[str, Template] = {path.stem: load_template(path) for path in sorted(ROOT.glob("templates/*.yaml"))}

ACCOUNT = "111111111111"
PARTNER = "999999999999"
THIRD_PARTY = "888888888888"
OTHER_ACCOUNT = "222222222222"
LONGEST_ENVIRONMENT = "e" * 16

SAMPLES: dict[str, str] = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": "ap-southeast-2",
    "AWS::URLSuffix": "amazonaws.com",
    "EnvironmentName": LONGEST_ENVIRONMENT,
    "PartnerAccountId": PARTNER,
    "PartnerExternalId": "agreed-with-partner",
    "ThirdPartyAccountId": THIRD_PARTY,
    "ReplicaAccountId": OTHER_ACCOUNT,
    "ReplicaBucketName": "replica-bucket",
    "ReplicaKeyId": "replica",
    "ReplicaSourceAccountId": OTHER_ACCOUNT,
    "ThirdPartyExternalId": "given-by-the-tool",
    "OrganizationId": "o-a1b2c3d4e5",
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "ArtifactsBucketName": "artifacts-bucket",
    "RawBucketName": "raw-bucket",
    "BaseBucketName": "base-bucket",
    "ResultsBucketName": "results-bucket",
    "ArtifactsKeyArn": f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/artifacts",
    "DataKeyArn": f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/data",
    "LogsKeyArn": f"arn:aws:kms:ap-southeast-2:{ACCOUNT}:key/logs",
    "BaseDatabaseName": "base_database",
    "SmokeDatabaseName": "smoke_database",
    "BasePrefix": "base/",
    "SmokePrefix": "smoke/",
    "JobScriptKey": "artifacts/0123/base_tables.py",
    "JobLibraryKey": "artifacts/4567/refunds_lake.zip",
    "RefundsSql": "select 1",
    "MonthlyRefundsSql": "select ?",
    "ValidationCodeKey": "artifacts/89ab/validate.zip",
    "StatementCodeKey": "artifacts/89ab/statement.zip",
    "NotifyCodeKey": "artifacts/cdef/notify.zip",
    "CrawledCodeKey": "artifacts/cdef/crawled.zip",
    "BaseTablesJobName": "stack-glue-base-tables",
    "AlertTopicArn": f"arn:aws:sns:ap-southeast-2:{ACCOUNT}:alerts",
    "AlertsWaitingAlarmArn": f"arn:aws:cloudwatch:ap-southeast-2:{ACCOUNT}:alarm:waiting",
    "CrawlsWaitingAlarmArn": f"arn:aws:cloudwatch:ap-southeast-2:{ACCOUNT}:alarm:crawls",
    "AlertEmail": "on-call@example.com",
    "RunbookUrl": "https://example.com/operations.md",
    "WorkGroupName": "stack-athena",
    "TransactionStreamName": "transactionstream-physical",
    "IngestApiCodeKey": "artifacts/cdef/ingest_api.zip",
}

Json = Any


@dataclass(frozen=True)
class Resource:
    """A resource of a template; its properties have sample values for all intrinsics."""

    template: str
    id: str
    type: str
    body: Mapping[str, Json]
    properties: Mapping[str, Json]

    def __str__(self) -> str:
        return f"{self.template}/{self.id}"


ABSENT = object()
REFERRED_TO_BY_ARN = {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}


class Filled:
    """One template's sample values: parameters, pseudo parameters, and resources by their logical ids.

    All conditions hold except those in `without`, and all resources and properties that depend on them are there.
    """

    def __init__(self, name: str, stack_name: str | None = None, *, without: Collection[str] = ()) -> None:
        self._name, self._without = name, frozenset(without)
        self._document = TEMPLATES[name].document
        defaults = {n: p.default for n, p in TEMPLATES[name].parameters.items() if p.default is not None}
        self._samples = {**defaults, **SAMPLES, "AWS::StackName": stack_name or f"stack-{name}"}

    def value(self, node: Json) -> Json:
        """The node without intrinsics."""
        match node:
            case {"Ref": "AWS::NoValue"}:
                return ABSENT
            case {"Ref": name}:
                return self._ref(name)
            case {"Fn::GetAtt": [logical_id, "Arn" | "KeyId" | "Id"]}:
                return self._arn(logical_id)
            case {"Fn::GetAtt": [logical_id, "QueueName" | "ServerId"]}:
                return self._ref(logical_id)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([^}]+)\}", lambda found: self._substitute(found[1]), text)
            case {"Fn::If": [condition, then, otherwise]} if condition in self._document.get("Conditions", {}):
                return self.value(otherwise if condition in self._without else then)
            case Mapping():
                unknown = [key for key in node if key.startswith("Fn::")]
                if unknown:
                    raise NotImplementedError(f"{self._name}: {unknown}")
                filled = {key: self.value(item) for key, item in node.items()}
                return {key: item for key, item in filled.items() if item is not ABSENT}
            case str() | int() | float() | None:
                return node
            case Sequence():
                return [item for item in map(self.value, node) if item is not ABSENT]
        raise NotImplementedError(f"{self._name}: {node!r}")

    def resources(self) -> Iterator[Resource]:
        for logical_id, body in self._document["Resources"].items():
            if body.get("Condition") in self._without:
                continue
            properties = self.value(body.get("Properties", {}))
            yield Resource(self._name, logical_id, body["Type"], body, properties)

    def outputs(self) -> dict[str, str]:
        return {name: self.value(output["Value"]) for name, output in self._document["Outputs"].items()}

    def _substitute(self, name: str) -> str:
        if name.endswith(".Arn"):
            return self._arn(name.removesuffix(".Arn"))
        return str(self._ref(name.removesuffix(".ServerId")))

    def _ref(self, name: str) -> str:
        if name in self._samples:
            return self._samples[name]
        resource = self._document["Resources"][name]
        if resource["Type"] in REFERRED_TO_BY_ARN:
            return self._arn(name)
        given = resource["Properties"].get("LogGroupName" if resource["Type"] == "AWS::Logs::LogGroup" else "Name")
        return str(self.value(given)) if given else f"{name.lower()}-physical"

    def _arn(self, logical_id: str) -> str:
        kind = self._document["Resources"][logical_id]["Type"]
        name = f"{logical_id.lower()}-physical" if kind in REFERRED_TO_BY_ARN else self._ref(logical_id)
        service = kind.split("::")[1].lower()
        place = ":::" if service == "s3" else f":ap-southeast-2:{ACCOUNT}:"
        within = {"kms": "key/", "kinesis": "stream/", "iam": "role/"}.get(service, "")
        return f"arn:aws:{service}{place}{within}{name}"


def all_resources(*types: str) -> list[Resource]:
    """Every resource of every template, or those of these types."""
    found = [resource for name in TEMPLATES for resource in Filled(name).resources()]
    return [resource for resource in found if not types or resource.type in types]


def one_resource(template: str, logical_id: str, *, without: Collection[str] = ()) -> Resource:
    """A resource by its id, as it is if the conditions in `without` do not hold."""
    return next(r for r in Filled(template, without=without).resources() if r.id == logical_id)


def as_list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def policy_documents(resource: Resource) -> Iterator[Mapping[str, Json]]:
    """Every policy document of a resource, the trust of a role included."""
    for name in ("PolicyDocument", "KeyPolicy", "AssumeRolePolicyDocument"):
        if name in resource.properties:
            yield resource.properties[name]
    for inline in resource.properties.get("Policies", []):
        yield inline["PolicyDocument"]


def statements(resource: Resource) -> list[Mapping[str, Json]]:
    return [statement for document in policy_documents(resource) for statement in document["Statement"]]


def role_rights(template: str, role: str) -> list[Mapping[str, Json]]:
    """The statements of the managed policies that a role lists or that name it, all of them in its template."""
    physical = {Filled(template).value({"Ref": r.id}): r for r in Filled(template).resources()}
    listed = [physical[arn] for arn in one_resource(template, role).properties.get("ManagedPolicyArns", ())]
    naming = [r for r in physical.values() if Filled(template).value({"Ref": role}) in r.properties.get("Roles", ())]
    return [statement for policy in (*listed, *naming) for statement in statements(policy)]


def policy_allows(
    policy: Sequence[Mapping[str, Json]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether IAM allows it: some statement allows it and none denies it. `context` has the request's condition keys.

    A key with several values has only one here, which is enough for ForAnyValue.
    """
    effects = {s["Effect"] for s in policy if _applies(s, action, resource, context or {})}
    return effects == {"Allow"}


def policy_denies(
    policy: Sequence[Mapping[str, Json]], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Whether a statement of the policy denies it."""
    return any(s["Effect"] == "Deny" and _applies(s, action, resource, context or {}) for s in policy)


def _applies(statement: Mapping[str, Json], action: str, resource: str, context: Mapping[str, str]) -> bool:
    return (
        any(fnmatch.fnmatchcase(action, pattern) for pattern in as_list(statement["Action"]))
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        and all(
            _holds(operator, key, [str(value) for value in as_list(values)], context)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    """Whether one condition holds. An absent key fails it, unless the operator is negated, says IfExists, or is Null."""
    present = key in context
    if operator.startswith("ForAnyValue:"):
        return present and _holds(operator.removeprefix("ForAnyValue:"), key, values, context)
    if operator == "Null":
        return values == ["false"] if present else values == ["true"]
    if operator.endswith("IfExists"):
        return not present or _holds(operator.removesuffix("IfExists"), key, values, context)
    if not present:
        return operator.startswith(("StringNot", "ArnNot"))
    actual = context[key]
    match operator:
        case "StringEquals" | "Bool":
            return actual in values
        case "StringNotEquals":
            return actual not in values
        case "StringLike" | "ArnLike" | "ArnEquals":  # IAM treats the last two alike
            return any(fnmatch.fnmatchcase(actual, value) for value in values)
        case "StringNotLike":
            return not any(fnmatch.fnmatchcase(actual, value) for value in values)
        case "NumericLessThan":
            return any(float(actual) < float(value) for value in values)
    raise NotImplementedError(operator)
