"""Deleting an environment: which stacks, in which order, what stays, and the deletion itself with its record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.aws import describe_all
from deployer.cloud import StackState
from deployer.errors import DataopsError, Refused
from deployer.failures import Ended, stack_failed
from deployer.identity import new_run_id
from deployer.ledger import Ledger
from deployer.lock import EnvironmentLock, this_owner
from deployer.progress import Said, StackEnded, StackStarted
from deployer.target import ARTIFACTS_BUCKET_OUTPUT, Target
from deployer.templates import parse_template
from deployer.waiting import settled_stack
from deployer.wish import Ports


@dataclass(frozen=True)
class Doomed:
    """A stack that goes, and the resources (logical, physical id) that outlive it."""

    stack: str
    state: StackState
    kept: tuple[tuple[str, str], ...]


def destruction_text(environment: str, doomed: Sequence[Doomed]) -> str:
    lines = [f"environment {environment}: these stacks will be deleted: {', '.join(stack.stack for stack in doomed)}"]
    lines += [
        f"  kept with its data: {stack.stack}/{name}  {physical}" for stack in doomed for name, physical in stack.kept
    ]
    return "\n".join(lines)


class Destruction:
    """Deletes one environment."""

    def __init__(self, ports: Ports, target: Target) -> None:
        self._ports, self._target = ports, target
        self._run = new_run_id(ports.now())

    def doomed(self) -> tuple[Doomed, ...]:
        """The stacks that exist, those that others need last."""
        states = describe_all(self._ports.cloud, self._target.stack_names)
        return tuple(Doomed(stack, state, self._kept(state)) for stack, state in reversed(states.items()) if state)

    def _kept(self, state: StackState) -> tuple[tuple[str, str], ...]:
        template = parse_template(self._ports.cloud.template_body(state.stack_id), Path(state.name))
        retained = [r.logical_id for r in template.resources.values() if str(r.deletion_policy).startswith("Retain")]
        physical = (
            {e.logical_id: e.physical_id for e in self._ports.cloud.events(state.stack_id) if e.physical_id}
            if retained
            else {}
        )
        return tuple((name, physical.get(name, "")) for name in retained)

    def run(self, doomed: Sequence[Doomed]) -> None:
        """Delete them one after the other. Raises at the first that cannot be deleted; the others are not started."""
        protected = [stack.stack for stack in doomed if stack.state.is_protected]
        if protected:
            raise Refused(
                f"stack {protected[0]} has termination protection",
                hint="switch it off in CloudFormation first: that is a decision of its own",
            )
        bucket = next(
            (s.state.outputs[ARTIFACTS_BUCKET_OUTPUT] for s in doomed if ARTIFACTS_BUCKET_OUTPUT in s.state.outputs),
            None,
        )
        if bucket is None:
            self._delete_all(doomed)
            return
        store = self._ports.open_store(bucket)
        lock, ledger = (
            EnvironmentLock(store, self._target.environment.name),
            Ledger(store, self._target.environment.name),
        )
        with lock.held(self._run):
            now = self._ports.now().isoformat(timespec="seconds")
            ledger.start(self._run, {"command": "destroy", "started_at": now, "who": this_owner(self._run, 0.0).who})
            outcome = "failed"
            try:
                if current := ledger.current():
                    ledger.set_current(replace(current, outcome="destroyed", stacks={}, smoke=None, run=self._run))
                self._delete_all(doomed)
                outcome = "done"
            finally:
                with suppress(DataopsError):  # the bucket may be gone when it was not retained
                    ledger.end(self._run, {"outcome": outcome, "stacks": [stack.stack for stack in doomed]})

    def _delete_all(self, doomed: Sequence[Doomed]) -> None:
        for stack in doomed:
            self._ports.pauses.check()
            self._ports.progress(StackStarted(stack.stack, "delete"))
            self._ports.cloud.delete_stack(stack.state.stack_id, token=f"{self._run}-{stack.stack}")
            left = settled_stack(
                self._ports.cloud, stack.state.stack_id, self._ports.pauses, before=stack.state, deletes=True
            )
            if left is not None:
                ended = Ended(stack.stack, left.stack_id, left, stack.state)
                template = self._target.templates.get(stack.stack)
                raise stack_failed(self._ports.cloud, ended, template, lambda text: self._ports.progress(Said(text)))
            self._ports.progress(StackEnded(stack.stack, "deleted", 0.0))
