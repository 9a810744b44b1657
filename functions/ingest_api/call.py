"""The records of a call, each with the caller's own text; a call without a valid envelope is refused as a whole.

The text goes onto the stream as it is: raw keeps what was sent, number for number. `refunds_lake.schema` says what a
record must be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from refunds_lake.schema.contract import BLANKS, LINE_TOO_LONG, NOT_JSON
from refunds_lake.schema.plain_values import DECODER

MOST_RECORDS: Final = 500
"""What one PutRecords takes."""
MOST_BYTES: Final = 5_000_000
MOST_RECORD_BYTES: Final = 1_000_000
"""Firehose refuses a record of more than 1,000 KiB, Kinesis one of more than 1 MiB with its key."""
_BLANK: Final = frozenset(BLANKS)
_DECODE: Final[Callable[[str, int], tuple[Any, int]]] = vars(DECODER)["scan_once"]
"""What raw_decode calls; twice as fast, and StopIteration is its error."""
_SEPARATOR: Final = re.compile(rf"[{BLANKS}]*([,\]])[{BLANKS}]*").match
_ENDS_OF_LINES: Final = str.maketrans("\r\n", "  ")


class Refused(Exception):
    """The call as a whole, with the status of the answer and the reason in it."""

    def __init__(self, status: int, reason: str, *, index: int | None = None, field: str = "records") -> None:
        super().__init__(reason)
        self.status, self.reason, self.index, self.field = status, reason, index, field


class Record(NamedTuple):
    """One element of `records`: its text in one line, and its fields where it is an object."""

    text: str
    fields: Mapping[str, Any] | None

    def fault(self) -> str | None:
        """Return why the element cannot be a record at all."""
        if self.fields is None:
            return NOT_JSON
        is_long = len(self.text) > MOST_RECORD_BYTES // 4 and len(self.text.encode()) > MOST_RECORD_BYTES
        return LINE_TOO_LONG if is_long else None


def records_of(body: str) -> list[Record]:
    """Return the records of a body ``{"records": [...]}``, one to MOST_RECORDS. Raise Refused."""
    try:
        if len(body.encode()) > MOST_BYTES:
            raise Refused(413, "too_many_bytes", field="body")
        found = _read(body)
    except UnicodeEncodeError:
        raise Refused(400, "invalid_utf8", field="body") from None
    except RecursionError:
        raise Refused(400, "nested_too_deeply") from None
    if found is None:
        raise Refused(400, "records_missing")
    if not found:
        raise Refused(400, "records_empty")
    if len(found) > MOST_RECORDS:
        raise Refused(400, "too_many_records")
    return found


def _read(body: str) -> list[Record] | None:
    """Parse the body's object member by member, the only way to know where each record begins and ends."""
    at, found = _skip(body, 0, "{"), None
    while body[at : at + 1] != "}":
        if body[at : at + 1] != '"':
            raise Refused(400, NOT_JSON, field="body")
        name, at = _value(body, at, None)
        at = _skip(body, at, ":")
        if name == "records" and body[at : at + 1] == "[":
            found, at = _elements(body, at)
        elif name == "records":
            raise Refused(400, "records_no_list")
        else:
            _, at = _value(body, at, None)
        at = _blank(body, at)
        if body[at : at + 1] == ",":
            at = _blank(body, at + 1)
            if body[at : at + 1] == "}":
                raise Refused(400, NOT_JSON, field="body")
        elif body[at : at + 1] != "}":
            raise Refused(400, NOT_JSON, field="body")
    if _blank(body, at + 1) != len(body):
        raise Refused(400, NOT_JSON, field="body")
    return found


def _elements(body: str, at: int) -> tuple[list[Record], int]:
    """Return the elements of the list that begins here, and the position of its end."""
    records: list[Record] = []
    has_lines = "\n" in body or "\r" in body
    at = _blank(body, at + 1)
    if body[at : at + 1] == "]":
        return records, at + 1
    while True:
        value, end = _value(body, at, len(records))
        text = body[at:end].translate(_ENDS_OF_LINES) if has_lines else body[at:end]
        records.append(Record(text, value if type(value) is dict else None))
        separator = _SEPARATOR(body, end)
        if separator is None:
            raise Refused(400, NOT_JSON, index=len(records) - 1)
        at = separator.end()
        if separator[1] == "]":
            return records, separator.end(1)


def _value(body: str, at: int, index: int | None) -> tuple[Any, int]:
    try:
        return _DECODE(body, at)
    except (StopIteration, ValueError):
        raise Refused(400, NOT_JSON, index=index, field="body" if index is None else "records") from None


def _skip(body: str, at: int, letter: str) -> int:
    at = _blank(body, at)
    if body[at : at + 1] != letter:
        raise Refused(400, NOT_JSON, field="body")
    return _blank(body, at + 1)


def _blank(body: str, at: int) -> int:
    while body[at : at + 1] in _BLANK:
        at += 1
    return at
