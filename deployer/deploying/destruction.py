"""Deletes an environment: which stacks, in which order, what is kept, and the deletion itself with its record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from deployer.cloudformation.failures import Ended, stack_failed
from deployer.cloudformation.outputs import artifacts_bucket
from deployer.cloudformation.port import StackState, describe_all
from deployer.cloudformation.waiting import await_stack
from deployer.deploying.events import Said, StackEnded, StackStarted
from deployer.deploying.request import Ports
from deployer.errors import DataopsError, Refused
from deployer.ledger.identity import new_run_id
from deployer.ledger.ledger import Ledger
from deployer.ledger.lock import EnvironmentLock, this_owner
from deployer.pauses import Interrupted
from deployer.planning.data_guard import STATEFUL_TYPES
from deployer.project.config import Environment
from deployer.project.templates import parse_template
from deployer.release.target import Target


@dataclass(frozen=True)
class Thing:
    """One resource of a stack that goes."""

    stack: str  #: its name in dataops.yml
    logical_id: str  #: in the template
    type: str  #: the resource's type
    physical_id: str  #: its name in the account

    def __str__(self) -> str:
        return f"{self.stack}/{self.logical_id}  {self.type}  {self.physical_id}".rstrip()


@dataclass(frozen=True)
class Doomed:
    """A stack that goes, with what outlives it and what goes with it."""

    stack: str
    state: StackState
    kept: tuple[Thing, ...]
    deleted: tuple[Thing, ...]


def destruction_text(environment: Environment, doomed: Sequence[Doomed]) -> str:
    """Return what is kept and what is deleted, by name, to be shown before the question."""
    account = f"account {environment.account}, " if environment.account else ""
    deleted = [thing for stack in doomed for thing in stack.deleted]
    lines = [
        f"environment {environment.name} ({account}{environment.region}): these stacks would be deleted, in this order"
    ]
    lines += [
        f"  {s.stack:<16} {', '.join(t.logical_id for t in s.deleted) or 'keeps all its resources'}" for s in doomed
    ]
    lines += _section(
        "deleted with their contents (for tables, only the catalog's entries; the files stay in their bucket):",
        [t for t in deleted if t.type in STATEFUL_TYPES],
    )
    lines += _section("kept with all their contents:", [thing for stack in doomed for thing in stack.kept])
    return "\n".join([*lines, fate_of_the_ledger(doomed)])


def _section(title: str, things: Sequence[Thing]) -> list[str]:
    return [title, *(f"  {thing}" for thing in things)] if things else []


def _ledgers_bucket(doomed: Sequence[Doomed]) -> str | None:
    """Return the bucket of releases and ledger; None if none of the stacks to delete has it."""
    return artifacts_bucket(stack.state for stack in doomed)


def keeps_ledger(doomed: Sequence[Doomed]) -> bool:
    return _ledgers_bucket(doomed) in {thing.physical_id for stack in doomed for thing in stack.kept}


def fate_of_the_ledger(doomed: Sequence[Doomed]) -> str:
    bucket = _ledgers_bucket(doomed)
    if bucket is None:
        return "releases and ledger: the stack that names their bucket is already gone; nothing is recorded"
    if keeps_ledger(doomed):
        return f"releases and ledger stay in {bucket}; a later deployment creates new buckets and starts a new ledger"
    return f"releases and ledger are deleted with {bucket}, which no template retains"


class Destruction:
    """Deletes one environment."""

    def __init__(self, ports: Ports, target: Target) -> None:
        self._ports, self._target = ports, target
        self._run = new_run_id(ports.now())

    def doomed(self) -> tuple[Doomed, ...]:
        """Return the existing stacks, with those that others need last."""
        states = describe_all(self._ports.cloud, self._target.stack_names)
        return tuple(self._doomed(stack, state) for stack, state in reversed(states.items()) if state)

    def _doomed(self, stack: str, state: StackState) -> Doomed:
        """Return what the deployed template keeps, of the resources that the stack has."""
        template = parse_template(self._ports.cloud.template_body(state.stack_id), Path(state.name))
        there = self._ports.cloud.resources(state.stack_id)
        resources = [r for r in template.resources.values() if r.logical_id in there]
        kept, deleted = (
            tuple(
                Thing(stack, r.logical_id, r.type, there[r.logical_id])
                for r in resources
                if str(r.deletion_policy).startswith("Retain") is stays
            )
            for stays in (True, False)
        )
        return Doomed(stack, state, kept, deleted)

    def run(self, doomed: Sequence[Doomed]) -> None:
        """Delete the stacks one after the other. Raise at the first that cannot be deleted; the others are not started."""
        protected = [stack.stack for stack in doomed if stack.state.is_protected]
        if protected:
            raise Refused(
                f"stack {protected[0]} has termination protection",
                hint="turn it off in CloudFormation first, as a separate decision",
            )
        bucket = _ledgers_bucket(doomed)
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
            left = self._left_of(stack)
            if left is not None:
                ended = Ended(stack.stack, left.stack_id, left, stack.state)
                template = self._target.templates.get(stack.stack)
                raise stack_failed(self._ports.cloud, ended, template, lambda text: self._ports.progress(Said(text)))
            self._ports.progress(StackEnded(stack.stack, "deleted", 0.0))

    def _left_of(self, stack: Doomed) -> StackState | None:
        """Wait for the end of a deletion and return the stack, None if it is gone. An interruption says what continues without us."""
        ports = self._ports
        try:
            return await_stack(ports.cloud, stack.state.stack_id, ports.pauses, before=stack.state, deletes=True)
        except Interrupted as stopped:
            raise Interrupted(
                f"{stopped.message}; CloudFormation continues to delete {stack.stack}", exit_code=stopped.exit_code
            ) from stopped
