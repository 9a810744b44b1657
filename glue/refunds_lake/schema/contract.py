"""The record contract as a table: fields, limits, patterns, formats, and every reason for a rejection.

Knows neither pyarrow nor Spark: the job renders it with Arrow (`rules`), others may in plain Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from refunds_lake.schema.columns import KINDS

FIELDS: Final = ("id", "type", "timestamp", "amount", "customer_id", "merchant_id", "parent_id")
REQUIRED: Final = FIELDS[:4]
"""Columns that a CSV or Parquet file must have; the others matter to some of the types only."""
IDS: Final = ("id", "customer_id", "merchant_id", "parent_id")
"""The fields that must be texts; numbers or lists there are named as such."""
BLANKS: Final = " \t\r\n"
"""Trimmed from ids and the type."""
ID_LENGTH: Final = 64
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
# Offsets up to 18 hours, as java.time has them; there is no year 0.
TIMESTAMP: Final = (
    r"(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})-[0-9]{2}-[0-9]{2}"
    r"[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
    r"(?:Z|[+-](?:0[0-9]|1[0-7])(?::?[0-5][0-9])?|[+-]18(?::?00)?)?"
)
AMOUNT: Final = r"[0-9]{1,16}(?:\.[0-9]{1,2})?"

JSON, CSV, PARQUET = "json", "csv", "parquet"
FORMATS: Final[Mapping[str, str]] = {
    **{suffix + gzip: JSON for gzip in ("", ".gz") for suffix in (".json", ".jsonl", ".ndjson")},
    **dict.fromkeys((".csv", ".csv.gz"), CSV),
    ".parquet": PARQUET,
}
"""Suffix of a raw file -> how it is read."""
WAITING_SUFFIXES: Final = (".tmp", ".part", ".filepart")


def is_waiting(key: str) -> bool:
    """Return whether an object is one that its sender will rename when it is complete: SFTP clients use these names."""
    return key.endswith(WAITING_SUFFIXES) or "/." in key


class Fault(Enum):
    """What can be wrong with a field."""

    INVALID_UTF8, NOT_TEXT, MISSING, TOO_LONG, UNKNOWN, INVALID, TOO_EARLY, TOO_LATE, NOT_POSITIVE, PRESENT = range(10)


@dataclass(frozen=True)
class Rule:
    """A record is rejected for this reason when its field has the fault."""

    reason: str
    field: str
    fault: Fault
    types: tuple[str, ...] | None = None
    """The types of transactions that it concerns; None for every record, of whatever type."""


PURCHASE: Final = ("purchase",)
CHILD: Final = ("refund", "void")
RULES: Final = (
    Rule("invalid_utf8", "id", Fault.INVALID_UTF8),
    Rule("invalid_utf8", "customer_id", Fault.INVALID_UTF8, PURCHASE),
    Rule("invalid_utf8", "merchant_id", Fault.INVALID_UTF8, PURCHASE),
    Rule("invalid_utf8", "parent_id", Fault.INVALID_UTF8, KINDS),
    Rule("id_not_text", "id", Fault.NOT_TEXT),
    Rule("id_missing", "id", Fault.MISSING),
    Rule("id_too_long", "id", Fault.TOO_LONG),
    Rule("type_missing", "type", Fault.MISSING),
    Rule("type_unknown", "type", Fault.UNKNOWN),
    Rule("timestamp_missing", "timestamp", Fault.MISSING),
    Rule("timestamp_invalid", "timestamp", Fault.INVALID),
    Rule("timestamp_too_early", "timestamp", Fault.TOO_EARLY),
    Rule("timestamp_too_late", "timestamp", Fault.TOO_LATE),
    Rule("amount_missing", "amount", Fault.MISSING),
    Rule("amount_invalid", "amount", Fault.INVALID),
    Rule("amount_not_positive", "amount", Fault.NOT_POSITIVE),
    Rule("customer_id_not_text", "customer_id", Fault.NOT_TEXT, PURCHASE),
    Rule("customer_id_missing", "customer_id", Fault.MISSING, PURCHASE),
    Rule("merchant_id_not_text", "merchant_id", Fault.NOT_TEXT, PURCHASE),
    Rule("merchant_id_missing", "merchant_id", Fault.MISSING, PURCHASE),
    Rule("parent_id_present", "parent_id", Fault.PRESENT, PURCHASE),
    Rule("parent_id_not_text", "parent_id", Fault.NOT_TEXT, CHILD),
    Rule("parent_id_missing", "parent_id", Fault.MISSING, CHILD),
    Rule("parent_id_too_long", "parent_id", Fault.TOO_LONG, CHILD),
)
NOT_JSON, CSV_MALFORMED, LINE_TOO_LONG = "not_json", "csv_malformed", "line_too_long"
"""Reasons why a line has no fields at all."""


def too_late(arrived: datetime) -> datetime:
    """Return the time from which a transaction is later than the day after its delivery."""
    return (arrived + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
