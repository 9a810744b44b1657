"""Makes the plan: asks CloudFormation what each existing stack would do, and reads new stacks from their templates alone.
Its change sets are either handed to execute.py or deleted; a new stack is never asked for, so nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import Self

from deployer.changes import Action, ResourceChange, from_change_set, from_templates
from deployer.cloud import ChangeSet, Cloud, StackRequest, StackState
from deployer.errors import DataopsError
from deployer.guards import data_risks
from deployer.iam_changes import iam_changes
from deployer.ledger import Current, StackRecord
from deployer.plan import Plan, Step, StepKind, base_of, kind_of
from deployer.render import KNOWN_AFTER_APPLY, references, render
from deployer.root_cause import change_set_refused, request_refused
from deployer.target import Target, Unknown, Value
from deployer.templates import Template, parse_template
from deployer.waiting import Pauses, settled_change_set

_AT_ONCE = 8
_READS_OUTSIDE = ("AWS::SSM::Parameter::Value", "{{resolve:", "AWS::Include")  # may change without a changed template


@dataclass(frozen=True)
class Facts:
    """What was read before anything is decided."""

    states: Mapping[str, StackState | None]
    current: Current | None = None
    bucket: str | None = None
    own: Mapping[str, StackRecord] = field(default_factory=dict)  # what this very run has just deployed

    def record(self, stack: str) -> StackRecord | None:
        return self.own.get(stack) or (self.current.stacks.get(stack) if self.current else None)


@dataclass(frozen=True)
class Options:
    """What the operator allows."""

    recreate: frozenset[str] = frozenset()
    allow_replace: frozenset[str] = frozenset()


def is_recorded(target: Target, facts: Facts, stack: str, digest: str) -> bool:
    """Whether the ledger proves that the stack is as this request leaves it. What reads values elsewhere is never proven."""
    record = facts.record(stack)
    body = target.templates[stack].body
    return bool(record and record.matches(facts.states[stack], digest)) and not any(
        text in body for text in _READS_OUTSIDE
    )


class Planner:
    """Plans one target. Use it with `with`: what is not handed over is deleted at the end, also after an interruption."""

    def __init__(
        self,
        cloud: Cloud,
        target: Target,
        facts: Facts,
        options: Options,
        *,
        run: str,
        pauses: Pauses,
        publish: Callable[[str], None] = lambda stack: None,
    ) -> None:
        """`publish` stores the template of a stack that is too big to be sent inline."""
        self._cloud, self._target, self._facts, self._options = cloud, target, facts, options
        self._run, self._pauses, self._publish = run, pauses, publish
        self._made: dict[str, str] = {}
        self._settled: dict[str, tuple[str, ChangeSet]] = {}
        self._kept = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            discard(self._cloud, self._made.values())

    def hand_over(self) -> dict[str, tuple[str, ChangeSet]]:
        """The change sets, which are the caller's to execute or delete from now on."""
        self._kept = True
        return self._settled

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
        )

    def _outputs(self, step: Step) -> dict[str, str]:
        """The outputs of a planned stack that will still have their value afterwards."""
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
            base_of(state),
            digest,
            unknown=unknown,
            note=note,
        )
        match kind:
            case StepKind.CREATE | StepKind.RECREATE:
                return self._created(step, values)
            case StepKind.UPDATE if digest and is_recorded(self._target, self._facts, stack, digest):
                return replace(step, kind=StepKind.NOTHING)
            case StepKind.UPDATE:
                return self._updated(step, values, request)
            case _:
                return step

    def _created(self, step: Step, values: Mapping[str, Value]) -> Step:
        after = render(self._target.templates[step.stack].document, _shown(values))
        return replace(step, changes=from_templates({}, after), permissions=iam_changes({}, after))

    def _updated(self, step: Step, values: Mapping[str, Value], request: StackRequest) -> Step:
        state = self._facts.states[step.stack]
        assert state is not None
        template, old = self._target.templates[step.stack], self._deployed(state)
        before, after = render(old.document, state.parameters), render(template.document, _shown(values))
        if step.unknown:
            changes = from_templates(before, after)
        else:
            change_set = self._change_set(request)
            if change_set.has_nothing_to_do:
                return replace(step, kind=StepKind.NOTHING)
            changes = from_change_set(change_set.changes, before, after, self._target.secrets(step.stack, values))
        return replace(
            step,
            changes=changes,
            permissions=iam_changes(before, after),
            risks=data_risks(step.stack, changes, self._options.allow_replace),
            unknown_outputs=_unknown_outputs(old, template, changes, _changed(state.parameters, values)),
        )

    def _deployed(self, state: StackState) -> Template:
        return parse_template(self._cloud.template_body(state.stack_id), Path(f"{state.name} (deployed)"))

    def _change_set(self, request: StackRequest) -> ChangeSet:
        name, template = change_set_name(self._run, request.stack), self._target.templates[request.stack]
        if request.template_url:
            self._publish(request.stack)
        try:
            made = self._cloud.create_change_set(request, name=name, creates=False)
        except DataopsError as error:
            raise request_refused(request.stack, error, template) from error
        self._made[request.stack] = made
        change_set = settled_change_set(self._cloud, made, self._pauses)
        if change_set.status == "FAILED" and not change_set.has_nothing_to_do:
            raise change_set_refused(request.stack, change_set, template)
        if change_set.has_nothing_to_do:
            discard(self._cloud, [self._made.pop(request.stack)])
        else:
            self._settled[request.stack] = (request.digest, change_set)
        return change_set


def change_set_name(run: str, stack: str) -> str:
    """Unique per run, so that two deploys never meet in one name; CloudFormation wants a letter first."""
    return f"dataops-{run}-{stack}"


def discard(cloud: Cloud, change_sets: Iterable[str]) -> None:
    """Delete change sets; the first failure is told after all were tried."""
    failures = []
    for change_set in change_sets:
        try:
            cloud.delete_change_set(change_set)
        except DataopsError as error:
            failures.append(error)
    if failures:
        raise DataopsError(
            f"could not delete a change set: {failures[0]}",
            hint="it does nothing unless it is executed; delete it in the CloudFormation console",
        )


def _shown(values: Mapping[str, Value]) -> dict[str, str]:
    return {name: value if isinstance(value, str) else KNOWN_AFTER_APPLY for name, value in values.items()}


def _changed(before: Mapping[str, str], after: Mapping[str, Value]) -> frozenset[str]:
    return frozenset(name for name, value in after.items() if before.get(name) != value)


def _unknown_outputs(
    old: Template, new: Template, changes: Collection[ResourceChange], changed_parameters: Collection[str]
) -> tuple[str, ...]:
    """Outputs whose value may be another one after the update: new, rewritten, or about something that is made anew."""
    anew = {c.logical_id for c in changes if c.may_replace or c.action is not Action.MODIFY} | set(changed_parameters)
    before, after = (t.document.get("Outputs", {}) or {} for t in (old, new))
    return tuple(
        sorted(
            name
            for name, output in after.items()
            if before.get(name) != output or references(output.get("Value")) & anew
        )
    )
