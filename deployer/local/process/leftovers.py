"""Ending processes that belong to a directory: everything a job has started, also what left its group or outlived a kill.

A job's processes have their TMPDIR in the scratch space of its run, and nobody else's have. On systems without /proc
nothing is found; there the processes end by themselves when the pipe to their parent closes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def end_processes_of(directory: Path) -> None:
    """Kill every process whose TMPDIR is `directory` or below it."""
    for pid in processes_of(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes_of(directory: Path) -> Iterator[int]:
    """The ids of the processes whose TMPDIR is `directory` or below it."""
    wanted = os.fsencode(directory)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            for variable in (entry / "environ").read_bytes().split(b"\0"):
                name, _, value = variable.partition(b"=")
                if name == b"TMPDIR" and (value == wanted or value.startswith(wanted + b"/")):
                    yield int(entry.name)
