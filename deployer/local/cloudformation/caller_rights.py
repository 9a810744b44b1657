"""CloudFormation acts on behalf of its caller: what the caller may not do to a resource fails the stack, as on AWS.

Judged are the calls that make, change and delete a resource, PassRole, and the tags that a key is made with; the
reads of AWS's handlers are not. A stack has no service role here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deployer.local.cloudformation.resource_calls import KINDS, Kind
from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights import judging
from deployer.local.rights.entails import PASSED_TO, passed_roles
from deployer.local.rights.judging import Check

Properties = Mapping[str, Any]


#: What CloudFormation gives no resource to: a new key has no ARN yet.
_WITHOUT_RESOURCE = {"kms:CreateKey"}


def install(cloud: LocalCloud) -> None:
    """Ask before a resource is made, changed or deleted."""
    stacks = load("services.cloudformation.stacks")
    create = require(stacks, "_provision_resource", ("resource_type", "logical_id", "props", "stack_name"))
    update = require(stacks, "_update_resource")
    delete = require(stacks, "_delete_resource", ("resource_type", "physical_id", "props", "stack_name", "logical_id"))

    def provision_resource(resource_type: str, logical_id: str, props: Properties, stack_name: str) -> Any:
        _require(checks(resource_type, f"{stack_name}-{logical_id}-new", {}, props, is_new=True))
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
            _require(checks(resource_type, physical_id, old_props, new_props, is_new=False))
        return update(resource_type, physical_id, old_props, new_props, stack_name, logical_id, old_attrs)

    def delete_resource(
        resource_type: str,
        physical_id: str,
        props: Properties,
        stack_name: str | None = None,
        logical_id: str | None = None,
    ) -> Any:
        if (kind := KINDS.get(resource_type)) is not None:
            places = [arn for template in kind.with_deletes for arn in _arns(kind, physical_id, props, template)]
            _require(Check(kind.deletes, arn) for arn in (*_arns(kind, physical_id, props), *places) if kind.deletes)
        return delete(resource_type, physical_id, props, stack_name, logical_id)

    replace(stacks, "_provision_resource", provision_resource)
    replace(stacks, "_update_resource", update_resource)
    replace(stacks, "_delete_resource", delete_resource)


def checks(type_: str, physical_id: str, old: Properties, new: Properties, *, is_new: bool) -> Iterator[Check]:
    """Yield the permissions that the caller needs so that a resource becomes `new`."""
    kind = KINDS.get(type_)
    if kind is None:
        return
    arn, *others = _arns(kind, physical_id, new)
    tags = _tags(new)
    for action in (kind.creates if is_new else kind.changes).split():
        context = {**tags, "iam:permissionsboundary": new.get("PermissionsBoundary")}
        for place in ("*",) if action in _WITHOUT_RESOURCE else (arn, *others):
            yield Check(action, place, context)
    for name, action in (kind.settings or {}).items():
        if new.get(name) and new.get(name) != old.get(name):
            yield Check(action, arn, tags)
    encryption = new.get("StreamEncryption")
    if encryption and encryption != old.get("StreamEncryption"):  # evaluated on the stream, as above, and on the key
        yield Check("kinesis:StartStreamEncryption", _key_arn(encryption.get("KeyId", "")))
    if type_ == "AWS::IAM::Role":
        for policy in set(new.get("ManagedPolicyArns") or ()) - set(old.get("ManagedPolicyArns") or ()):
            boundary = {"iam:permissionsboundary": new.get("PermissionsBoundary")}
            yield Check("iam:AttachRolePolicy", arn, {"iam:policyarn": policy, **boundary})
    service = kind.creates.partition(":")[0]
    if service in PASSED_TO:
        yield from passed_roles(new, load("core.responses").get_account_id(), PASSED_TO[service])


def _arns(kind: Kind, physical_id: str, props: Properties, *templates: str) -> list[str]:
    """Return the ARNs on which a resource's calls are evaluated, its own first; or those of other templates for its name."""
    responses = load("core.responses")
    described = props.get("DatabaseInput") or props.get("TableInput") or {}
    name = str((props.get(kind.named) if kind.named else described.get("Name")) or physical_id)
    if name.startswith("arn:") and not templates:
        return [name]
    name = name.lower() if kind.arn.startswith("s3:") else name.rpartition("/")[2] if "sqs:" in kind.arn else name
    places = {
        "region": responses.get_region(),
        "account": responses.get_account_id(),
        "database": props.get("DatabaseName", ""),
        "name": name,
    }
    return ["arn:aws:" + template.format(**places) for template in templates or (kind.arn, *kind.also)]


def _key_arn(key: str) -> str:
    found = load("services.kms")._resolve_key(key)
    return str(found["Arn"]) if found else key


def _tags(props: Properties) -> dict[str, Any]:
    given = props.get("Tags") or []
    pairs = given.items() if isinstance(given, Mapping) else [(tag["Key"], tag["Value"]) for tag in given]
    named = {name: str(value) for name, value in pairs}
    return {
        **{f"aws:requesttag/{name}".lower(): value for name, value in named.items()},
        # A resource that is being created is evaluated with the tags that it is created with.
        **{f"aws:resourcetag/{name}".lower(): value for name, value in named.items()},
        "aws:tagkeys": list(named) or None,
    }


def _require(asked: Iterator[Check]) -> None:
    """Raise `Denied` unless the stack's caller may do all this through CloudFormation."""
    through = {"aws:calledvia": ["cloudformation.amazonaws.com"], "aws:viaawsservice": "true"}
    for check in asked:
        judging.require(judging.caller(), Check(check.action, check.resource, {**check.context, **through}))
