"""CloudFormation acts for its caller: if the caller lacks a permission on a resource, the stack fails, as on AWS.

Every call of AWS's handlers that creates, reads, changes or deletes a resource is evaluated, with the resource's tags, and
so is PassRole. A stack has no service role here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace as changed
from typing import Any

from deployer.local.cloudformation.resource_calls import ANYWHERE, ELSEWHERE, KINDS, Kind
from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights import judging
from deployer.local.rights.entails import PASSED_TO, passed_roles
from deployer.local.rights.judging import Access

Properties = Mapping[str, Any]
#: Properties that attach policies to roles; each policy is evaluated with its own ARN.
_ATTACHED = ("ManagedPolicyArns", "Roles")


def install(cloud: LocalCloud) -> None:
    """Check the caller's permissions before a resource is created, changed or deleted."""
    stacks = load("services.cloudformation.stacks")
    create = require(stacks, "_provision_resource", ("resource_type", "logical_id", "props", "stack_name"))
    update = require(stacks, "_update_resource")
    delete = require(stacks, "_delete_resource", ("resource_type", "physical_id", "props", "stack_name", "logical_id"))

    def provision_resource(resource_type: str, logical_id: str, props: Properties, stack_name: str) -> Any:
        _require(accesses(resource_type, f"{stack_name}-{logical_id}-new", {}, props, is_new=True))
        return create(resource_type, logical_id, props, stack_name)

    def update_resource(
        resource_type: str,
        physical_id: str,
        old_props: Properties,
        new_props: Properties,
        stack_name: str,
        logical_id: str | None = None,
        old_attrs: Any = None,
    ) -> Any:
        if old_props != new_props:
            _require(accesses(resource_type, physical_id, old_props, new_props, is_new=False))
        return update(resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs)

    def delete_resource(
        resource_type: str,
        physical_id: str,
        props: Properties,
        stack_name: str | None = None,
        logical_id: str | None = None,
    ) -> Any:
        _require(accesses_of_deletion(resource_type, physical_id, props))
        return delete(resource_type, physical_id, props, stack_name, logical_id)

    replace(stacks, "_provision_resource", provision_resource)
    replace(stacks, "_update_resource", update_resource)
    replace(stacks, "_delete_resource", delete_resource)


def accesses(type_: str, physical_id: str, old: Properties, new: Properties, *, is_new: bool) -> Iterator[Access]:
    """Yield the permissions that the caller needs so that a resource becomes `new`."""
    kind = KINDS.get(type_)
    if kind is None:
        return
    places = Places(kind, physical_id, {**old, **new})
    context = {**_tags(new), "iam:permissionsboundary": new.get("PermissionsBoundary")}
    for call in kind.named_in_full(kind.creates if is_new else kind.changes):
        yield from (Access(call, arn, context) for arn in places.of(call, made=is_new))
    for name, calls in {**kind.settings, **({} if is_new else kind.alters)}.items():
        if new.get(name) != old.get(name) and name not in _ATTACHED:
            for call in kind.named_in_full(_needed(calls, old.get(name), new.get(name))):
                yield from (Access(call, arn, context) for arn in places.of(call))
    yield from _attachments(kind, places, old, new)
    for call in kind.named_in_full(kind.reads):
        yield from (Access(call, arn, context) for arn in places.of(call))
    service = kind.arn.partition(":")[0]
    if service in PASSED_TO:
        for passed in passed_roles(new, places.account, PASSED_TO[service]):
            yield from (changed(passed, action=action) for action in kind.roles.split())


def accesses_of_deletion(type_: str, physical_id: str, props: Properties) -> Iterator[Access]:
    """Yield the permissions that the caller needs so that a resource is deleted."""
    kind = KINDS.get(type_)
    if kind is None:
        return
    places = Places(kind, physical_id, props)
    yield from _attachments(kind, places, props, {})
    for call in kind.named_in_full(f"{kind.deletes} {kind.reads}"):
        arns = places.of(call)
        further = places.filled(kind.with_deletes) if call in kind.named_in_full(kind.deletes) else []
        yield from (Access(call, arn) for arn in (*arns, *further))


def _needed(calls: str, old: Any, new: Any) -> str:
    """Return the calls that set a property or those that remove it; a new value needs both."""
    sets, _, takes_away = calls.partition("|")
    if not takes_away or not old:
        return sets
    return takes_away if not new else calls


def _attachments(kind: Kind, places: Places, old: Properties, new: Properties) -> Iterator[Access]:
    """Yield an access for each policy that is attached or detached, whichever of the two resources names the other."""
    boundary = {"iam:permissionsboundary": new.get("PermissionsBoundary")}
    for name in _ATTACHED:
        if name not in kind.settings:
            continue
        before, after = set(old.get(name) or ()), set(new.get(name) or ())
        for action, others in (("iam:AttachRolePolicy", after - before), ("iam:DetachRolePolicy", before - after)):
            for other in sorted(others):
                (own,) = places.of(action)
                policy, role = (other, own) if name == "ManagedPolicyArns" else (own, places.role(other))
                yield Access(action, role, {"iam:policyarn": policy, **boundary})


class Places:
    """The ARNs on which the calls for one resource are evaluated."""

    def __init__(self, kind: Kind, physical_id: str, props: Properties) -> None:
        responses = load("core.responses")
        self.account = str(responses.get_account_id())
        self._kind = kind
        described = props.get("DatabaseInput") or props.get("TableInput") or {}
        given = (props.get(kind.named) if kind.named else described.get("Name")) or physical_id
        self._names = [self._short(str(each)) for each in (given if isinstance(given, list) else [given])]
        self._known = {
            **{name: value for name, value in props.items() if isinstance(value, str)},
            "region": responses.get_region(),
            "account": self.account,
            "database": props.get("DatabaseName") or described.get("Name", ""),
            "key": _key_arn((props.get("StreamEncryption") or {}).get("KeyId") or props.get("TargetKeyId") or ""),
        }

    def of(self, call: str, *, made: bool = False) -> list[str]:
        """Return the ARNs on which a call is evaluated; each must be allowed."""
        if call in ANYWHERE:
            return ["*"]
        if call in ELSEWHERE:
            return self.filled(ELSEWHERE[call])
        if call.startswith("kms:") and not self._kind.arn.startswith("kms:"):
            return self.filled(("{key}",))
        return self.filled(((self._kind.made_at if made else "") or self._kind.arn, *self._kind.also))

    def filled(self, templates: tuple[str, ...]) -> list[str]:
        """Return the ARNs of these templates for this resource; a key that the resource does not have gives none."""
        found = [
            name if name.startswith("arn:") and "{name}" in template else template.format(**self._known, name=name)
            for template in templates
            for name in self._names
        ]
        return [each if each.startswith("arn:") else f"arn:aws:{each}" for each in found if each]

    def role(self, name: str) -> str:
        return f"arn:aws:iam::{self.account}:role/{name}"

    def _short(self, name: str) -> str:
        """Return a name as ARNs have it: a queue's from its URL, a provider's without the scheme, a bucket's in lower case."""
        if name.startswith("arn:"):
            return name
        if self._kind.arn.startswith("s3:"):
            return name.lower()
        name = name.removeprefix("https://")
        return name.rpartition("/")[2] if self._kind.arn.startswith("sqs:") else name


def _key_arn(key: str) -> str:
    found = load("services.kms")._resolve_key(key) if key else None
    return str(found["Arn"]) if found else key


def _tags(props: Properties) -> dict[str, Any]:
    given = props.get("Tags") or []
    pairs = given.items() if isinstance(given, Mapping) else [(tag["Key"], tag["Value"]) for tag in given]
    named = {name: str(value) for name, value in pairs}
    return {
        **{f"aws:requesttag/{name}".lower(): value for name, value in named.items()},
        # A new resource is evaluated with the tags that it is created with.
        **{f"aws:resourcetag/{name}".lower(): value for name, value in named.items()},
        "aws:tagkeys": list(named) or None,
    }


def _require(asked: Iterator[Access]) -> None:
    """Raise `Denied` unless the stack's caller may do all this through CloudFormation."""
    through = {"aws:calledvia": ["cloudformation.amazonaws.com"], "aws:viaawsservice": "true"}
    for access in asked:
        judging.require(judging.caller(), Access(access.action, access.resource, {**access.context, **through}))
