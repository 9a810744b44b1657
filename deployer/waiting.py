"""Waiting for CloudFormation: back-off polling without fixed sleeps, and reads that may be stale.
A wait ends when the operation has ended; what the ending means is statuses.py's table.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deployer.cloud import ChangeSet, Cloud, StackState
from deployer.deadline import Deadline
from deployer.errors import DataopsError
from deployer.statuses import Outcome, row_of

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0
STALE_READS = 12  # about half a minute of pauses before we ask the change set instead


class Interrupted(DataopsError):
    """The operator or the pipeline asked us to stop."""

    exit_code = 1


class TimeIsUp(Interrupted):
    """The time that the operator gave is over."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(
            f"the time limit of {deadline.seconds or 0:.0f} s (--timeout) is over",
            hint="run the same command again: it goes on where this one stopped",
        )


class Pauses:
    """Pauses that an interruption ends at once, and the deadline for all of them."""

    def __init__(self, first_seconds: float = FIRST_PAUSE_SECONDS, deadline: Deadline | None = None) -> None:
        self._stopped, self._first, self._interrupts = threading.Event(), first_seconds, False
        self.deadline = deadline or Deadline()

    def stop(self) -> None:
        """End every pause. Inside `interruptible`, raises at once: call it in the main thread, from a signal's handler."""
        self._stopped.set()
        if self._interrupts:
            raise Interrupted("interrupted")

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """For work in the main thread that does not pause here, and that keeps to the deadline itself."""
        self.check()
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False
        self._check_stopped()

    def check(self) -> None:
        self._check_stopped()
        if self.deadline.is_over:
            raise TimeIsUp(self.deadline)

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise Interrupted("interrupted")

    def pause(self, seconds: float) -> None:
        self._stopped.wait(self.deadline.left(seconds))
        self.check()

    def backoff(self) -> Iterator[int]:
        """Yields at once, then after 0.2 s growing to 5 s; the value counts the pauses."""
        yield from backoff(self.pause, self._first)


def backoff(pause: Callable[[float], None], first: float = FIRST_PAUSE_SECONDS) -> Iterator[int]:
    count, seconds = 0, first
    while True:
        yield count
        pause(seconds)
        count, seconds = count + 1, min(seconds * 1.5, LONGEST_PAUSE_SECONDS)


def settled_change_set(cloud: Cloud, change_set_id: str, pauses: Pauses) -> ChangeSet:
    """The change set when CloudFormation has finished computing it."""
    for _ in pauses.backoff():
        change_set = cloud.change_set(change_set_id)
        if change_set.is_settled:
            return change_set
    raise AssertionError("unreachable")


def settled_stack(
    cloud: Cloud,
    stack: str,
    pauses: Pauses,
    *,
    before: StackState | None = None,
    deletes: bool = False,
    has_ended: Callable[[], bool] = lambda: True,
    on_poll: Callable[[], None] = lambda: None,
) -> StackState | None:
    """The stack when its operation has ended; None when it was deleted.

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
