"""Reads the log of a job run from CloudWatch Logs, once or as it grows.

Starting and following the run itself is the business of jobs.py, reading groups that of log_groups.py.
"""

from __future__ import annotations

from deployer.lake.deployed_lake import Lake
from deployer.lake.log_groups import GroupLogs

# Glue writes what the script prints, to stdout or stderr, to .../output, and Spark's own log to .../error.
# https://docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html
STREAM_KINDS = ("output", "error")
SCRIPT_KINDS = ("output",)


def job_groups(lake: Lake, kinds: tuple[str, ...] = STREAM_KINDS) -> tuple[str, ...]:
    """Return the job's log groups."""
    return tuple(f"{lake.job_log_group}/{kind}" for kind in kinds)


class JobLog:
    """The log of one run; `new_lines` returns what came since the last call."""

    def __init__(self, lake: Lake, run_id: str, kinds: tuple[str, ...] = STREAM_KINDS) -> None:
        self._events = GroupLogs(lake.logs, job_groups(lake, kinds), stream_prefix=run_id)

    def new_lines(self) -> list[str]:
        """Return the lines that were not returned before, in order of time."""
        return [line for event in self._events.new_events() for line in event.lines]


def last_lines(lake: Lake, run_id: str, *, count: int = 10) -> list[str]:
    """Return the last lines that a run's script printed: what it did, or why it failed.

    Spark's own log is left out: it is long, has a stream for each executor, and says nothing in the job's words.
    """
    return JobLog(lake, run_id, SCRIPT_KINDS).new_lines()[-count:]
