"""The meaning of --since: a moment in UTC, from a length of time before now or from a date.

What is shown since then is up to the caller.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from deployer.errors import UsageError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SINCE_HELP = "30m, 6h, 7d or 2w before now, or YYYY-MM-DD, or YYYY-MM-DDTHH:MM, in UTC."


def moment_since(text: str, now: datetime) -> datetime:
    """Return the moment that a text means. Raise UsageError if it means none, or one in the future."""
    moment = _moment(text, now)
    if moment > now:
        raise UsageError(f"{text} is in the future", hint=SINCE_HELP)
    return moment


def _moment(text: str, now: datetime) -> datetime:
    try:
        if length := re.fullmatch(r"([0-9]{1,6})([mhdw])", text):
            return now - timedelta(**{_UNITS[length[2]]: int(length[1])})
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2})?", text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{text}' is not a time: {error}", hint=SINCE_HELP) from error
    raise UsageError(f"'{text}' is not a time", hint=SINCE_HELP)
