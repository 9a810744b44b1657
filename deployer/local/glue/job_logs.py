"""A job's output in CloudWatch Logs while the job runs.

Each pipe of the process becomes one log stream; lines are sent in small batches so that following a run is live.
"""

from __future__ import annotations

import time
from typing import IO, Any

from deployer.local.emulator.private_parts import load, require
from deployer.local.rights.roles import Role

BATCH_LINES = 200
BATCH_SECONDS = 0.25
#: CloudWatch Logs takes 256 KiB per event.
LONGEST_LINE = 250_000


class LogStream:
    """One stream of one group, created when first needed; what the role may not log is lost, as on AWS."""

    def __init__(self, group: str, stream: str, role: Role) -> None:
        self._logs = load("services.cloudwatch_logs")
        for name in ("_create_log_group", "_create_log_stream", "_put_log_events"):
            require(self._logs, name, ("data",))
        self._where = {"logGroupName": group, "logStreamName": stream}
        responses = load("core.responses")
        arn = f"arn:aws:logs:{responses.get_region()}:{responses.get_account_id()}:log-group:{group}"
        self._may_log = (group in self._logs._log_groups or role.may("logs:CreateLogGroup", arn)) and all(
            role.may(f"logs:{action}", f"{arn}:log-stream:{stream}") for action in ("CreateLogStream", "PutLogEvents")
        )
        if self._may_log:
            self._logs._create_log_group({"logGroupName": group})
            self._logs._create_log_stream(self._where)

    def put(self, lines: list[tuple[int, str]]) -> None:
        """Append (milliseconds, text) lines; an empty line is an event too, as CloudWatch shows it."""
        events: list[dict[str, Any]] = [{"timestamp": moment, "message": text or " "} for moment, text in lines]
        if events and self._may_log:
            self._logs._put_log_events({**self._where, "logEvents": events})


def copy_lines(pipe: IO[bytes], stream: LogStream) -> None:
    """Send every line of `pipe` to `stream` until its last writer has ended."""
    import selectors

    waiting: list[tuple[int, str]] = []
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        sent_at = time.monotonic()
        while True:
            chunk = pipe.read1(1 << 16) if selector.select(BATCH_SECONDS) else None  # type: ignore[attr-defined]
            if chunk:
                *lines, rest = (rest + chunk).split(b"\n")
                waiting += [(int(time.time() * 1000), _text(line)) for line in lines]
            if waiting and (len(waiting) >= BATCH_LINES or time.monotonic() - sent_at > BATCH_SECONDS or chunk == b""):
                stream.put(waiting)
                waiting, sent_at = [], time.monotonic()
            if chunk == b"":
                break
    if rest:
        stream.put([(int(time.time() * 1000), _text(rest))])


def _text(line: bytes) -> str:
    return line[:LONGEST_LINE].decode("utf-8", "replace").rstrip("\r")
