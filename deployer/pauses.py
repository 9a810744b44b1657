"""Waiting: growing pauses, the deadline of a command, and the interruption that ends a wait at once and cleanly.

What is waited for is the caller's business, and so is what its ending means.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deployer.errors import DataopsError

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 5.0


class Deadline:
    """When a command gives up waiting, whatever it waits for (`--timeout`); without seconds it never comes."""

    def __init__(self, seconds: float | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._end = math.inf if seconds is None else clock() + seconds

    def left(self, at_most: float = math.inf) -> float:
        """Return seconds that are left, never below 0."""
        return min(at_most, max(0.0, self._end - self._clock()))

    @property
    def is_over(self) -> bool:
        return self.left() <= 0


class Interrupted(DataopsError):
    """The operator or the pipeline asked us to stop; by a signal, the exit code is the shell's for it."""

    def __init__(
        self,
        message: str = "interrupted",
        *,
        exit_code: int = 1,
        hint: str = "run the same command again: it continues where this one stopped",
    ) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code


class TimeIsUp(Interrupted):
    """The time that the operator gave is up."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__(f"the time limit of {deadline.seconds or 0:.0f} s (--timeout) has passed")


class Pauses:
    """Pauses that an interruption ends at once, and the deadline for all of them."""

    def __init__(self, first_seconds: float = FIRST_PAUSE_SECONDS, deadline: Deadline | None = None) -> None:
        self._stopped, self._first, self._interrupts = threading.Event(), first_seconds, False
        self._why, self._exit_code = "interrupted", 1
        self.deadline = deadline or Deadline()

    def stop(self, why: str = "interrupted", *, exit_code: int = 1) -> None:
        """End every pause. Inside `interruptible`, raises at once: call it in the main thread, from a signal's handler."""
        self._why, self._exit_code = why, exit_code
        self._stopped.set()
        if self._interrupts:
            self._check_stopped()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Allow work in the main thread that does not pause here and keeps to the deadline itself."""
        self.check()
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False
        self._check_stopped()

    def check(self) -> None:
        """Raise Interrupted when we were stopped, TimeIsUp after the deadline."""
        self._check_stopped()
        if self.deadline.is_over:
            raise TimeIsUp(self.deadline)

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            raise Interrupted(self._why, exit_code=self._exit_code)

    def pause(self, seconds: float) -> None:
        """Wait so long, and no longer than until the deadline."""
        self._stopped.wait(self.deadline.left(seconds))
        self.check()

    def backoff(self) -> Iterator[int]:
        """Yield at once, then after 0.2 s growing to 5 s; the value counts the pauses."""
        return backoff(self.pause, first_seconds=self._first)


def backoff(
    pause: Callable[[float], None],
    *,
    first_seconds: float = FIRST_PAUSE_SECONDS,
    longest_seconds: float = LONGEST_PAUSE_SECONDS,
) -> Iterator[int]:
    """Yield the number of pauses so far: at once, then after pauses that grow by half each time."""
    count, seconds = 0, first_seconds
    while True:
        yield count
        pause(seconds)
        count, seconds = count + 1, min(seconds * 1.5, longest_seconds)


def poll(timeout_seconds: float, *, longest_pause_seconds: float = LONGEST_PAUSE_SECONDS) -> Iterator[float]:
    """Yield the seconds waited so far: at once, then after growing pauses, and end when the time is up."""
    start = time.monotonic()

    def left() -> float:
        return timeout_seconds - (time.monotonic() - start)

    for _ in backoff(
        lambda seconds: time.sleep(min(seconds, max(0.0, left()) + 0.01)), longest_seconds=longest_pause_seconds
    ):
        if left() < 0:
            return
        yield timeout_seconds - left()
