"""The record contract applied with Arrow: many records at a time, as values or with every reason for a rejection.

Works on the texts that `records` hands over. Nothing here can raise on bad input, so that one bad record never stops the
others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cached_property, partial, reduce
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from refunds_lake.raw.records import Records
from refunds_lake.schema import contract
from refunds_lake.schema.columns import KINDS
from refunds_lake.schema.contract import AMOUNT, BLANKS, EARLIEST, ID_LENGTH, IDS, TIMESTAMP, Fault
from refunds_lake.schema.plain_values import moment

MOMENT: Final = pa.timestamp("us", "UTC")
MONEY: Final = pa.decimal128(18, 2)
REJECTED: Final = "rejected"
_trimmed, _lowered = partial(pc.ascii_trim, characters=BLANKS), pc.ascii_lower


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """Texts as values: ids trimmed, the type in lower case, timestamp and amount null where the text is no such thing."""

    texts: Mapping[str, pa.Array]
    """Each of the fields; an empty one is null."""
    timestamp: pa.Array
    amount: pa.Array
    too_late: datetime
    records: Records
    """What the texts were made of."""

    @classmethod
    def of(cls, records: Records, too_late: datetime) -> Cleaned:
        """Clean records of a file that accepts no transaction from `too_late` on."""
        texts = records.texts
        return cls(
            texts={
                **{name: _filled(_trimmed(texts[name])) for name in IDS},
                "type": _filled(_lowered(_trimmed(texts["type"]))),
                "timestamp": _filled(texts["timestamp"]),
                "amount": _filled(texts["amount"]),
            },
            timestamp=moments(texts["timestamp"]),
            amount=amounts(texts["amount"]),
            too_late=too_late,
            records=records,
        )

    @cached_property
    def is_kind(self) -> Mapping[str, pa.Array]:
        """For each of KINDS, where the type is this one."""
        return {kind: pc.fill_null(pc.equal(self.texts["type"], kind), False) for kind in KINDS}

    def is_of(self, types: Sequence[str]) -> pa.Array:
        """Return where the type is one of several."""
        return reduce(pc.or_, (self.is_kind[kind] for kind in types))

    def value(self, name: str) -> pa.Array:
        """Return the meaning of timestamp or amount; null where it has none."""
        return self.timestamp if name == "timestamp" else self.amount

    def is_not_text(self, name: str) -> pa.Array:
        """Return where an id is a number or a list instead of a text."""
        return pc.fill_null(self.records.not_text[name], False)


Rule = Callable[[Cleaned], pa.Array]


def _is_missing(record: Cleaned, name: str) -> pa.Array:
    is_null = pc.is_null(record.texts[name])
    return pc.and_not(is_null, record.is_not_text(name)) if name in IDS else is_null


_HAS: Final[Mapping[Fault, Callable[[Cleaned, str], pa.Array]]] = {
    Fault.INVALID_UTF8: lambda record, name: record.records.invalid_utf8[name],
    Fault.NOT_TEXT: lambda record, name: record.is_not_text(name),
    Fault.MISSING: _is_missing,
    Fault.TOO_LONG: lambda record, name: pc.greater(pc.utf8_length(record.texts[name]), ID_LENGTH),
    Fault.UNKNOWN: lambda record, name: pc.and_not(pc.is_valid(record.texts[name]), record.is_of(KINDS)),
    Fault.INVALID: lambda record, name: pc.and_(pc.is_valid(record.texts[name]), pc.is_null(record.value(name))),
    Fault.TOO_EARLY: lambda record, name: pc.less(record.value(name), pa.scalar(EARLIEST, MOMENT)),
    Fault.TOO_LATE: lambda record, name: pc.greater_equal(record.value(name), pa.scalar(record.too_late, MOMENT)),
    Fault.NOT_POSITIVE: lambda record, name: pc.less_equal(record.value(name), pa.scalar(Decimal(0), MONEY)),
    Fault.PRESENT: lambda record, name: pc.or_(pc.is_valid(record.texts[name]), record.is_not_text(name)),
}


def _condition(rule: contract.Rule) -> Rule:
    has_fault, name, types = _HAS[rule.fault], rule.field, rule.types
    if types is None:
        return lambda record: pc.fill_null(has_fault(record, name), False)
    return lambda record: pc.and_(record.is_of(types), pc.fill_null(has_fault(record, name), False))


def _any(rules: Sequence[contract.Rule]) -> Rule:
    conditions = [_condition(rule) for rule in rules]
    return lambda record: reduce(pc.or_, (condition(record) for condition in conditions))


RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        reason: _any([rule for rule in contract.RULES if rule.reason == reason])
        for reason in dict.fromkeys(rule.reason for rule in contract.RULES)
    }
)
"""Reason -> the condition under which it applies; an unknown (null) condition does not."""


def broken(record: Cleaned, rules: Mapping[str, Rule] = RULES) -> dict[str, pa.Array]:
    """Return reason -> the records to which it applies."""
    return {reason: pc.fill_null(rule(record), False) for reason, rule in rules.items()}


def reasons_of(broken_rules: Mapping[str, pa.Array]) -> pa.Array:
    """Return the list of reasons of each record; there are few different lists, so each is made once."""
    codes = reduce(
        pc.add, (pc.multiply(each.cast(pa.int64()), 1 << place) for place, each in enumerate(broken_rules.values()))
    )
    found = codes.dictionary_encode()
    names = list(broken_rules)
    lists = [[name for place, name in enumerate(names) if code >> place & 1] for code in found.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.string())).take(found.indices)


def _filled(text: pa.Array) -> pa.Array:
    """Replace empty texts by null."""
    is_empty = pc.equal(text, "")
    return _where(pc.invert(is_empty), text) if pc.any(is_empty).as_py() else text


def _where(wanted: pa.Array, text: pa.Array) -> pa.Array:
    """Keep the wanted texts, else null; Arrow before 24 garbles slices: https://github.com/apache/arrow/issues/49410."""
    if text.offset or any(memoryview(text.buffers()[1] or b"")[:4]):
        text = pa.concat_arrays([text])
    return pc.if_else(wanted, text, None)


def _is_whole(text: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(text, rf"^(?:{pattern})\z")


def amounts(text: pa.Array) -> pa.Array:
    """Return plain decimals as decimal(18,2), never through a float; null for everything else."""
    return _where(_is_whole(text, AMOUNT), text).cast(MONEY)


def moments(text: pa.Array) -> pa.Array:
    """Return ISO 8601 texts as instants, UTC without an offset, cut to milliseconds; null for everything else."""
    text = _where(_is_whole(text, TIMESTAMP), text)
    all_utc = pc.all(pc.ends_with(text, "Z")).as_py() is not False
    has_offset = None if all_utc else pc.match_substring_regex(text, r"[Z+]|-[0-9:]{2,5}\z")
    try:
        if has_offset is not None:
            text = pc.if_else(has_offset, text, pc.binary_join_element_wise(text, "Z", ""))
        found = text.cast(MOMENT)
    except pa.ArrowInvalid:  # one of them is the 30th of February, or has more than six digits
        found = pa.array([None if each is None else moment(each) for each in text.to_pylist()], MOMENT)
    return found.cast(pa.timestamp("ms", "UTC"), safe=False).cast(MOMENT)
