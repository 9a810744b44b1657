"""Ends the processes that belong to a directory: all that a job or a function started, even if a process left its group
or outlived a kill.

The TMPDIR of a job's processes is in the scratch space of its run, that of a function's processes in the launcher's. On
systems without /proc none are found; there they end by themselves when the pipe to their parent closes.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def end_processes_of(directory: Path) -> None:
    """Kill every other process whose TMPDIR is `directory` or below it."""
    for pid in processes_of(directory):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes_of(directory: Path) -> Iterator[int]:
    """Yield the ids of the other processes whose TMPDIR is `directory` or below it."""
    wanted = os.fsencode(directory)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            for variable in (entry / "environ").read_bytes().split(b"\0"):
                name, _, value = variable.partition(b"=")
                is_below = value == wanted or value.startswith(wanted + b"/")
                if name == b"TMPDIR" and is_below and int(entry.name) != os.getpid():
                    yield int(entry.name)
