"""Brings one stack to what its step says: recovers a stuck one, asks for its change set, guards, executes and waits.
Guards are asked again before the execution, because a value that was known after apply may have changed what happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from deployer.cloudformation.failures import Ended, StackFailed, stack_failed
from deployer.cloudformation.port import AlreadyThere, ChangeSet, Cloud, StackRequest, StackState
from deployer.cloudformation.statuses import Handling, Outcome, row_of
from deployer.cloudformation.waiting import await_stack
from deployer.deploying.events import Progress, ResourceMoved, Said, StackStarted
from deployer.deploying.results import StackOutcome, StackResult
from deployer.errors import Refused
from deployer.pauses import Pauses
from deployer.planning.change_sets import ChangeSets
from deployer.planning.data_guard import data_risks
from deployer.planning.plan import Options, Step, StepKind
from deployer.planning.resource_changes import from_change_set
from deployer.release.target import Target

_UPDATABLE_AFTER_ROLLBACK = ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE", "CREATE_COMPLETE")


@dataclass(frozen=True)
class ChangeContext:
    """What every change of a run works with."""

    cloud: Cloud
    target: Target
    options: Options
    run: str
    pauses: Pauses
    progress: Progress
    change_sets: ChangeSets


class StackChange:
    """One step of a plan being carried out; `is_running` says whether CloudFormation continues it when we stop."""

    def __init__(self, context: ChangeContext, step: Step, state: StackState | None) -> None:
        self._context, self._step, self._found = context, step, state
        self._cloud, self._pauses, self._progress = context.cloud, context.pauses, context.progress
        self.is_running = False

    def carry_out(self, values: Mapping[str, str], *, bucket: str | None) -> StackResult:
        """Change the stack. Raise DataopsError if it fails, Refused if a guard refuses, Interrupted if we are stopped."""
        self._pauses.check()
        step, request = self._step, self._context.target.request(self._step.stack, values, bucket=bucket)
        if step.kind is StepKind.NOTHING and step.digest == request.digest:
            return StackResult(step.stack, StackOutcome.UNCHANGED, self._found, request.digest)
        if step.kind is StepKind.BLOCKED:
            raise Refused(f"stack {step.stack} is in {step.note}")
        return self._change(request, self._recover(self._found))

    # A stuck stack.

    def _recover(self, state: StackState | None) -> StackState | None:
        """Return the stack in a state that can be changed."""
        step = self._step
        if state is None or step.kind in (StepKind.CREATE, StepKind.UPDATE, StepKind.NOTHING):
            return state
        self._progress(StackStarted(step.stack, step.kind.value))
        match step.kind:
            case StepKind.ROLL_BACK:
                self._cloud.roll_back(state.stack_id, token=f"{self._context.run}-rollback")
                return self._await_rollback(state)
            case StepKind.CONTINUE_ROLLBACK:
                self._cloud.continue_rollback(state.stack_id, token=f"{self._context.run}-continue")
                return self._await_rollback(state)
            case StepKind.RECREATE:
                self._cloud.delete_stack(state.stack_id, token=f"{self._context.run}-delete")
                left = await_stack(self._cloud, state.stack_id, self._pauses, before=state, deletes=True)
                if left is not None:
                    raise self._failure(state.stack_id, left, state)
                return None
            case _:
                raise Refused(
                    f"stack {step.stack} is in {step.note}", hint="wait for it, then run the same command again"
                )

    def _await_rollback(self, state: StackState) -> StackState:
        """Require that the stack can be updated after its rollback."""
        ended = await_stack(self._cloud, state.stack_id, self._pauses, before=state)
        if ended is None or ended.status not in _UPDATABLE_AFTER_ROLLBACK:
            raise self._failure(state.stack_id, ended, state)
        return ended

    # The change itself.

    def _change(self, request: StackRequest, state: StackState | None) -> StackResult:
        stack, change_sets = self._step.stack, self._context.change_sets
        creates = state is None or row_of(state.status).handling is Handling.CREATE
        self._progress(StackStarted(stack, "create" if creates else "update"))
        change_set = change_sets.ask_for(request, creates=creates)
        if change_set.has_nothing_to_do:
            return StackResult(stack, StackOutcome.UNCHANGED, state, request.digest)
        if not creates:
            self._guard(change_set)
        with suppress(AlreadyThere):  # an answer was lost, or another first deploy was quicker: its end is what counts
            token = f"{self._context.run}-{stack}"
            self._cloud.execute_change_set(change_set.change_set_id, token=token, creates=creates)
        change_sets.mark_executed(stack)
        self.is_running = True
        before = state or StackState(request.stack_name, change_set.stack_id, "REVIEW_IN_PROGRESS")
        ended = self._await_end(change_set, replace(before, status="REVIEW_IN_PROGRESS") if creates else before)
        if ended is None or row_of(ended.status).outcome is not Outcome.SUCCEEDED:
            raise self._failure(change_set.stack_id, ended, before)
        return StackResult(stack, StackOutcome.DONE, ended, request.digest)

    def _await_end(self, change_set: ChangeSet, before: StackState) -> StackState | None:
        return await_stack(
            self._cloud,
            change_set.stack_id or before.name,
            self._pauses,
            before=before,
            has_ended=lambda: self._cloud.change_set(change_set.change_set_id).execution_status.startswith("EXECUTE_"),
            on_poll=follower(self._cloud, self._progress, self._step.stack, change_set.stack_id),
        )

    def _guard(self, change_set: ChangeSet) -> None:
        """Check again, for what the plan could not know when it was guarded."""
        step, known = self._step, {change.logical_id: change for change in self._step.changes}
        actual = [
            replace(c, deletion_policy=known[c.logical_id].deletion_policy) if c.logical_id in known else c
            for c in from_change_set(change_set.changes, {}, {})
        ]
        if risks := data_risks(step.stack, actual, self._context.options.allow_replace):
            self._context.change_sets.discard(step.stack)
            raise Refused(f"{risks[0]}", hint=f"if this is intended, use --allow-replace {risks[0].logical_id}")

    def _failure(self, stack_id: str, state: StackState | None, before: StackState) -> StackFailed:
        ended = Ended(self._step.stack, state.stack_id if state else stack_id, state, before)
        template = self._context.target.templates[self._step.stack]
        return stack_failed(self._cloud, ended, template, lambda text: self._progress(Said(text)))


def follower(cloud: Cloud, progress: Progress, stack: str, stack_id: str) -> Callable[[], None]:
    """Return a function that reports each new event of a running stack once."""
    if not progress.wants_resources or not stack_id:
        return lambda: None
    last: str | None = None

    def follow() -> None:
        nonlocal last
        for event in cloud.events(stack_id, after=last):
            last = event.event_id
            if not event.is_about_the_stack:
                progress(ResourceMoved(stack, event.logical_id, event.resource_type, event.status, event.reason))

    return follow
