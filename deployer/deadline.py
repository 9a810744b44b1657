"""When a command gives up waiting, whatever it waits for: `--timeout` of deploy, promote, rollback, plan and review.

What is waited for is waiting.py's and polling.py's business; each ends in order, with a message of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable


class Deadline:
    """A point in time; without seconds it never comes."""

    def __init__(self, seconds: float | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._end = math.inf if seconds is None else clock() + seconds

    def left(self, at_most: float = math.inf) -> float:
        """Seconds that are left, never below 0."""
        return min(at_most, max(0.0, self._end - self._clock()))

    @property
    def is_over(self) -> bool:
        return self.left() <= 0
