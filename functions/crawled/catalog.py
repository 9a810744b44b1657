"""Tables and partitions of the catalog as values, and their differences. Pure except for the two readers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Columns = Mapping[str, str]
"""Name -> type."""


@dataclass(frozen=True)
class Part:
    """A partition: its location, and what was found there."""

    location: str
    columns: Columns


@dataclass(frozen=True)
class Table:
    """A table as it is in the catalog, with its partitions."""

    name: str
    location: str
    columns: Columns
    parts: tuple[Part, ...]
    document: Mapping[str, Any]


@dataclass(frozen=True)
class NewField:
    """A field that newer folders of a table have and its first folder does not."""

    table: str
    name: str
    type: str
    location: str


def read_tables(glue: Any, database: str) -> list[Table]:
    """Return the tables of a database, in the order of their names."""
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
    found = [_table(glue, database, each) for page in pages for each in page["TableList"]]
    return sorted(found, key=lambda table: table.name)


def _table(glue: Any, database: str, document: Mapping[str, Any]) -> Table:
    parts: list[Part] = []
    if document.get("PartitionKeys"):
        pages = glue.get_paginator("get_partitions").paginate(DatabaseName=database, TableName=document["Name"])
        parts = [_part(each["StorageDescriptor"]) for page in pages for each in page["Partitions"]]
    storage = document["StorageDescriptor"]
    return Table(document["Name"], storage["Location"].rstrip("/"), _columns(storage), tuple(parts), document)


def _part(storage: Mapping[str, Any]) -> Part:
    return Part(storage["Location"].rstrip("/"), _columns(storage))


def _columns(storage: Mapping[str, Any]) -> Columns:
    return {column["Name"]: column.get("Type", "") for column in storage.get("Columns", ())}


def new_fields(tables: Iterable[Table]) -> list[NewField]:
    """Return each field once, with the first folder that has it."""
    found: dict[tuple[str, str], NewField] = {}
    for table in tables:
        for part in sorted(table.parts, key=lambda part: part.location):
            for name, type_ in part.columns.items():
                if name not in table.columns:
                    found.setdefault((table.name, name), NewField(table.name, name, type_, part.location))
    return list(found.values())


def with_fields(table: Table, fields: Iterable[NewField]) -> dict[str, Any]:
    """Return the TableInput of a table with these fields added."""
    kept = {name: table.document[name] for name in TABLE_INPUT if name in table.document}
    added = [{"Name": field.name, "Type": field.type} for field in fields]
    storage = kept["StorageDescriptor"]
    return {**kept, "StorageDescriptor": {**storage, "Columns": [*storage["Columns"], *added]}}


TABLE_INPUT = ("Name", "Description", "Parameters", "PartitionKeys", "StorageDescriptor", "TableType")
"""The members of GetTable's answer that UpdateTable accepts."""


def differences(deployed: Iterable[Table], crawled: Iterable[Table]) -> list[str]:
    """Say how the files of live months differ from the deployed tables; superseded runs, which no partition of theirs
    names, are ignored. A crawler chooses its own names, so tables with the same location are the same.
    """
    by_place = {table.location: table for table in crawled}
    said: list[str] = []
    for table in deployed:
        found = by_place.get(table.location)
        live = {part.location for part in table.parts}
        for part in found.parts if found else ():
            if part.location in live and dict(part.columns) != dict(table.columns):
                said.append(f"{table.name}: {_difference(table.columns, part.columns)}, in {part.location}")
    return said


def _difference(deployed: Columns, found: Columns) -> str:
    parts = [
        *(f"{name} is missing" for name in _only(deployed, found)),
        *(f"{name} {found[name]} is not deployed" for name in _only(found, deployed)),
        *(
            f"{name} is {found[name]} and not {type_}"
            for name, type_ in deployed.items()
            if name in found and found[name] != type_
        ),
    ]
    return ", ".join(parts)


def _only(these: Columns, others: Collection[str]) -> list[str]:
    return [name for name in these if name not in others]
