"""Puts records onto the stream. PutRecords answers 200 even if it accepted only some, so the others are put again, for a while.

A caller whose call ends in NotTaken sends it again; what was put by then is a duplicate, which the job counts as one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

ATTEMPTS: Final = 6
FIRST_PAUSE_SECONDS: Final = 0.05
SECONDS_FOR_THE_ANSWER: Final = 3.0
"""No attempt begins later than this before the function's time is up."""
MOST_REQUEST_BYTES: Final = 5 * 1024**2
"""Of records and their keys together. https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html"""

Entry = dict[str, Any]


class NotTaken(Exception):
    """The stream did not take all records in time; the codes say why."""

    def __init__(self, left: int, codes: set[str], attempts: int) -> None:
        super().__init__(f"{left} records were not taken after {attempts} attempts: {', '.join(sorted(codes))}")


def put(kinesis: Any, stream: str, entries: list[Entry], *, remaining_seconds: Callable[[], float]) -> int:
    """Put entries (Data, PartitionKey) until all are accepted; return how many had to be put again. Raise NotTaken.

    They are those of one call, which are never more than one request takes.
    """
    waiting, again = entries, 0
    for attempt in range(1, ATTEMPTS + 1):
        try:
            answers = kinesis.put_records(StreamName=stream, Records=waiting)["Records"]
        except ClientError as error:
            codes = {error.response["Error"]["Code"]}
        except BotoCoreError as error:
            codes = {type(error).__name__}
        else:
            codes = {answer["ErrorCode"] for answer in answers if answer.get("ErrorCode")}
            waiting = left_to_put(waiting, answers)
        if not waiting:
            return again
        again += len(waiting)
        seconds = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)
        if attempt == ATTEMPTS or remaining_seconds() < SECONDS_FOR_THE_ANSWER + seconds:
            break
        time.sleep(seconds)
    raise NotTaken(len(waiting), codes, attempt)


def left_to_put(entries: Sequence[Entry], answers: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Return what has to be put again: entries that were not accepted, and accepted ones with the same keys behind them.

    Without the latter a correction would lie before what it corrects; twice on the stream it counts once.
    """
    left, late = [], set()
    for entry, answer in zip(entries, answers, strict=True):
        if answer.get("ErrorCode") or entry["PartitionKey"] in late:
            left.append(entry)
            late.add(entry["PartitionKey"])
    return left
