"""Reads log groups of CloudWatch Logs, once or as they grow, and knows which group belongs to which part of the lake.

What a line means is its writer's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deployer.aws.calls import translated

# An event may be found some seconds after its time: so much is read again each time, and what is known of it left out.
OVERLAP_MILLISECONDS = 10_000
# What a part of the lake is called on the command line -> how the outputs with its log groups begin.
# Such an output is called <beginning>...LogGroupName.
PARTS: Mapping[str, tuple[str, ...]] = {
    "api": ("Api", "Ingest"),  # API Gateway and its function
    "validate": ("Validation",),
    "notify": ("Notify",),
    "sftp": ("Sftp",),
    "statement": ("Statement",),
    "crawlers": ("Crawled",),  # the function that compares what they found
}
_SUFFIX = "LogGroupName"


def groups_by_part(outputs: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Return part -> its log groups, for the parts that are deployed."""
    found = {
        part: tuple(
            group for name, group in sorted(outputs.items()) if name.startswith(starts) and name.endswith(_SUFFIX)
        )
        for part, starts in PARTS.items()
    }
    return {part: groups for part, groups in found.items() if groups}


@dataclass(frozen=True, order=True)
class LogEvent:
    """One event of a log group."""

    time_milliseconds: int
    group: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Its text, line by line."""
        return self.text.rstrip("\n").split("\n")

    @property
    def moment(self) -> datetime:
        """When it was, in UTC."""
        return datetime.fromtimestamp(self.time_milliseconds / 1000, UTC)


@dataclass
class GroupLogs:
    """The events of some groups since a moment; `new_events` returns what came since the last call.

    `stream_prefix` chooses streams by the beginning of their names. A group that does not exist yet has no events.
    """

    logs: Any
    groups: Sequence[str]
    since_milliseconds: int = 0
    stream_prefix: str = ""
    _newest: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, dict[str, int]] = field(default_factory=dict)

    @translated
    def new_events(self) -> list[LogEvent]:
        """Return the events that were not returned before, in order of time."""
        events = [event for group in self.groups for event in self._new_events(group)]
        return sorted(events, key=lambda event: event.time_milliseconds)

    def _new_events(self, group: str) -> Iterator[LogEvent]:
        newest, seen = self._newest.get(group, 0), self._seen.setdefault(group, {})
        start = max(self.since_milliseconds, newest - OVERLAP_MILLISECONDS)
        for event in self._events(group, start):
            identity, time = event["eventId"], int(event["timestamp"])
            if identity not in seen:
                seen[identity] = time
                newest = max(newest, time)
                yield LogEvent(time, group, event["message"])
        self._newest[group] = newest
        self._seen[group] = {each: time for each, time in seen.items() if time >= newest - OVERLAP_MILLISECONDS}

    def _events(self, group: str, start: int) -> Iterator[Mapping[str, Any]]:
        wanted: dict[str, Any] = {"logGroupName": group, "startTime": start}
        if self.stream_prefix:
            wanted["logStreamNamePrefix"] = self.stream_prefix
        try:
            for page in self.logs.get_paginator("filter_log_events").paginate(**wanted):
                yield from page["events"]
        except self.logs.exceptions.ResourceNotFoundException:
            return  # the group appears with the first line
