"""Makes the plan: asks CloudFormation about each existing stack, and reads new stacks from their templates alone.
Its change sets are either passed to executor.py or deleted; none is made for a new stack, so nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Self

from deployer.cloudformation.port import ChangeSet, Cloud, StackRequest, StackState
from deployer.cloudformation.root_cause import Cause
from deployer.pauses import Pauses
from deployer.planning.change_sets import ChangeSets
from deployer.planning.data_guard import data_risks
from deployer.planning.facts import PlanFacts, is_recorded
from deployer.planning.permission_changes import iam_changes
from deployer.planning.plan import Options, Plan, Step, StepKind, kind_of, planned_from
from deployer.planning.render import KNOWN_AFTER_APPLY, references, render
from deployer.planning.resource_changes import Action, ResourceChange, from_change_set, from_templates
from deployer.project.templates import Template, parse_template
from deployer.release.target import Target, Unknown, Value

_AT_ONCE = 8


class Planner:
    """Plans one target. Use it with `with`: what is not handed over is deleted at the end, also after an interruption."""

    def __init__(
        self,
        cloud: Cloud,
        target: Target,
        facts: PlanFacts,
        options: Options,
        change_sets: ChangeSets,
        *,
        pauses: Pauses,
        publish: Callable[[str], None] = lambda stack: None,
    ) -> None:
        """Create the planner. `publish` stores the template of a stack that is too big to be sent inline."""
        self._cloud, self._target, self._facts, self._options = cloud, target, facts, options
        self._change_sets, self._pauses, self._publish = change_sets, pauses, publish
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self._change_sets.discard_all()

    def hand_over(self) -> ChangeSets:
        """Return the change sets; from now on the caller must execute or delete them."""
        self._kept = True
        return self._change_sets

    def plan(self) -> Plan:
        steps: dict[str, Step] = {}
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for batch in self._target.wiring.order():
                outputs = {stack: self._outputs(step) for stack, step in steps.items()}
                steps |= {step.stack: step for step in pool.map(self._step, batch, repeat(outputs))}
        current = self._facts.current
        return Plan(
            self._target.environment.name,
            self._target.release.id,
            current.release if current else None,
            tuple(steps.values()),
            self._options.revert_drift,
        )

    def _outputs(self, step: Step) -> dict[str, str]:
        """Return the outputs of a planned stack that will not change."""
        state = self._facts.states[step.stack]
        known = state.outputs if state and step.kind in (StepKind.NOTHING, StepKind.UPDATE) else {}
        return {name: value for name, value in known.items() if name not in step.unknown_outputs}

    def _step(self, stack: str, outputs: Mapping[str, Mapping[str, str]]) -> Step:
        self._pauses.check()
        state = self._facts.states[stack]
        values = self._target.values(stack, outputs)
        unknown = tuple(sorted(name for name, value in values.items() if isinstance(value, Unknown)))
        known = {name: value for name, value in values.items() if isinstance(value, str)}
        request = self._target.request(stack, known, bucket=self._facts.bucket)
        digest = None if unknown else request.digest
        kind, note = kind_of(state, may_recreate=stack in self._options.recreate)
        step = Step(
            stack,
            request.stack_name,
            kind,
            tuple(sorted(self._target.wiring.parents(stack))),
            planned_from(state),
            digest,
            unknown=unknown,
            note=note,
        )
        match kind:
            case StepKind.CREATE | StepKind.RECREATE:
                return self._plan_creation(step, values)
            case StepKind.UPDATE if digest and self._is_proven(stack, digest):
                return replace(step, kind=StepKind.NOTHING)
            case StepKind.UPDATE:
                return self._plan_update(step, values, request)
            case _:
                return step

    def _is_proven(self, stack: str, digest: str) -> bool:
        """Return whether the ledger makes a question to CloudFormation unnecessary. The ledger knows nothing of drift."""
        return not self._options.revert_drift and is_recorded(self._target, self._facts, stack, digest)

    def _plan_creation(self, step: Step, values: Mapping[str, Value]) -> Step:
        after = render(self._target.templates[step.stack].document, _shown(values))
        return replace(step, changes=from_templates({}, after), permissions=iam_changes({}, after))

    def _plan_update(self, step: Step, values: Mapping[str, Value], request: StackRequest) -> Step:
        state = self._facts.states[step.stack]
        assert state is not None
        template, old = self._target.templates[step.stack], self._deployed_template(state)
        before, after = render(old.document, state.parameters), render(template.document, _shown(values))
        warnings: tuple[Cause, ...] = ()
        if step.unknown:
            changes = from_templates(before, after)
        else:
            change_set = self._change_set(request)
            if change_set.has_nothing_to_do:
                return replace(step, kind=StepKind.NOTHING)
            changes = from_change_set(change_set.changes, before, after, self._target.secrets(step.stack, values))
            warnings = self._change_sets.warnings(step.stack, change_set)
        return replace(
            step,
            changes=changes,
            permissions=iam_changes(before, after),
            risks=data_risks(step.stack, changes, self._options.allow_replace),
            warnings=warnings,
            unknown_outputs=_unknown_outputs(old, template, changes, _changed(state.parameters, values)),
        )

    def _deployed_template(self, state: StackState) -> Template:
        return parse_template(self._cloud.template_body(state.stack_id), Path(f"{state.name} (deployed)"))

    def _change_set(self, request: StackRequest) -> ChangeSet:
        if request.template_url:
            self._publish(request.stack)
        return self._change_sets.ask_for(request, creates=False)


def _shown(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else KNOWN_AFTER_APPLY for name, value in values.items()}


def _changed(before: Mapping[str, str], after: Mapping[str, Value]) -> frozenset[str]:
    return frozenset(name for name, value in after.items() if before.get(name) != value)


def _unknown_outputs(
    old: Template, new: Template, changes: Collection[ResourceChange], changed_parameters: Collection[str]
) -> tuple[str, ...]:
    """Return the outputs whose value may change in the update: new, rewritten, or about a resource that is replaced."""
    anew = {c.logical_id for c in changes if c.may_replace or c.action is not Action.MODIFY} | set(changed_parameters)
    before, after = (t.document.get("Outputs", {}) or {} for t in (old, new))
    return tuple(
        sorted(
            name
            for name, output in after.items()
            if before.get(name) != output or references(output.get("Value")) & anew
        )
    )
