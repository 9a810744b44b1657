"""The record contract in plain Python: one record at a time, with every rule that it breaks.

`refunds_lake.raw.rules` renders the same table with Arrow, and a test holds the two equal. A record is what JSON says it
is, numbers as `Number`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from refunds_lake.schema.columns import KINDS
from refunds_lake.schema.contract import (
    AMOUNT,
    BLANKS,
    CHILD,
    EARLIEST,
    FIELDS,
    ID_LENGTH,
    IDS,
    PURCHASE,
    RULES,
    TIMESTAMP,
    Fault,
    Rule,
)
from refunds_lake.schema.plain_values import json_text, moment, utf8

_IS_AMOUNT: Final = re.compile(AMOUNT).fullmatch
_IS_TIMESTAMP: Final = re.compile(TIMESTAMP).fullmatch


class Cleaned:
    """The fields of one record for the rules: texts, None if there is none."""

    __slots__ = ("given", "moment", "not_text", "texts", "too_late")

    def __init__(self, record: Mapping[str, Any], too_late: datetime) -> None:
        self.too_late = too_late
        self.not_text = {name for name in IDS if record.get(name) is not None and type(record[name]) is not str}
        self.given = {name: json_text(record.get(name)) if name not in self.not_text else None for name in FIELDS}
        self.texts = {name: utf8(text) or None for name, text in self.given.items()}
        for name in (*IDS, "type"):
            self.texts[name] = (self.texts[name] or "").strip(BLANKS) or None
        timestamp = self.texts["timestamp"]
        self.moment = moment(timestamp) if timestamp and _IS_TIMESTAMP(timestamp) else None

    @property
    def kind(self) -> str | None:
        """The type, if it is a valid one."""
        kind = (self.texts["type"] or "").lower()
        return kind if kind in KINDS else None

    def is_valid(self, name: str) -> bool:
        """Return whether timestamp and amount are valid."""
        return bool(self.moment if name == "timestamp" else _IS_AMOUNT(self.texts[name] or ""))


def _is_missing(record: Cleaned, name: str) -> bool:
    return record.texts[name] is None and name not in record.not_text


def _is_not_positive(record: Cleaned, name: str) -> bool:
    return record.is_valid(name) and not (record.texts[name] or "").strip("0.")


_HAS: Final[Mapping[Fault, Callable[[Cleaned, str], bool]]] = {
    Fault.INVALID_UTF8: lambda record, name: utf8(record.given[name]) != record.given[name],
    Fault.NOT_TEXT: lambda record, name: name in record.not_text,
    Fault.MISSING: _is_missing,
    Fault.TOO_LONG: lambda record, name: len(record.texts[name] or "") > ID_LENGTH,
    Fault.UNKNOWN: lambda record, name: record.texts[name] is not None and record.kind is None,
    Fault.INVALID: lambda record, name: record.texts[name] is not None and not record.is_valid(name),
    Fault.TOO_EARLY: lambda record, name: record.moment is not None and record.moment < EARLIEST,
    Fault.TOO_LATE: lambda record, name: record.moment is not None and record.moment >= record.too_late,
    Fault.NOT_POSITIVE: _is_not_positive,
    Fault.PRESENT: lambda record, name: record.texts[name] is not None or name in record.not_text,
}
_RULES: Final[Mapping[str | None, tuple[tuple[Callable[[Cleaned, str], bool], Rule], ...]]] = {
    kind: tuple((_HAS[rule.fault], rule) for rule in RULES if rule.types is None or kind in rule.types)
    for kind in (None, *KINDS)
}


# Most records look like this and need no further check: ids of printable ASCII without blanks at either end, an amount
# whose last digit before the point is not 0, a UTC timestamp in seconds. One pattern over all fields is the cheapest
# test.
_USUAL_ID: Final = rf"[!-~](?:[ -~]{{0,{ID_LENGTH - 2}}}[!-~])?\n"
_USUAL_REST: Final = (
    r"[0-9]{0,15}[1-9](?:\.[0-9]{1,2})?\n2[0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z"
)
_USUAL: Final = {
    kind: (itemgetter(*ids), re.compile(_USUAL_ID * len(ids) + _USUAL_REST).fullmatch)
    for kinds, ids in ((PURCHASE, ("id", "customer_id", "merchant_id")), (CHILD, ("id", "parent_id")))
    for kind in kinds
}
_AMOUNT_AND_TIMESTAMP: Final = itemgetter("amount", "timestamp")
_STRINGS: Final = {str}
_NO_RULES: Final[tuple[Rule, ...]] = ()


def _is_usual(record: Mapping[str, Any], too_late: datetime) -> bool:
    """Return whether a record certainly breaks no rule; if False, it may or may not."""
    try:
        ids_of, matches = _USUAL[record["type"]]
        ids, others = ids_of(record), _AMOUNT_AND_TIMESTAMP(record)
        return (
            matches("\n".join(ids + others)) is not None
            and set(map(type, ids)) == _STRINGS  # a Number is a str, too, but not an id
            and datetime.fromisoformat(others[1]) < too_late
            and (record["type"] in CHILD or "parent_id" not in record)
        )
    except (KeyError, TypeError, ValueError):
        return False


def broken_rules(record: Mapping[str, Any], too_late: datetime) -> Sequence[Rule]:
    """Return every rule of the contract that a record breaks, in the contract's order; none for a transaction."""
    if _is_usual(record, too_late):
        return _NO_RULES
    cleaned = Cleaned(record, too_late)
    return [rule for has_fault, rule in _RULES[cleaned.kind] if has_fault(cleaned, rule.field)]
