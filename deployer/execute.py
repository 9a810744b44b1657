"""Carries out a plan: every stack starts as soon as its own parents are done, several at once.
A failure stops only what depends on it. What to do was decided in the plan; guards are asked again before each execution,
because a value that was known after apply may have changed what CloudFormation does.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from deployer.changes import from_change_set
from deployer.cloud import AlreadyThere, ChangeSet, Cloud, StackRequest, StackState
from deployer.errors import DataopsError, Refused
from deployer.guards import data_risks
from deployer.ledger import StackRecord
from deployer.plan import Plan, Step, StepKind
from deployer.planner import Options, change_set_name, discard
from deployer.progress import Progress, ResourceMoved, StackEnded, StackStarted
from deployer.root_cause import change_set_refused, request_refused, root_cause
from deployer.statuses import Outcome, row_of
from deployer.target import Target
from deployer.waiting import Interrupted, Pauses, settled_change_set, settled_stack

AT_ONCE = 8


class StackOutcome(enum.Enum):
    """How one stack ended."""

    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    REFUSED = "refused"
    LEFT_RUNNING = "left running"
    NOT_STARTED = "not started"


@dataclass(frozen=True)
class StackResult:
    """One stack after the run; `error` is why it failed or was refused."""

    stack: str
    outcome: StackOutcome
    state: StackState | None = None
    digest: str = ""
    seconds: float = 0.0
    error: DataopsError | None = None

    @property
    def record(self) -> StackRecord | None:
        """What the ledger keeps of it."""
        if not self.is_good or self.state is None:
            return None
        return StackRecord(self.state.stack_id, self.state.status, self.state.last_updated, self.digest)

    @property
    def is_good(self) -> bool:
        return self.outcome in (StackOutcome.DONE, StackOutcome.UNCHANGED)

    def document(self) -> dict[str, Any]:
        return {
            "stack": self.stack,
            "outcome": self.outcome.value,
            "seconds": round(self.seconds, 2),
            "status": self.state.status if self.state else None,
            "error": str(self.error) if self.error else None,
        }


class StackFailed(DataopsError):
    """A stack ended in a status that is no success."""


class Executor:
    """Executes one plan. `change_sets` are the plan's own, used when the request is still the same."""

    def __init__(
        self,
        cloud: Cloud,
        target: Target,
        options: Options,
        *,
        run: str,
        bucket: str | None,
        pauses: Pauses,
        progress: Progress,
        change_sets: Mapping[str, tuple[str, ChangeSet]] | None = None,
    ) -> None:
        self._cloud, self._target, self._options = cloud, target, options
        self._run, self._bucket, self._pauses, self._progress = run, bucket, pauses, progress
        self._change_sets = dict(change_sets or {})
        self._outputs: dict[str, Mapping[str, str]] = {}
        self._running: set[str] = set()  # what CloudFormation goes on with when we are interrupted

    def execute(self, plan: Plan, states: Mapping[str, StackState | None]) -> dict[str, StackResult]:
        """The result of every stack. Change sets that were not executed are deleted in any case."""
        try:
            return self._walk(plan, states)
        finally:
            discard(self._cloud, [change_set.change_set_id for _, change_set in self._change_sets.values()])

    def _walk(self, plan: Plan, states: Mapping[str, StackState | None]) -> dict[str, StackResult]:
        graph = TopologicalSorter({step.stack: step.parents for step in plan.steps})
        graph.prepare()
        results: dict[str, StackResult] = {}
        running: dict[Future[StackResult], str] = {}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while graph.is_active():
                for stack in graph.get_ready():
                    running[pool.submit(self._timed, plan.step(stack), states.get(stack))] = stack
                if not running:
                    break  # what is left depends on a failure
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    result = future.result()
                    results[running.pop(future)] = result
                    if result.is_good:
                        self._outputs[result.stack] = result.state.outputs if result.state else {}
                        graph.done(result.stack)
        return {
            step.stack: results.get(step.stack, StackResult(step.stack, StackOutcome.NOT_STARTED))
            for step in plan.steps
        }

    def _timed(self, step: Step, state: StackState | None) -> StackResult:
        started = time.monotonic()
        try:
            result = self._apply(step, state)
        except Interrupted as error:
            outcome = StackOutcome.LEFT_RUNNING if step.stack in self._running else StackOutcome.NOT_STARTED
            result = StackResult(step.stack, outcome, state, error=error)
        except Refused as error:
            result = StackResult(step.stack, StackOutcome.REFUSED, state, error=error)
        except DataopsError as error:
            result = StackResult(step.stack, StackOutcome.FAILED, state, error=error)
        result = replace(result, seconds=time.monotonic() - started)
        self._progress(StackEnded(step.stack, result.outcome.value, result.seconds, str(result.error or "")))
        return result

    def _apply(self, step: Step, state: StackState | None) -> StackResult:
        self._pauses.check()
        values = self._target.values(step.stack, self._outputs)
        missing = [name for name, value in values.items() if not isinstance(value, str)]
        if missing:
            raise StackFailed(
                f"stack {step.stack}: no stack gave a value for {', '.join(missing)}",
                hint="a conditional output may be switched off: see dataops validate",
            )
        request = self._target.request(step.stack, {k: str(v) for k, v in values.items()}, bucket=self._bucket)
        if step.kind is StepKind.NOTHING and step.digest == request.digest:
            return StackResult(step.stack, StackOutcome.UNCHANGED, state, request.digest)
        if step.kind is StepKind.BLOCKED:
            raise Refused(f"stack {step.stack} is in {step.note}")
        state = self._recover(step, state)
        return self._change(step, request, state)

    def _recover(self, step: Step, state: StackState | None) -> StackState | None:
        """Bring a stuck stack to a state that can be changed."""
        if state is None or step.kind in (StepKind.CREATE, StepKind.UPDATE, StepKind.NOTHING):
            return state
        self._progress(StackStarted(step.stack, step.kind.value))
        match step.kind:
            case StepKind.ROLL_BACK:
                self._cloud.roll_back(state.stack_id, token=f"{self._run}-rollback")
                return self._ended(step, settled_stack(self._cloud, state.stack_id, self._pauses, before=state))
            case StepKind.CONTINUE_ROLLBACK:
                self._cloud.continue_rollback(state.stack_id, token=f"{self._run}-continue")
                return self._ended(step, settled_stack(self._cloud, state.stack_id, self._pauses, before=state))
            case StepKind.RECREATE:
                self._cloud.delete_stack(state.stack_id, token=f"{self._run}-delete")
                left = settled_stack(self._cloud, state.stack_id, self._pauses, before=state, deletes=True)
                if left is not None:
                    raise self._failed(step, left)
                return None
            case _:
                raise Refused(
                    f"stack {step.stack} is in {step.note}", hint="wait for it, then run the same command again"
                )

    def _ended(self, step: Step, state: StackState | None) -> StackState | None:
        """After a rollback the stack must be one that can be updated."""
        if state is None or state.status not in ("UPDATE_ROLLBACK_COMPLETE", "UPDATE_COMPLETE", "CREATE_COMPLETE"):
            raise self._failed(step, state)
        return state

    def _change(self, step: Step, request: StackRequest, state: StackState | None) -> StackResult:
        creates = state is None or row_of(state.status).handling.value == "create"
        self._progress(StackStarted(step.stack, "create" if creates else "update"))
        change_set = self._change_set(request, creates=creates)
        if change_set.has_nothing_to_do:
            self._drop(step.stack)
            return StackResult(step.stack, StackOutcome.UNCHANGED, state, request.digest)
        if change_set.status != "CREATE_COMPLETE":
            self._drop(step.stack)
            raise change_set_refused(step.stack, change_set, self._target.templates[step.stack])
        if not creates:
            self._guard(step, change_set)
        with suppress(AlreadyThere):  # an answer was lost, or another first deploy was quicker: its end is what counts
            self._cloud.execute_change_set(change_set.change_set_id, token=f"{self._run}-{step.stack}", creates=creates)
        self._change_sets.pop(step.stack)
        self._running.add(step.stack)
        before = state or StackState(request.stack_name, change_set.stack_id, "REVIEW_IN_PROGRESS")
        if creates:
            before = replace(before, status="REVIEW_IN_PROGRESS")
        ended = settled_stack(
            self._cloud,
            change_set.stack_id or request.stack_name,
            self._pauses,
            before=before,
            has_ended=lambda: self._cloud.change_set(change_set.change_set_id).execution_status.startswith("EXECUTE_"),
            on_poll=self.follower(step.stack, change_set.stack_id),
        )
        if ended is None or row_of(ended.status).outcome is not Outcome.SUCCEEDED:
            raise self._failed(step, ended, stack_id=change_set.stack_id)
        return StackResult(step.stack, StackOutcome.DONE, ended, request.digest)

    def _change_set(self, request: StackRequest, *, creates: bool) -> ChangeSet:
        """The plan's change set if it asks for the same, else a new one."""
        digest, planned = self._change_sets.get(request.stack, ("", None))
        if planned is not None:
            if digest == request.digest:
                return planned
            self._drop(request.stack)
        name = change_set_name(self._run, request.stack) + ("-again" if planned else "")
        if creates and request.stack == self._target.artifacts_stack:
            name = f"dataops-first-{request.digest[:16]}"  # no lock can exist yet: whoever comes second meets this name
        made = self._made(request, name, creates=creates)
        pending = ChangeSet(made, "", "CREATE_PENDING", "", "")
        self._change_sets[request.stack] = (request.digest, pending)
        settled = settled_change_set(self._cloud, made, self._pauses)
        self._change_sets[request.stack] = (request.digest, settled)
        return settled

    def _made(self, request: StackRequest, name: str, *, creates: bool) -> str:
        """The id of our change set, also when an earlier try has made it."""
        try:
            return self._cloud.create_change_set(request, name=name, creates=creates)
        except AlreadyThere:
            ids = [found for found, known in self._cloud.change_sets(request.stack_name) if known == name]
            if not ids:
                raise
            return ids[0]
        except DataopsError as error:
            raise request_refused(request.stack, error, self._target.templates[request.stack]) from error

    def _drop(self, stack: str) -> None:
        discard(self._cloud, [self._change_sets.pop(stack)[1].change_set_id])

    def _guard(self, step: Step, change_set: ChangeSet) -> None:
        """The plan was guarded already; this is for what it could not know."""
        changes = {c.logical_id: c for c in step.changes}
        actual = [
            replace(c, deletion_policy=changes[c.logical_id].deletion_policy) if c.logical_id in changes else c
            for c in from_change_set(change_set.changes, {}, {})
        ]
        if risks := data_risks(step.stack, actual, self._options.allow_replace):
            self._drop(step.stack)
            raise Refused(f"{risks[0]}", hint=f"if that is wanted: --allow-replace {risks[0].logical_id}")

    def follower(self, stack: str, stack_id: str) -> Callable[[], None]:
        """Tells each new event of a running stack once."""
        if not self._progress.wants_resources or not stack_id:
            return lambda: None
        seen: list[str] = []

        def follow() -> None:
            for event in self._cloud.events(stack_id, after=seen[-1] if seen else None):
                seen.append(event.event_id)
                if not event.is_about_the_stack:
                    self._progress(
                        ResourceMoved(stack, event.logical_id, event.resource_type, event.status, event.reason)
                    )

        return follow

    def _failed(self, step: Step, state: StackState | None, stack_id: str = "") -> StackFailed:
        """The failure with its cause. Not being allowed to read the events must not hide the failure itself."""
        status = state.status if state else "gone"
        fallback = (state.reason if state else "") or f"it ended as {status}"
        try:
            events = self._cloud.events(state.stack_id if state else stack_id)
        except Exception as error:  # noqa: BLE001  (any: the stack's own failure is what must be told)
            return StackFailed(f"stack {step.stack} ended as {status}: {fallback} (its events cannot be read: {error})")
        cause = root_cause(events, self._target.templates[step.stack], fallback=fallback)
        return StackFailed(f"stack {step.stack} ended as {status}: {cause}")
