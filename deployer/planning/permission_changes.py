"""The IAM section of a plan: permission statements added and removed, with those that broaden access marked. Pure.
A statement is read from the rendered templates, so a role's permissions show before the role exists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

from deployer.planning.render import RenderedResource

# Where a type keeps its policy documents: property -> whom a statement without a principal speaks about.
_DOCUMENTS = {
    "AWS::IAM::Policy": ("PolicyDocument",),
    "AWS::IAM::ManagedPolicy": ("PolicyDocument",),
    "AWS::IAM::RolePolicy": ("PolicyDocument",),
    "AWS::S3::BucketPolicy": ("PolicyDocument",),
    "AWS::SNS::TopicPolicy": ("PolicyDocument",),
    "AWS::SQS::QueuePolicy": ("PolicyDocument",),
    "AWS::KMS::Key": ("KeyPolicy",),
    "AWS::SecretsManager::ResourcePolicy": ("ResourcePolicy",),
    "AWS::IAM::Role": ("AssumeRolePolicyDocument",),
}


@dataclass(frozen=True, order=True)
class Permission:
    """The smallest unit: one principal, one action, one resource, one condition."""

    owner: str  #: the resource that has the policy, by its name in the template
    effect: str  #: `Allow` or `Deny`
    principal: str  #: to whom
    action: str  #: what
    resource: str  #: on what
    condition: str = ""  #: under which condition; empty without one

    def covers(self, other: Permission) -> bool:
        """Return whether this one already says all that the other says."""
        return (
            self.owner == other.owner
            and self.effect == other.effect
            and self.condition in ("", other.condition)
            and fnmatchcase(other.principal, self.principal)
            and fnmatchcase(other.action.lower(), self.action.lower())
            and fnmatchcase(other.resource, self.resource)
        )


@dataclass(frozen=True, kw_only=True)
class PermissionDocument(Permission):
    """One permission that comes or goes, in JSON."""

    added: bool  #: false: it is removed
    broadening: bool  #: more is allowed with this change than without it


@dataclass(frozen=True, order=True)
class PermissionChange:
    """One permission that comes or goes."""

    permission: Permission
    is_added: bool
    is_broadening: bool

    def document(self) -> PermissionDocument:
        return PermissionDocument(**vars(self.permission), added=self.is_added, broadening=self.is_broadening)

    def __str__(self) -> str:
        p = self.permission
        condition = f" if {p.condition}" if p.condition else ""
        mark = "  BROADENS" if self.is_broadening else ""
        return f"{'+' if self.is_added else '-'} {p.owner}: {p.effect} {p.principal} {p.action} on {p.resource}{condition}{mark}"


def iam_changes(
    before: Mapping[str, RenderedResource], after: Mapping[str, RenderedResource]
) -> tuple[PermissionChange, ...]:
    """Return what changes between two rendered templates.

    Broadening: an added Allow that nothing before covered, or a removed Deny that nothing after covers.
    """
    old, new = frozenset(_all(before)), frozenset(_all(after))
    added = [PermissionChange(p, True, p.effect == "Allow" and not any(o.covers(p) for o in old)) for p in new - old]
    removed = [PermissionChange(p, False, p.effect == "Deny" and not any(n.covers(p) for n in new)) for p in old - new]
    return tuple(sorted(added + removed))


def _all(resources: Mapping[str, RenderedResource]) -> Iterator[Permission]:
    for resource in resources.values():
        for name in _DOCUMENTS.get(resource.type, ()):
            yield from _of_document(resource.logical_id, resource.properties.get(name))
        if resource.type in ("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group"):
            yield from _of_identity(resource)
        if resource.type == "AWS::Lambda::Permission":
            yield _of_lambda(resource)


def _of_identity(resource: RenderedResource) -> Iterator[Permission]:
    for policy in resource.properties.get("Policies", ()) or ():
        yield from _of_document(resource.logical_id, policy.get("PolicyDocument"))
    for arn in resource.properties.get("ManagedPolicyArns", ()) or ():
        yield Permission(resource.logical_id, "Allow", "it", "(managed policy)", _text(arn))


def _of_lambda(resource: RenderedResource) -> Permission:
    p = resource.properties
    source = _text(p.get("SourceArn", "")) or _text(p.get("SourceAccount", ""))
    return Permission(
        resource.logical_id,
        "Allow",
        _text(p.get("Principal", "*")),
        _text(p.get("Action", "*")),
        _text(p.get("FunctionName", "*")),
        f"source is {source}" if source else "",
    )


def _of_document(owner: str, document: Any) -> Iterator[Permission]:
    if not isinstance(document, Mapping):
        return
    for statement in _list(document.get("Statement")):
        if isinstance(statement, Mapping):
            yield from _of_statement(owner, statement)


def _of_statement(owner: str, statement: Mapping[str, Any]) -> Iterator[Permission]:
    effect = _text(statement.get("Effect", "Allow"))
    condition = json.dumps(statement["Condition"], sort_keys=True) if statement.get("Condition") else ""
    principals = _principals(statement)
    actions = [_text(a) for a in _list(statement.get("Action"))] or [
        f"not {_text(a)}" for a in _list(statement.get("NotAction"))
    ]
    resources = [_text(r) for r in _list(statement.get("Resource"))] or [
        f"not {_text(r)}" for r in _list(statement.get("NotResource"))
    ]
    for principal, action, resource in product(principals, actions or ["*"], resources or ["itself"]):
        yield Permission(owner, effect, principal, action, resource, condition)


def _principals(statement: Mapping[str, Any]) -> list[str]:
    match statement.get("Principal", statement.get("NotPrincipal")):
        case None:
            return ["it"]
        case Mapping() as kinds:
            return [f"{kind} {_text(who)}" for kind, whom in kinds.items() for who in _list(whom)]
        case who:
            return [_text(who)]


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
