"""What CloudFormation refuses or shows about a template, and the emulator does not.

Undeclared parameters, references to nothing, cycles, missing capabilities and stacks that cannot be updated are
refused; NoEcho values are masked in change sets; changes of outputs and flipped conditions are changes. This module
does not validate templates; `dataops validate` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, require

Template = Mapping[str, Any]
#: In these statuses a stack can only be deleted, or must first end its rollback.
NOT_UPDATABLE = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED")
MASK = "****"
#: Create-only properties of our types that the emulator would change in place or show as "Conditional".
CREATE_ONLY = {
    "AWS::S3::Bucket": ("BucketName", "BucketNamePrefix", "BucketNamespace", "ObjectLockEnabled"),
    # https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-glue-table.html
    "AWS::Glue::Table": ("CatalogId", "DatabaseName", "Name"),
    "AWS::Kinesis::Stream": ("Name",),
    "AWS::Logs::LogGroup": ("LogGroupName",),
}


def install(cloud: LocalCloud) -> None:
    """Wrap the emulator's own rules."""
    engine = load("services.cloudformation.engine")
    changesets = load("services.cloudformation.changesets")
    handlers = load("services.cloudformation.handlers")
    provisioners = load("services.cloudformation.provisioners")
    require(handlers, "_capabilities_enforced", ())
    handlers._capabilities_enforced = lambda: True  # type: ignore[attr-defined]
    replacing = require(provisioners, "_REPLACING_PROPERTIES")
    for name, properties in CREATE_ONLY.items():
        replacing[name] = tuple(dict.fromkeys((*replacing.get(name, ()), *properties)))
    _wrap_parameters(engine, changesets, handlers)
    _wrap_support(engine, changesets, handlers)
    _wrap_diff(engine, changesets)
    _wrap_change_sets(changesets, handlers)


def undeclared(template: Template, given: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of parameters that are given but not declared."""
    declared = template.get("Parameters") or {}
    return sorted(entry["Key"] for entry in given if entry.get("Key") not in declared)


def _wrap_parameters(engine: Any, *users: Any) -> None:
    original = require(engine, "_resolve_parameters", ("template", "provided_params", "previous_params"))

    def resolve(
        template: dict[str, Any], provided_params: list[dict[str, Any]], previous_params: dict[str, Any] | None = None
    ) -> Any:
        if names := undeclared(template, provided_params):
            raise ValueError(f"Parameters: [{', '.join(names)}] do not exist in the template")
        return original(template, provided_params, previous_params)

    for user in users:
        require(user, "_resolve_parameters")
        user._resolve_parameters = resolve


def _wrap_support(engine: Any, *users: Any) -> None:
    original = require(engine, "validate_template_support", ("template", "conditions", "params"))
    references = require(engine, "_intrinsic_references", ("value",))
    sort = require(engine, "_topological_sort", ("resources", "conditions"))

    def validate(template: dict[str, Any], conditions: dict[str, Any], params: Any = None) -> None:
        original(template, conditions, params=params)
        if problem := unresolved(template, references):
            raise ValueError(problem)
        sort(template.get("Resources") or {}, conditions)

    for user in users:
        require(user, "validate_template_support")
        user.validate_template_support = validate


def unresolved(template: Template, references: Callable[[Any], Iterator[tuple[str, Any]]]) -> str | None:
    """Return CloudFormation's message for the first block that refers to something missing, or None."""
    resources = template.get("Resources") or {}
    known = {*resources, *(template.get("Parameters") or {})}
    for block in ("Resources", "Outputs"):
        names = {name for name, _ in references(template.get(block) or {}) if not name.startswith("AWS::")}
        if block == "Resources":
            names |= {name for resource in resources.values() for name in _listed(resource.get("DependsOn"))}
        if missing := sorted(names - known):
            return f"Template format error: Unresolved resource dependencies [{', '.join(missing)}] in the {block} block of the template"
        conditions = template.get("Conditions") or {}
        for entry in (template.get(block) or {}).values():
            name = entry.get("Condition") if isinstance(entry, dict) else None
            if isinstance(name, str) and name not in conditions:
                return f"Template format error: Unresolved condition dependency {name} in the {block} block of the template"
    return None


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or [])


def _wrap_diff(engine: Any, changesets: Any) -> None:
    """Leave out resources whose condition is false, so that flipping the condition adds or removes them."""
    original = require(changesets, "_resolve_props_for_diff", ("template", "params", "stack_name", "stack_id"))
    evaluate = require(engine, "_evaluate_conditions", ("template", "params"))

    def resolve(template: dict[str, Any], params: dict[str, Any], stack_name: str, stack_id: str) -> Any:
        resolved = original(template, params, stack_name, stack_id)
        if not resolved:
            return resolved
        conditions = evaluate(template, params)
        there = {
            name: resource
            for name, resource in resolved["Resources"].items()
            if conditions.get(resource.get("Condition"), True)
        }
        return {"Resources": there}

    changesets._resolve_props_for_diff = resolve


def _wrap_change_sets(changesets: Any, handlers: Any) -> None:
    create = require(changesets, "_create_change_set", ("params",))
    execute = require(changesets, "_execute_change_set", ("params",))
    find = require(changesets, "_find_change_set", ("cs_name", "stack_name"))
    state = load("services.cloudformation")
    actions = require(handlers, "_ACTION_HANDLERS")

    def checked_create(params: dict[str, Any]) -> Any:
        stack = handlers._resolve_stack(changesets._p(params, "StackName"))
        if stack is not None and not_updatable(stack["StackStatus"]):
            message = f"Stack:{stack['StackId']} is in {stack['StackStatus']} state and can not be updated."
            return changesets._error("ValidationError", message)
        before = set(state._change_sets.keys())
        response = create(params)
        for key in set(state._change_sets.keys()) - before:
            complete(state._change_sets[key], state._stacks.get(state._change_sets[key]["StackName"]) or {})
        return response

    def checked_execute(params: dict[str, Any]) -> Any:
        _, change_set = find(changesets._p(params, "ChangeSetName"), changesets._p(params, "StackName"))
        stack = state._stacks.get(change_set["StackName"]) if change_set else None
        if stack is not None and stack["StackStatus"] != "REVIEW_IN_PROGRESS" and not_updatable(stack["StackStatus"]):
            message = f"ChangeSet [{change_set['ChangeSetId']}] cannot be executed in its current stack status of [{stack['StackStatus']}]"
            return changesets._error("InvalidChangeSetStatus", message)
        return execute(params)

    actions["CreateChangeSet"], actions["ExecuteChangeSet"] = checked_create, checked_execute


def not_updatable(status: str) -> bool:
    """Return whether CloudFormation refuses an update of a stack in this status."""
    return status in NOT_UPDATABLE or (status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS")


def complete(change_set: dict[str, Any], stack: Mapping[str, Any]) -> None:
    """Mask secrets, and recognize changes of outputs, which the emulator takes for no change."""
    values = change_set["_resolved_params"]
    for parameter in change_set["Parameters"]:
        if values[parameter["ParameterKey"]].get("NoEcho"):
            parameter["ParameterValue"] = MASK
    nothing = change_set["Status"] == "FAILED" and "didn't contain changes" in change_set["StatusReason"]
    if nothing and change_set["ChangeSetType"] == "UPDATE" and outputs_differ(change_set, stack):
        change_set.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")


def outputs_differ(change_set: Mapping[str, Any], stack: Mapping[str, Any]) -> bool:
    """Return whether executing would change an output: its text, or a parameter that it shows."""
    old, new = (holder.get("_template", {}).get("Outputs") or {} for holder in (stack, change_set))
    if old != new:
        return True
    before, after = stack.get("_resolved_params") or {}, change_set["_resolved_params"]
    changed = {name for name in after if after[name].get("Value") != (before.get(name) or {}).get("Value")}
    references = require(load("services.cloudformation.engine"), "_intrinsic_references", ("value",))
    return any(name in changed for name, _ in references(new))
