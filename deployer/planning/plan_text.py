"""A plan as text: stack by stack, property old -> new, then what deserves a second look. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator

from deployer.planning.plan import Plan, Step, StepKind
from deployer.planning.resource_changes import Action, PropertyChange, Replacement, ResourceChange
from deployer.release.release import short

_MARKS = {
    Action.ADD: "+",
    Action.MODIFY: "~",
    Action.REMOVE: "-",
    Action.IMPORT: ">",
    Action.DYNAMIC: "?",
    Action.SYNC: "=",
}
_STEP_MARKS = {
    StepKind.NOTHING: " ",
    StepKind.CREATE: "+",
    StepKind.UPDATE: "~",
    StepKind.BLOCKED: "!",
    StepKind.RECREATE: "!",
}
_DRIFT = {"MODIFIED": "changed by hand", "DELETED": "deleted by hand"}  # the kinds of drift
_LONGEST_VALUE = 100
_SHOWN_BEFORE = 30  # of what two long values have in common


def plan_text(plan: Plan) -> str:
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    if plan.deployed_release != plan.release:
        yield f"environment {plan.environment}: release {short(plan.deployed_release)} -> {short(plan.release)}"
    else:
        yield f"environment {plan.environment}: release {short(plan.release)}"
    if plan.reverts_drift:
        yield "changes made by hand are reverted to the templates"
    for step in plan.steps:
        yield from _step(step)
    yield from _section(
        "IAM",
        [
            f"{s.stack}/{p}"
            for s in plan.steps
            for p in s.permissions
            if s.kind not in (StepKind.CREATE, StepKind.RECREATE)
        ]
        + list(_new_permissions(plan)),
    )
    yield from _section("DATA at risk (refused without --allow-replace LOGICAL_ID)", [str(risk) for risk in plan.risks])
    yield from _section("WARNINGS of CloudFormation's validation (they stop nothing)", list(plan.warnings))
    yield summary(plan)


def summary(plan: Plan) -> str:
    """Return one line with the numbers of stacks and resources."""
    if not plan.has_changes:
        return "no changes"
    changes = [change for step in plan.steps for change in step.changes]
    count = {action: sum(change.action is action for change in changes) for action in Action}
    replaced = {kind: sum(c.may_replace and c.replacement is kind for c in changes) for kind in Replacement}
    parts = [
        f"{sum(step.acts for step in plan.steps)} of {len(plan.steps)} stacks",
        f"{count[Action.ADD]} to add",
        f"{count[Action.MODIFY]} to change",
        f"{count[Action.REMOVE]} to remove",
    ]
    parts += [f"{replaced[Replacement.YES]} replaced"] * bool(replaced[Replacement.YES])
    parts += [f"{replaced[Replacement.MAYBE]} may be replaced"] * bool(replaced[Replacement.MAYBE])
    return "plan: " + ", ".join(parts)


def _section(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield f"{title}:"
        yield from (f"  {line}" for line in lines)


def _new_permissions(plan: Plan) -> Iterator[str]:
    """Yield the permissions of a new stack: only their number, unless a statement is open to everyone."""
    for step in plan.steps:
        if step.kind in (StepKind.CREATE, StepKind.RECREATE) and step.permissions:
            wide = [
                p
                for p in step.permissions
                if p.permission.effect == "Allow" and "*" in (p.permission.action, p.permission.resource)
            ]
            yield f"{step.stack}: {len(step.permissions)} permissions of a new stack"
            yield from (f"{step.stack}/{p}" for p in wide)


def _step(step: Step) -> Iterator[str]:
    note = f"  ({step.note})" if step.note else ""
    yield f"{_STEP_MARKS.get(step.kind, '!')} {step.stack}: {step.kind.value}{note}"
    if step.unknown:
        yield f"    known after apply: {', '.join(step.unknown)}"
    for change in step.changes:
        yield from _change(change)


def _change(change: ResourceChange) -> Iterator[str]:
    mark = {Replacement.YES: "-/+", Replacement.MAYBE: "-/+?"}.get(change.replacement, "") if change.may_replace else ""
    replaced = ""
    if change.may_replace:
        word = "REPLACED" if change.replacement is Replacement.YES else "may be REPLACED"
        replaced = f"  {word}" + (f" because of {', '.join(change.causes)}" if change.causes else "")
    policy = f"  ({change.policy_action})" if change.policy_action else ""
    policy += f"  [{_DRIFT[change.drift]}]" if change.drift in _DRIFT else ""
    yield f"    {mark or _MARKS[change.action]} {change.logical_id}  {change.type}{replaced}{policy}"
    for property_ in change.properties:
        yield f"        {_property(property_)}"


def _property(change: PropertyChange) -> str:
    cause = f"  ({change.cause})" if change.cause else ""
    drift = f"  (changed by hand: {_values(change.deployed, change.live)[0]} was deployed)" if change.is_drifted else ""
    if change.before is None and change.after is None:
        return f"{change.path}{drift}{cause or '  changes'}"
    before, after = _values(change.before, change.after)
    return f"{change.path}: {before} -> {after}{drift}{cause}"


def _values(before: str | None, after: str | None) -> tuple[str, str]:
    """Return both values on one line each; of long ones, the part that differs."""
    texts = ["(none)" if value is None else " ".join(value.split()) for value in (before, after)]
    same = len(os.path.commonprefix(texts))
    start = max(0, same - _SHOWN_BEFORE) if max(map(len, texts)) > _LONGEST_VALUE else 0
    was, is_ = (_cut(text, start) for text in texts)
    return was, is_


def _cut(text: str, start: int) -> str:
    shown = text[start : start + _LONGEST_VALUE]
    return ("..." if start else "") + shown + ("..." if start + _LONGEST_VALUE < len(text) else "")
