"""What happens to each resource, property by property: from a change set where there is one, from templates alone otherwise.
It says what; whether that is allowed is decided in guards.py, how it looks in plan_text.py.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.planning.render import KNOWN_AFTER_APPLY, MASK, RenderedResource


class Action(enum.Enum):
    """What a change set does to a resource (its words)."""

    ADD = "Add"
    MODIFY = "Modify"
    REMOVE = "Remove"
    IMPORT = "Import"
    DYNAMIC = "Dynamic"  # CloudFormation knows only when it gets there
    SYNC = "SyncWithActual"  # takes over the live value, changes nothing


class Replacement(enum.Enum):
    """Whether a modified resource is replaced."""

    NO = "False"
    YES = "True"
    MAYBE = "Conditional"


@dataclass(frozen=True)
class PropertyChange:
    """One property of a modified resource."""

    path: str  #: its place below the resource's properties
    before: str | None = None  #: the value before; null where it is absent or not known
    after: str | None = None  #: the value after; null where it is absent or not known
    recreation: str = "Never"  #: whether the resource is replaced for it: `Never`, `Conditionally` or `Always`
    cause: str = ""  #: what changes it, such as a parameter; empty if the template does
    is_drifted: bool = False  #: it was changed by hand
    deployed: str | None = None  #: of such a one, what the last deployment wrote
    live: str | None = None  #: of such a one, what is there


@dataclass(frozen=True)
class ResourceChange:
    """One resource of one stack."""

    action: Action  #: what happens to it, in CloudFormation's words
    logical_id: str  #: its name in the template
    type: str  #: the resource's type
    physical_id: str = ""  #: its name in the account; empty before it is created
    replacement: Replacement = Replacement.NO  #: whether it is replaced
    policy_action: str = ""  #: what becomes of the resource that is replaced or removed, in CloudFormation's words
    properties: tuple[PropertyChange, ...] = field(default=())  #: the properties that change
    deletion_policy: str = "Delete"  #: its DeletionPolicy in the template
    update_replace_policy: str = "Delete"  #: its UpdateReplacePolicy there
    drift: str = ""  #: how it has drifted, such as `MODIFIED` or `DELETED`, where the plan reverts drift

    @property
    def may_replace(self) -> bool:
        return self.action in (Action.MODIFY, Action.DYNAMIC) and self.replacement is not Replacement.NO

    @property
    def causes(self) -> tuple[str, ...]:
        """Properties that make it a replacement."""
        return tuple(p.path for p in self.properties if p.recreation != "Never")


Resources = Mapping[str, RenderedResource]


def from_change_set(
    raw: Iterable[Mapping[str, Any]], before: Resources, after: Resources, secrets: Iterable[str] = ()
) -> tuple[ResourceChange, ...]:
    """Return the changes of a change set in a stable order, with values from CloudFormation or, where it is silent, from the templates."""
    hide = tuple(secret for secret in secrets if secret)
    return _sorted(_one(change, before, after, hide) for change in raw)


def from_templates(before: Resources, after: Resources) -> tuple[ResourceChange, ...]:
    """Return the changes between two rendered templates; replacements cannot be known from them."""
    gone = [_named(Action.REMOVE, before[name]) for name in before.keys() - after.keys()]
    new = [_named(Action.ADD, after[name]) for name in after.keys() - before.keys()]
    both = [(before[name], after[name]) for name in before.keys() & after.keys()]
    modified = [
        ResourceChange(
            Action.MODIFY,
            new_.logical_id,
            new_.type,
            replacement=Replacement.MAYBE,
            properties=properties,
            deletion_policy=old.deletion_policy,
            update_replace_policy=old.update_replace_policy,
        )
        for old, new_ in both
        if (properties := _differences(old, new_))
    ]
    return _sorted([*gone, *new, *modified])


def _sorted(changes: Iterable[ResourceChange]) -> tuple[ResourceChange, ...]:
    return tuple(sorted(changes, key=lambda change: (change.logical_id, change.action.value)))


def _named(action: Action, resource: RenderedResource) -> ResourceChange:
    return ResourceChange(
        action,
        resource.logical_id,
        resource.type,
        deletion_policy=resource.deletion_policy,
        update_replace_policy=resource.update_replace_policy,
    )


def _differences(before: RenderedResource, after: RenderedResource) -> tuple[PropertyChange, ...]:
    old, new = before.flat(), after.flat()
    return tuple(
        PropertyChange(path, old.get(path), new.get(path))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    )


def _one(raw: Mapping[str, Any], before: Resources, after: Resources, hide: tuple[str, ...]) -> ResourceChange:
    logical_id = raw["LogicalResourceId"]
    old, new = before.get(logical_id), after.get(logical_id)
    known = old or new  # policies that hold for what exists now are the deployed template's
    return ResourceChange(
        action=Action(raw["Action"]),
        logical_id=logical_id,
        type=raw.get("ResourceType", ""),
        physical_id=raw.get("PhysicalResourceId", ""),
        replacement=Replacement(raw.get("Replacement", "False")),
        policy_action=raw.get("PolicyAction", ""),
        properties=_properties(raw, old, new, hide),
        deletion_policy=known.deletion_policy if known else "Delete",
        update_replace_policy=known.update_replace_policy if known else "Delete",
        drift=raw.get("ResourceDriftStatus", ""),
    )


def _properties(
    raw: Mapping[str, Any], old: RenderedResource | None, new: RenderedResource | None, hide: tuple[str, ...]
) -> tuple[PropertyChange, ...]:
    if raw["Action"] not in ("Modify", "Dynamic", "SyncWithActual"):
        return ()
    local = _differences(old, new) if old and new else ()
    found: dict[str, PropertyChange] = {}
    for detail in raw.get("Details", ()):
        for change in _of_detail(detail, local, hide):
            previous = found.get(change.path)
            if previous is None or previous.recreation == "Never":
                found[change.path] = change
    return tuple(found[path] for path in sorted(found))


def _of_detail(
    detail: Mapping[str, Any], local: tuple[PropertyChange, ...], hide: tuple[str, ...]
) -> list[PropertyChange]:
    target = detail.get("Target", {})
    name = target.get("Name", "")
    path = target.get("Path", "").removeprefix("/Properties/").replace("/", ".") or name or target.get("Attribute", "")
    common: dict[str, Any] = {
        "recreation": target.get("RequiresRecreation", "Never"),
        "cause": _cause(detail),
        **_drift(target.get("Drift"), hide),
    }
    if "BeforeValue" in target or "AfterValue" in target:
        before, after = (_shown(target.get(side), hide) for side in ("BeforeValue", "AfterValue"))
        return [PropertyChange(path, before, after, **common)]
    inside = [p for p in local if name and (p.path == name or p.path.startswith((f"{name}.", f"{name}[")))]
    if inside:
        return [PropertyChange(p.path, _shown(p.before, hide), _shown(p.after, hide), **common) for p in inside]
    unknown = KNOWN_AFTER_APPLY if detail.get("Evaluation") == "Dynamic" else None
    return [PropertyChange(path, None, unknown, **common)]


def _drift(drift: Mapping[str, Any] | None, hide: tuple[str, ...]) -> dict[str, Any]:
    """Return what a change set that reverts drift says about a property. It compares with the live value: `before` is live."""
    if drift is None:
        return {}
    deployed, live = (_shown(drift.get(side), hide) for side in ("PreviousValue", "ActualValue"))
    return {"is_drifted": True, "deployed": deployed, "live": live}


def _cause(detail: Mapping[str, Any]) -> str:
    match detail.get("ChangeSource"):
        case "ResourceReference" | "ResourceAttribute":
            return f"follows {detail.get('CausingEntity', 'another resource')}"
        case "ParameterReference":
            return f"parameter {detail.get('CausingEntity', '')}".strip()
        case "Automatic":
            return "nested stack"
        case _:
            return ""


def _shown(value: str | None, hide: tuple[str, ...]) -> str | None:
    """Return the value with secrets masked."""
    if value is None:
        return None
    if "{{changeSet:KNOWN_AFTER_APPLY}}" in value:
        return KNOWN_AFTER_APPLY
    for secret in hide:
        value = value.replace(secret, MASK)
    return value
