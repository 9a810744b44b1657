"""Waiting for CloudFormation: back-off polling without fixed sleeps (pauses.py), and reads that may be stale.
A wait ends when the operation has ended; what the ending means is statuses.py's table.
"""

from __future__ import annotations

from collections.abc import Callable

from deployer.cloudformation.port import ChangeSet, Cloud, StackState
from deployer.cloudformation.statuses import Outcome, row_of
from deployer.pauses import Pauses

STALE_READS = 12  # about half a minute of pauses before we ask the change set instead


def await_change_set(cloud: Cloud, change_set_id: str, pauses: Pauses) -> ChangeSet:
    """Wait until CloudFormation has computed a change set, and return it."""
    for _ in pauses.backoff():
        change_set = cloud.change_set(change_set_id)
        if change_set.is_settled:
            return change_set
    raise AssertionError("unreachable")


def await_stack(
    cloud: Cloud,
    stack: str,
    pauses: Pauses,
    *,
    before: StackState | None = None,
    deletes: bool = False,
    has_ended: Callable[[], bool] = lambda: True,
    on_poll: Callable[[], None] = lambda: None,
) -> StackState | None:
    """Wait until a stack's operation has ended, and return the stack; None when it was deleted.

    A read right after the start may still show the state `before`: such a read counts only when `has_ended` confirms it.
    """
    for count in pauses.backoff():
        state = cloud.describe(stack)
        on_poll()
        if state is None and deletes:
            return None
        if _is_stale(state, before):
            if count >= STALE_READS and has_ended():
                return state
            continue
        if state is None or row_of(state.status).outcome is not Outcome.RUNNING:
            return state
    raise AssertionError("unreachable")


def _is_stale(state: StackState | None, before: StackState | None) -> bool:
    if before is None:
        return False
    return state is None or (state.status, state.last_updated) == (before.status, before.last_updated)
