"""The job's log lines: failures that an operator can act on, and the prefixes of lines.

Whoever shows the log to people (the deployer does) goes by these.
"""

from __future__ import annotations

from typing import Final

ERROR: Final = "error: "
"""Before the message of a JobFailure, on stderr: the last line of a run that failed as it should."""
PROGRESS: Final = "progress: "
"""Before what a run is doing, and how much of it is done."""
WARNING: Final = "warning: "
"""Before what went wrong without harm to the tables."""
PROBLEM: Final = "problem: "
"""Before the name of a raw object that was not read, and why."""


class JobFailure(Exception):
    """A failure whose message says all that there is to say."""
