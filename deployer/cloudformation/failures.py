"""Asks CloudFormation why something failed or what it warns of: first the operation's own events, then the stack's log.
Not being allowed to ask is a warning, and never the cause that is reported. What the answers mean is root_cause.py's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployer.cloudformation.port import ChangeSet, Cloud, OperationError, StackState
from deployer.cloudformation.root_cause import (
    Cause,
    StackRefused,
    causes_text,
    change_set_refused,
    operation_causes,
    operation_warnings,
    root_cause,
)
from deployer.errors import DataopsError
from deployer.project.templates import Template

Warn = Callable[[str], None]


class StackFailed(DataopsError):
    """A stack ended in a status that is no success."""


@dataclass(frozen=True)
class Ended:
    """A stack whose operation failed. `before` is how the operation found it: what failed earlier is another story."""

    stack: str
    stack_id: str
    state: StackState | None
    before: StackState | None = None

    @property
    def status(self) -> str:
        return self.state.status if self.state else "gone"

    @property
    def operations(self) -> tuple[str, ...] | None:
        """Ids of what happened since, newest first; None where CloudFormation does not say."""
        if self.state is None or not self.state.operations:
            return None
        known = self.before.operations if self.before else ()
        return tuple(operation for operation in self.state.operations if operation not in known)


def stack_failed(cloud: Cloud, ended: Ended, template: Template | None, warn: Warn) -> StackFailed:
    """Return the failure of a stack with its cause."""
    return StackFailed(
        f"stack {ended.stack} ended as {ended.status}: {causes_text(_causes(cloud, ended, template, warn))}"
    )


def _causes(cloud: Cloud, ended: Ended, template: Template | None, warn: Warn) -> Sequence[Cause]:
    fallback = (ended.state.reason if ended.state else "") or f"it ended as {ended.status}"
    try:
        if causes := operation_causes(cloud.errors(stack=ended.stack_id), template, ended.operations):
            return causes
    except DataopsError as error:
        warn(f"warning: the operation events of stack {ended.stack} cannot be read: {error.message}")
    try:
        return (root_cause(cloud.events(ended.stack_id), template, fallback=fallback),)
    except DataopsError as error:
        warn(f"warning: the events of stack {ended.stack} cannot be read: {error.message}")
    return (root_cause((), template, fallback=fallback),)


def change_set_failed(cloud: Cloud, stack: str, change_set: ChangeSet, template: Template, warn: Warn) -> StackRefused:
    """Return the refusal of a change set with what its validations and hooks found, by property."""
    causes = operation_causes(_found(cloud, stack, change_set, warn), template)
    return change_set_refused(stack, change_set, template, causes)


def change_set_warnings(
    cloud: Cloud, stack: str, change_set: ChangeSet, template: Template, warn: Warn
) -> tuple[Cause, ...]:
    """Return what validations and hooks found in a change set that can still be executed, with one call."""
    return operation_warnings(_found(cloud, stack, change_set, warn), template)


def _found(cloud: Cloud, stack: str, change_set: ChangeSet, warn: Warn) -> Sequence[OperationError]:
    try:
        return cloud.errors(change_set=change_set.change_set_id)
    except DataopsError as error:
        warn(f"warning: the events of the change set of stack {stack} cannot be read: {error.message}")
        return ()
