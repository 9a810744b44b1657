"""Writes down which AWS calls the deployer's code makes, when DATAOPS_CALLS_FILE names a file; tests and audits read it.

One line for each kind of call: the command that runs ("-" when none does), service and operation.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

VARIABLE = "DATAOPS_CALLS_FILE"
NO_COMMAND = "-"
_LIBRARIES = ("boto3", "botocore", "s3transfer", "concurrent", "threading", __name__, "deployer.session")
_OURS = ("deployer", "refunds_lake")

_written: set[tuple[str, str]] = set()


def record(command: str, service: str, operation: str) -> None:
    """Add a call to the file, once in a process; calls that a test makes with a session of ours do not count."""
    path = os.environ.get(VARIABLE)
    if not path or not _is_ours():
        return
    line = f"{command or NO_COMMAND} {service} {operation}\n"
    if (path, line) not in _written:
        _written.add((path, line))
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(line)  # one short write: lines of several processes do not mix


def read(path: Path) -> set[tuple[str, str, str]]:
    """What was written: command, service, operation."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {(command, service, operation) for command, service, operation in (line.split() for line in lines)}


def _is_ours() -> bool:
    """Whether the code that called boto3 is the deployer's or the job library's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        name = str(frame.f_globals.get("__name__", ""))
        if package not in _LIBRARIES and name not in _LIBRARIES:
            return package in _OURS
    return False
