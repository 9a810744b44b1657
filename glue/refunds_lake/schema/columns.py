"""The columns of the base tables, as Hive types in catalog order.

This is the schema contract between the job, the Glue catalog templates and the SQL; how the rows get there is the
business of the other modules. No import of Spark: the deployer and the template tests read this too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Columns = tuple[tuple[str, str], ...]

PARTITION_KEY: Final = "month"

_TECHNICAL: Final[Columns] = (("ingested_at", "timestamp"), ("source_file", "string"))
_CHILD: Final[Columns] = (
    ("id", "string"),
    ("timestamp", "timestamp"),
    ("parent_id", "string"),
    ("amount", "decimal(18,2)"),
)

TABLES: Final[Mapping[str, Columns]] = {
    "purchase": (
        ("id", "string"),
        ("timestamp", "timestamp"),
        ("customer_id", "string"),
        ("merchant_id", "string"),
        ("amount", "decimal(18,2)"),
        *_TECHNICAL,
    ),
    "void": (*_CHILD, *_TECHNICAL),
    "refund": (*_CHILD, *_TECHNICAL),
    "refund_detail": (
        ("refund_id", "string"),
        ("customer_id", "string"),
        ("merchant_id", "string"),
        ("purchase_month", "string"),
        ("amount", "decimal(18,2)"),
        ("counted", "boolean"),
        ("reason", "string"),
    ),
    "rejected": (
        ("raw_text", "string"),
        ("reasons", "array<string>"),
        ("source_file", "string"),
        ("line_number", "bigint"),
        ("run_id", "string"),
        ("ingested_at", "timestamp"),
    ),
}
"""Every table in the order in which its months are published: parents before children, derived after its sources."""

SORTED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("purchase", "refund_detail"), ("customer_id",)),
    **dict.fromkeys(("void", "refund"), ("parent_id",)),
    "rejected": ("source_file", "line_number"),
}
"""Row order within a file: equal values side by side compress well."""

UNREPEATED: Final = ("id", "timestamp", "parent_id", "refund_id", "raw_text", "line_number")
"""Columns whose values hardly come twice: a dictionary of them costs time and saves nothing."""

ZSTD_LEVEL: Final = 1
"""Most bytes are random ids: higher levels take longer and make no smaller files of them."""

KINDS: Final = ("purchase", "void", "refund")
"""The transaction types; each is also the name of its table."""


def ddl(table: str) -> str:
    """Return the columns of a table as a Spark schema string, without the partition key."""
    return ", ".join(f"`{name}` {hive_type}" for name, hive_type in TABLES[table])


def names(table: str) -> list[str]:
    """Return the column names of a table in order, without the partition key."""
    return [name for name, _ in TABLES[table]]
