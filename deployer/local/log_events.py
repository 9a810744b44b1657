"""CloudWatch Logs: every event has an id, and FilterLogEvents reads only the requested streams.

The emulator gives ids only to the events of PutLogEvents, not to those of functions. It reads all streams of a group
whatever `logStreamNamePrefix` says, so the log of one run would show the events of every run.
"""

from __future__ import annotations

import uuid
from typing import Any

from deployer.local.completion import LocalCloud
from deployer.local.emulator.private_parts import load, replace, require

Data = dict[str, Any]
NO_STREAM = "no stream begins like this"


def install(cloud: LocalCloud) -> None:
    """Replace what appends events and what filters them."""
    logs = load("services.cloudwatch_logs")
    append = require(logs, "_append_log_events", ("stream", "events"))
    filter_events = require(logs, "_filter_log_events", ("data",))
    require(logs, "_log_groups")
    require(logs, "_resolve_log_group_name", ("data",))

    def append_with_ids(stream: Data, events: list[Data]) -> Any:
        for event in events:
            event.setdefault("eventId", str(uuid.uuid4()))
        return append(stream, events)

    def filter_streams(data: Data) -> Any:
        prefix, group = data.get("logStreamNamePrefix"), logs._log_groups.get(logs._resolve_log_group_name(data))
        if not prefix or group is None:
            return filter_events(data)
        if data.get("logStreamNames"):
            # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
            message = "You can not specify both logStreamNames and logStreamNamePrefix"
            return logs.error_response_json("InvalidParameterException", message, 400)
        names = [name for name in group["streams"] if name.startswith(prefix)]
        return filter_events({**data, "logStreamNames": names or [NO_STREAM]})

    replace(logs, "_append_log_events", append_with_ids)
    replace(logs, "_filter_log_events", filter_streams)
