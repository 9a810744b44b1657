"""The plan as data: one frozen step per stack, shared by plan, deploy, promote and rollback.
Pure: facts come in from planner.py, execute.py acts on the steps, plan_text.py prints them.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deployer.cloudformation.port import StackState
from deployer.cloudformation.root_cause import Cause
from deployer.cloudformation.statuses import Handling, row_of
from deployer.documents import as_document
from deployer.errors import Refused
from deployer.ledger.store import canonical
from deployer.planning.data_guard import DataRisk
from deployer.planning.permission_changes import PermissionChange
from deployer.planning.resource_changes import ResourceChange

VERSION = 1


class StepKind(enum.Enum):
    """What happens to one stack."""

    NOTHING = "nothing to do"
    CREATE = "create"
    UPDATE = "update"
    ROLL_BACK = "roll back, then update"
    CONTINUE_ROLLBACK = "continue the rollback, then update"
    RECREATE = "delete and create again"
    WAIT = "wait for the operation in progress, then update"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Options:
    """What the operator allows, and wants besides."""

    recreate: frozenset[str] = frozenset()
    allow_replace: frozenset[str] = frozenset()
    revert_drift: bool = False


@dataclass(frozen=True)
class PlannedFrom:
    """The stack as the plan saw it."""

    stack_id: str  #: its ARN
    status: str  #: CloudFormation's status
    last_updated: str  #: when it last changed, in ISO 8601


@dataclass(frozen=True)
class StepDocument:
    """One stack of a plan, in JSON."""

    stack: str  #: its name in dataops.yml
    stack_name: str  #: its name in CloudFormation
    #: `nothing`, `create`, `update`, `roll_back`, `continue_rollback`, `recreate`, `wait` or `blocked`
    action: str
    parents: tuple[str, ...]  #: stacks whose outputs it takes
    base: PlannedFrom | None  #: the state that it was planned from; null if the stack does not exist
    digest: str | None  #: of template, parameters and tags; null while a parameter is known after apply only
    changes: tuple[ResourceChange, ...]  #: resources that change
    iam: tuple[PermissionChange, ...]  #: permissions that change
    data_risks: tuple[DataRisk, ...]  #: data-holding resources that would be replaced or removed
    warnings: tuple[Cause, ...]  #: the warnings of CloudFormation's validation, which stop nothing
    known_after_apply: tuple[str, ...]  #: parameters whose values come from stacks that do not exist yet
    note: str  #: a remark about the step


@dataclass(frozen=True)
class Step:
    """One stack of a plan. `digest` is None while a parameter is known after apply only."""

    stack: str
    stack_name: str
    kind: StepKind
    parents: tuple[str, ...] = ()
    base: PlannedFrom | None = None
    digest: str | None = None
    changes: tuple[ResourceChange, ...] = ()
    permissions: tuple[PermissionChange, ...] = ()
    risks: tuple[DataRisk, ...] = ()
    warnings: tuple[Cause, ...] = ()  # of CloudFormation's validation: they stop nothing
    unknown: tuple[str, ...] = ()
    unknown_outputs: tuple[str, ...] = ()
    note: str = ""

    @property
    def acts(self) -> bool:
        return self.kind is not StepKind.NOTHING

    def document(self) -> StepDocument:
        return StepDocument(
            stack=self.stack,
            stack_name=self.stack_name,
            action=self.kind.name.lower(),
            parents=self.parents,
            base=self.base,
            digest=self.digest,
            changes=self.changes,
            iam=self.permissions,
            data_risks=self.risks,
            warnings=self.warnings,
            known_after_apply=self.unknown,
            note=self.note,
        )


@dataclass(frozen=True)
class PlanDocument:
    """What a deployment would do, as it is printed and saved."""

    version: int  #: of the plan's format
    environment: str  #: the environment
    release: str  #: the release that would be deployed
    deployed_release: str | None  #: what is deployed now
    has_changes: bool  #: at least one stack would change
    reverts_drift: bool  #: the plan reverts changes that were made by hand
    steps: tuple[Step, ...]  #: one for each stack, in the order in which they may start


@dataclass(frozen=True)
class Plan:
    """All layers of one environment, in the order in which they may start."""

    environment: str
    release: str
    deployed_release: str | None
    steps: tuple[Step, ...]
    reverts_drift: bool = False

    @property
    def has_changes(self) -> bool:
        return any(step.acts for step in self.steps)

    @property
    def risks(self) -> tuple[DataRisk, ...]:
        return tuple(risk for step in self.steps for risk in step.risks)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What CloudFormation's validation warns of, stack by stack."""
        return tuple(f"{step.stack}/{warning}" for step in self.steps for warning in step.warnings)

    @property
    def blocked(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.kind is StepKind.BLOCKED)

    def step(self, stack: str) -> Step:
        return next(step for step in self.steps if step.stack == stack)

    def document(self) -> PlanDocument:
        return PlanDocument(
            version=VERSION,
            environment=self.environment,
            release=self.release,
            deployed_release=self.deployed_release,
            has_changes=self.has_changes,
            reverts_drift=self.reverts_drift,
            steps=self.steps,
        )

    @property
    def digest(self) -> str:
        return hashlib.sha256(canonical(as_document(self))).hexdigest()


def planned_from(state: StackState | None) -> PlannedFrom | None:
    return PlannedFrom(state.stack_id, state.status, state.last_updated) if state else None


def kind_of(state: StackState | None, *, may_recreate: bool) -> tuple[StepKind, str]:
    """Return the step for a stack's status, with a note for the operator. NOTHING is found later, by its changes."""
    row = row_of(state.status if state else None)
    status = f"{state.status}: {row.meaning}" if state else ""
    match row.handling:
        case Handling.CREATE:
            return StepKind.CREATE, ""
        case Handling.UPDATE:
            return StepKind.UPDATE, ""
        case Handling.ROLL_BACK:
            return StepKind.ROLL_BACK, status
        case Handling.CONTINUE_ROLLBACK:
            return StepKind.CONTINUE_ROLLBACK, status
        case Handling.WAIT:
            return StepKind.WAIT, status
        case Handling.RECREATE if may_recreate:
            return StepKind.RECREATE, status
        case _:
            return StepKind.BLOCKED, f"{status}; {row.way_out}"


def staleness(planned: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """Return how a saved plan differs from one made now (both as documents); empty if it may be applied."""
    found = []
    if planned.get("version") != now["version"]:
        return ("it was written by a different version of dataops",)
    if planned["environment"] != now["environment"]:
        found.append(f"it was made for environment {planned['environment']}")
    if planned.get("reverts_drift", False) != now["reverts_drift"]:
        found.append(f"it was made {'without' if now['reverts_drift'] else 'with'} --revert-drift")
    if planned["release"] != now["release"]:
        found.append(f"the release is {now['release'][:12]}, the plan was made for {planned['release'][:12]}")
    if planned["deployed_release"] != now["deployed_release"]:
        is_, was = (str(document["deployed_release"])[:12] for document in (now, planned))
        found.append(f"release {is_} is deployed now, before it was {was}")
    before, after = ({step["stack"]: step for step in document["steps"]} for document in (planned, now))
    found += [f"stack {name} is new" for name in after if name not in before]
    found += [f"stack {name} is gone from dataops.yml" for name in before if name not in after]
    found += [why for name in before if name in after and (why := _stale_step(before[name], after[name]))]
    return tuple(found)


def _stale_step(planned: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    name = planned["stack"]
    if planned["base"] != now["base"]:
        was, is_ = (
            f"{b['status']} since {b['last_updated']}" if b else "not there" for b in (planned["base"], now["base"])
        )
        return f"stack {name} was {was}, it is {is_}"
    if planned["digest"] != now["digest"]:
        return f"the template, parameters or tags of stack {name} have changed"
    warned = planned.get("warnings", ())
    if new := [warning["reason"] for warning in now["warnings"] if warning not in warned]:
        return f"CloudFormation now warns about stack {name}: {'; '.join(new)}"
    if {**planned, "warnings": None} != {**now, "warnings": None}:  # a warning that is gone changes nothing
        return f"CloudFormation would now change stack {name} differently (a change by hand, or a value that it reads)"
    return ""


def require_allowed(plan: Plan, saved_plan: Mapping[str, Any] | None) -> None:
    """Raise Refused for a plan that is not the saved one any more, is blocked, or would lose data. Nothing was changed yet."""
    if saved_plan is not None and (why := staleness(saved_plan, as_document(plan))):
        raise Refused("the plan is stale: " + "; ".join(why), hint="make a new plan with dataops plan --out FILE")
    if plan.blocked:
        step = plan.blocked[0]
        raise Refused(f"stack {step.stack} cannot be deployed: {step.note}")
    if plan.risks:
        allow = " ".join(f"--allow-replace {risk.logical_id}" for risk in plan.risks)
        raise Refused("; ".join(map(str, plan.risks)), hint=f"if this is intended, use {allow}")
