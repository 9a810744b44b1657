"""Values of a record in plain Python, one at a time: JSON values, texts that can be encoded, instants.

For what Arrow does not read, and for where there is no Arrow, as in the API's function.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

_PARTS: Final = re.compile(
    r"(\d+)-(\d+)-(\d+)[T ](\d+):(\d+):(\d+)(?:\.(\d{1,6})\d*)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)


class Number(str):
    """A JSON number, as it is written."""

    __slots__ = ()


def refuse_constant(name: str) -> Any:
    """Refuse NaN and Infinity, which are not JSON."""
    raise ValueError(name)


DECODER: Final = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=refuse_constant)


def json_text(value: Any) -> str | None:
    """Return a text, or a number as it is written; anything else becomes something that no field can be."""
    return value if value is None or isinstance(value, str) else "(neither a string nor a number)"


def utf8(text: str | None) -> str | None:
    """Return the text with the replacement character for invalid UTF-8 and unpaired surrogates."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def moment(text: str) -> datetime | None:
    """Return the instant of a text in the contract's pattern, in UTC; None if it is not in the calendar."""
    parts = _PARTS.fullmatch(text)
    assert parts is not None
    sign = -1 if parts[8] == "-" else 1
    offset = sign * timedelta(hours=int(parts[9] or 0), minutes=int(parts[10] or 0))
    year, month, day, hour, minute, second = (int(part) for part in parts.groups()[:6])
    microsecond = int((parts[7] or "0").ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, microsecond, timezone(offset)).astimezone(UTC)
    except OverflowError:  # before the year 1 or behind 9999: too early or too late anyway
        return datetime(1 if offset > timedelta() else 9999, 1, 1, tzinfo=UTC)
    except ValueError:
        return None
