"""Reads the log of a job run from CloudWatch Logs, once or as it grows.

Starting and following the run itself is the business of jobs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deployer.aws.calls import translated
from deployer.lake.deployed_lake import Lake

# Glue writes what the script prints, to stdout or stderr, to .../output, and Spark's own log to .../error.
# https://docs.aws.amazon.com/glue/latest/dg/monitor-continuous-logging.html
STREAM_KINDS = ("output", "error")
SCRIPT_KINDS = ("output",)


@dataclass(frozen=True)
class LogLine:
    """One event of a log."""

    time_milliseconds: int
    kind: str
    text: str


@dataclass
class JobLog:
    """The log of one run; `new_lines` returns what came since the last call."""

    lake: Lake
    run_id: str
    kinds: tuple[str, ...] = STREAM_KINDS
    _since: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, set[str]] = field(default_factory=dict)

    @translated
    def new_lines(self) -> list[str]:
        """Return the lines that were not returned before, in order of time."""
        events = [event for kind in self.kinds for event in self._new_events(kind)]
        in_order = sorted(events, key=lambda event: event.time_milliseconds)
        return [line for event in in_order for line in event.text.rstrip("\n").split("\n")]

    def _new_events(self, kind: str) -> list[LogLine]:
        since, seen = self._since.get(kind, 0), self._seen.get(kind, set())
        events = list(self._events(kind, since))
        fresh = [event for event in events if event["eventId"] not in seen]
        newest = max((event["timestamp"] for event in events), default=since)
        # Events of the newest millisecond may still be coming: read it again, and leave out what is known of it.
        self._since[kind] = newest
        self._seen[kind] = {event["eventId"] for event in events if event["timestamp"] == newest} | (
            seen if newest == since else set()
        )
        return [LogLine(event["timestamp"], kind, event["message"]) for event in fresh]

    def _events(self, kind: str, since: int) -> Iterator[Mapping[str, Any]]:
        logs = self.lake.logs
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"{self.lake.job_log_group}/{kind}", logStreamNamePrefix=self.run_id, startTime=since
        )
        try:
            for page in pages:
                yield from page["events"]
        except logs.exceptions.ResourceNotFoundException:
            return  # the group appears with the first line


def last_lines(lake: Lake, run_id: str, *, count: int = 10) -> list[str]:
    """Return the last lines that a run's script printed: what it did, or what it says of its failure.

    Spark's own log is left out: it is long, has a stream for each executor, and says nothing in the job's words.
    """
    return JobLog(lake, run_id, SCRIPT_KINDS).new_lines()[-count:]
