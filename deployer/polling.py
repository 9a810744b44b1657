"""Waiting for Athena, Glue and S3: growing pauses within a time limit.

CloudFormation's waits, which an interruption must end in order, are in waiting.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

FIRST_PAUSE_SECONDS = 0.2


def poll(timeout_seconds: float, *, longest_pause_seconds: float = 5.0) -> Iterator[float]:
    """Yield the seconds waited so far: at once, then after growing pauses, and end when the time is over."""
    start = time.monotonic()
    pause = FIRST_PAUSE_SECONDS
    while (waited := time.monotonic() - start) <= timeout_seconds:
        yield waited
        time.sleep(min(pause, max(0.0, timeout_seconds - (time.monotonic() - start)) + 0.01))
        pause = min(pause * 1.5, longest_pause_seconds)
