"""Converts CloudFormation's answers, as botocore parses them, into the values of port.py. Absent members become empty.
Which calls are made is aws.py's business.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from deployer.cloudformation.port import ChangeSet, Drift, OperationError, StackEvent, StackState

STACK_OPERATIONS = frozenset({"CREATE_STACK", "UPDATE_STACK", "DELETE_STACK", "CONTINUE_ROLLBACK", "ROLLBACK"})


def text(when: Any) -> str:
    return when.astimezone(dt.UTC).isoformat() if isinstance(when, dt.datetime) else str(when or "")


def stack_state(found: Mapping[str, Any]) -> StackState:
    detected = found.get("DriftInformation") or {}
    return StackState(
        name=found["StackName"],
        stack_id=found.get("StackId", ""),
        status=found["StackStatus"],
        reason=found.get("StackStatusReason", ""),
        last_updated=text(found.get("LastUpdatedTime") or found.get("CreationTime")),
        outputs={o["OutputKey"]: o.get("OutputValue", "") for o in found.get("Outputs", ())},
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in found.get("Parameters", ())},
        tags={t["Key"]: t.get("Value", "") for t in found.get("Tags", ())},
        is_protected=bool(found.get("EnableTerminationProtection", False)),
        drift=detected.get("StackDriftStatus", ""),
        drift_checked=text(detected.get("LastCheckTimestamp")),
        operations=tuple(
            operation["OperationId"]
            for operation in found.get("LastOperations", ())
            if operation.get("OperationType") in STACK_OPERATIONS and operation.get("OperationId")
        ),
    )


def stack_event(event: Mapping[str, Any]) -> StackEvent:
    return StackEvent(
        event_id=event["EventId"],
        logical_id=event.get("LogicalResourceId", ""),
        resource_type=event.get("ResourceType", ""),
        status=event.get("ResourceStatus", ""),
        reason=event.get("ResourceStatusReason", ""),
        physical_id=event.get("PhysicalResourceId", ""),
        timestamp=text(event.get("Timestamp")),
        token=event.get("ClientRequestToken", ""),
    )


def drift(item: Mapping[str, Any]) -> Drift:
    return Drift(
        logical_id=item["LogicalResourceId"],
        resource_type=item.get("ResourceType", ""),
        status=item["StackResourceDriftStatus"],
        differences=tuple(
            (d.get("PropertyPath", ""), d.get("ExpectedValue", ""), d.get("ActualValue", ""))
            for d in item.get("PropertyDifferences", ())
        ),
    )


def change_set(change_set_id: str, pages: Sequence[Mapping[str, Any]]) -> ChangeSet:
    """Merge the pages of a change set."""
    last, changes = pages[-1], [change for page in pages for change in page.get("Changes", ())]
    return ChangeSet(
        change_set_id=last.get("ChangeSetId", change_set_id),
        stack_id=last.get("StackId", ""),
        status=last["Status"],
        reason=last.get("StatusReason", ""),
        execution_status=last.get("ExecutionStatus", ""),
        changes=tuple(change["ResourceChange"] for change in changes if "ResourceChange" in change),
        drift_status=last.get("StackDriftStatus", ""),
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in last.get("Parameters", ())},
    )


def operation_error(event: Mapping[str, Any]) -> OperationError | None:
    """Return the failure that an event of an operation reports; None if it reports none, or has no reason."""
    match event.get("EventType"):
        case "VALIDATION_ERROR" if event.get("ValidationStatus") == "SKIPPED":
            return None  # nothing was found, because nothing was checked
        case "VALIDATION_ERROR":
            reason, check = event.get("ValidationStatusReason"), event.get("ValidationName", "")
            mode = event.get("ValidationFailureMode")
        case "HOOK_INVOCATION_ERROR":
            reason, check = event.get("HookStatusReason"), event.get("HookType", "")
            mode = event.get("HookFailureMode")
        case "PROVISIONING_ERROR" | "STACK_EVENT" if str(event.get("ResourceStatus", "")).endswith("_FAILED"):
            reason, check, mode = event.get("ResourceStatusReason"), "", "FAIL"
        case _:
            return None
    if not reason:
        return None
    return OperationError(
        operation=event.get("OperationId", ""),
        logical_id=event.get("LogicalResourceId", ""),
        resource_type=event.get("ResourceType", ""),
        reason=reason,
        path=event.get("ValidationPath", ""),
        check=check,
        is_warning=mode == "WARN",
        timestamp=text(event.get("Timestamp") or event.get("EndTime") or event.get("StartTime")),
    )
