"""The SFTP server's structured log: a line of JSON for each action of a user, in the groups that the server names."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from deployer.local.emulator.private_parts import load


def note(server: Mapping[str, Any], user: Mapping[str, Any], session: str, activity: str, **details: Any) -> None:
    """Write one line, with Transfer Family's names for activities (OPEN, CLOSE, RENAME, ...)."""
    logs = load("services.cloudwatch_logs")
    line = {
        "activity-type": activity,
        "resource-arn": server["Arn"],
        "role": user.get("Role"),
        "session-id": session,
        "user": user["UserName"],
        **details,
    }
    for destination in server.get("StructuredLogDestinations") or []:
        group = str(destination).partition(":log-group:")[2].partition(":")[0]
        where = {"logGroupName": group, "logStreamName": f"{user['UserName']}.{session}"}
        logs._create_log_stream(where)
        event = {"timestamp": int(time.time() * 1000), "message": json.dumps(line)}
        logs._put_log_events({**where, "logEvents": [event]})
