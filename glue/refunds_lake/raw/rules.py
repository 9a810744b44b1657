"""The record contract: which raw records are transactions, and every reason why another one is not.

Works on the texts that `records` hands over, many records at a time; each rule is one entry of RULES. Nothing here can raise
on bad input, so that one bad record never stops the others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import reduce
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from refunds_lake.raw.records import Records
from refunds_lake.schema.columns import KINDS
from refunds_lake.schema.contract import BLANKS, IDS

ID_LENGTH: Final = 64
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
# Offsets up to 18 hours, as java.time has them; there is no year 0.
TIMESTAMP: Final = (
    r"^(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
    r"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|[+-]18(?::?00)?)?\z"
)
AMOUNT: Final = r"^[0-9]{1,16}(?:\.[0-9]{1,2})?\z"
MOMENT: Final = pa.timestamp("us", "UTC")
MONEY: Final = pa.decimal128(18, 2)
REJECTED: Final = "rejected"
_PARTS: Final = re.compile(
    r"(\d+)-(\d+)-(\d+)[T ](\d+):(\d+):(\d+)(?:\.(\d{1,6})\d*)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?", re.ASCII
)


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """Texts as values: ids trimmed, the type in lower case, timestamp and amount null where the text is no such thing."""

    ids: Mapping[str, pa.Array]
    type: pa.Array
    timestamp_text: pa.Array
    timestamp: pa.Array
    amount_text: pa.Array
    amount: pa.Array
    too_late: datetime
    invalid_utf8: Mapping[str, pa.Array]
    not_text: Mapping[str, pa.Array]

    @classmethod
    def of(cls, records: Records, too_late: datetime) -> Cleaned:
        """In: records of a file that takes no transaction from `too_late` on."""
        texts = records.texts
        return cls(
            ids={name: _filled(_trimmed(texts[name])) for name in IDS},
            type=_filled(_lowered(_trimmed(texts["type"]))),
            timestamp_text=_filled(texts["timestamp"]),
            timestamp=moments(texts["timestamp"]),
            amount_text=_filled(texts["amount"]),
            amount=amounts(texts["amount"]),
            too_late=too_late,
            invalid_utf8=records.invalid_utf8,
            not_text=records.not_text,
        )

    def only(self, rows: pa.Array) -> Cleaned:
        """Those of the records for which `rows` is true."""

        def chosen(value: object) -> object:
            if isinstance(value, Mapping):
                return {name: each.filter(rows) for name, each in value.items()}
            return value.filter(rows) if isinstance(value, pa.Array) else value

        return Cleaned(**{field.name: chosen(getattr(self, field.name)) for field in dataclasses.fields(self)})  # type: ignore[arg-type]


Rule = Callable[[Cleaned], pa.Array]


def _is(record: Cleaned, *kinds: str) -> pa.Array:
    return pc.is_in(record.type, pa.array(kinds))


def _not_text(record: Cleaned, name: str) -> pa.Array:
    return pc.fill_null(record.not_text[name], False)


def _invalid_utf8(record: Cleaned, *names: str) -> pa.Array:
    return reduce(pc.or_, (pc.fill_null(record.invalid_utf8[name], False) for name in names))


def _missing(record: Cleaned, name: str) -> pa.Array:
    return pc.and_not(pc.is_null(record.ids[name]), _not_text(record, name))


def _too_long(record: Cleaned, name: str) -> pa.Array:
    return pc.greater(pc.utf8_length(record.ids[name]), ID_LENGTH)


def _purchase(rule: Rule) -> Rule:
    return lambda record: pc.and_(_is(record, "purchase"), rule(record))


def _child(rule: Rule) -> Rule:
    return lambda record: pc.and_(_is(record, "refund", "void"), rule(record))


_PURCHASE_INVALID_UTF8 = _purchase(lambda record: _invalid_utf8(record, "customer_id", "merchant_id", "parent_id"))
_CHILD_INVALID_UTF8 = _child(lambda record: _invalid_utf8(record, "parent_id"))

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "invalid_utf8": lambda record: pc.or_(
            _invalid_utf8(record, "id"), pc.or_(_PURCHASE_INVALID_UTF8(record), _CHILD_INVALID_UTF8(record))
        ),
        "id_not_text": lambda record: _not_text(record, "id"),
        "id_missing": lambda record: _missing(record, "id"),
        "id_too_long": lambda record: _too_long(record, "id"),
        "type_missing": lambda record: pc.is_null(record.type),
        "type_unknown": lambda record: pc.and_not(pc.is_valid(record.type), _is(record, *KINDS)),
        "timestamp_missing": lambda record: pc.is_null(record.timestamp_text),
        "timestamp_invalid": lambda record: pc.and_(pc.is_valid(record.timestamp_text), pc.is_null(record.timestamp)),
        "timestamp_too_early": lambda record: pc.less(record.timestamp, pa.scalar(EARLIEST, MOMENT)),
        "timestamp_too_late": lambda record: pc.greater_equal(record.timestamp, pa.scalar(record.too_late, MOMENT)),
        "amount_missing": lambda record: pc.is_null(record.amount_text),
        "amount_invalid": lambda record: pc.and_(pc.is_valid(record.amount_text), pc.is_null(record.amount)),
        "amount_not_positive": lambda record: pc.less_equal(record.amount, pa.scalar(Decimal(0), MONEY)),
        "customer_id_not_text": _purchase(lambda record: _not_text(record, "customer_id")),
        "customer_id_missing": _purchase(lambda record: _missing(record, "customer_id")),
        "merchant_id_not_text": _purchase(lambda record: _not_text(record, "merchant_id")),
        "merchant_id_missing": _purchase(lambda record: _missing(record, "merchant_id")),
        "parent_id_present": _purchase(
            lambda record: pc.or_(pc.is_valid(record.ids["parent_id"]), _not_text(record, "parent_id"))
        ),
        "parent_id_not_text": _child(lambda record: _not_text(record, "parent_id")),
        "parent_id_missing": _child(lambda record: _missing(record, "parent_id")),
        "parent_id_too_long": _child(lambda record: _too_long(record, "parent_id")),
    }
)
"""Reason code -> the condition under which it applies; an unknown (null) condition does not."""


def broken(record: Cleaned, rules: Mapping[str, Rule] = RULES) -> dict[str, pa.Array]:
    """Reason code -> for which records it applies."""
    return {reason: pc.fill_null(rule(record), False) for reason, rule in rules.items()}


def reasons_of(broken_rules: Mapping[str, pa.Array]) -> pa.Array:
    """The list of reasons of each record; few lists are different ones, so each of those is made once."""
    codes = reduce(
        pc.add, (pc.multiply(each.cast(pa.int64()), 1 << place) for place, each in enumerate(broken_rules.values()))
    )
    found = codes.dictionary_encode()
    names = list(broken_rules)
    lists = [[name for place, name in enumerate(names) if code >> place & 1] for code in found.dictionary.to_pylist()]
    return pa.array(lists, pa.list_(pa.string())).take(found.indices)


def _trimmed(text: pa.Array) -> pa.Array:
    return pc.ascii_trim(text, BLANKS)


def _lowered(text: pa.Array) -> pa.Array:
    return pc.ascii_lower(text)


def _filled(text: pa.Array) -> pa.Array:
    """An empty text is none."""
    is_empty = pc.equal(text, "")
    return _where(pc.invert(is_empty), text) if pc.any(is_empty).as_py() else text


def _where(wanted: pa.Array, text: pa.Array) -> pa.Array:
    """The texts that are wanted, null for the others."""
    if text.offset:  # Arrow before 24 garbles slices here: https://github.com/apache/arrow/issues/49410
        text = pa.concat_arrays([text])
    return pc.if_else(wanted, text, None)


def amounts(text: pa.Array) -> pa.Array:
    """Plain decimals as decimal(18,2), never through a float; null for everything else."""
    is_plain = pc.match_substring_regex(text, AMOUNT)
    return _where(is_plain, text).cast(MONEY)


def moments(text: pa.Array) -> pa.Array:
    """ISO 8601 texts as instants, UTC where they name no offset, cut to microseconds; null for everything else."""
    text = _where(pc.match_substring_regex(text, TIMESTAMP), text)
    has_offset = pc.match_substring_regex(text, r"[Z+]|-[0-9:]{2,5}\z") if not _all_utc(text) else None
    try:
        if has_offset is not None:
            text = pc.if_else(has_offset, text, pc.binary_join_element_wise(text, "Z", ""))
        return text.cast(MOMENT)
    except pa.ArrowInvalid:  # one of them is the 30th of February, or has more than six digits
        return pa.array([None if each is None else _moment(each) for each in text.to_pylist()], MOMENT)


def _all_utc(text: pa.Array) -> bool:
    return pc.all(pc.ends_with(text, "Z")).as_py() is not False


def _moment(text: str) -> datetime | None:
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
