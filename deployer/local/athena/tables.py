"""The parts of a catalog table: its registered partitions, their files, and the files' Parquet footers.

Reads the emulator's catalog and S3 records; the only files it opens are data files of objects, through DuckDB.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.local.athena.errors import QueryError
from deployer.local.athena.projection import projected
from deployer.local.athena.types import UnknownType, duckdb_type, literal, quoted
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load
from deployer.local.glue.mounts import MOUNTS
from deployer.local.rights.judging import Access, Denied, require
from deployer.local.rights.objects import ObjectRights


@dataclass(frozen=True)
class Partition:
    """The values of the partition columns, empty if the table is not partitioned, and the data files."""

    values: tuple[str, ...]
    files: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table as the catalog has it at this moment."""

    database: str
    name: str
    columns: Mapping[str, str]
    partition_keys: Mapping[str, str]
    format: str
    partitions: tuple[Partition, ...]

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(itertools.chain.from_iterable(partition.files for partition in self.partitions))


@dataclass(frozen=True)
class Footer:
    """What a Parquet file's footer says: its columns, and the compressed bytes of each."""

    bytes_of: Mapping[str, int]


def read_tables(names: Sequence[tuple[str, str]], principal: Any) -> dict[tuple[str, str], Table]:
    """Return those of `names` that the catalog has, with their files, as far as `principal` may see and read them.

    Partitions are read first, then what running jobs have finished is imported, then files are listed. So a partition
    that a job has registered always shows the files with which it was registered.
    """
    glue = load("services.glue")
    found = {}
    for database, name in names:
        record = glue._tables.get(f"{database}/{name}")
        if record is not None:
            require_catalog(principal, database, name)
            found[database, name] = (record, _locations(record, glue._partitions.get(f"{database}/{name}", [])))
    buckets = sorted({location.split("/")[2] for _, parts in found.values() for _, location in parts})
    listings = on_loop(_list_buckets, buckets)
    for _, parts in found.values():
        on_loop(require_objects, ObjectRights(principal), [location for _, location in parts], listings)
    return {key: _table(key, record, parts, listings) for key, (record, parts) in found.items()}


def require_catalog(principal: Any, database: str, name: str) -> None:
    """Raise `QueryError` unless the caller may look up the table; catalog, database and table must all allow it.

    https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
    """
    responses = load("core.responses")
    glue = f"arn:aws:glue:{responses.get_region()}:{responses.get_account_id()}"
    try:
        for action in ("glue:GetTable", "glue:GetPartitions"):
            for resource in ("catalog", f"database/{database}", f"table/{database}/{name}"):
                require(principal, Access(action, f"{glue}:{resource}"))
    except Denied as denied:
        message = f"Insufficient permissions to execute the query. {denied}"
        raise QueryError("PERMISSION_DENIED", message) from denied


def require_objects(rights: ObjectRights, locations: Sequence[str], listings: Mapping[str, Sequence[str]]) -> None:
    """Raise `QueryError` unless the caller may list these locations and read their objects."""
    for location in locations:
        bucket, _, prefix = location.removeprefix("s3://").partition("/")
        try:
            rights.require("s3:ListBucket", bucket, prefix=prefix)
            for key in _keys(location, listings):
                rights.require_read(bucket, key)
        except Denied as denied:
            message = f"Permission denied on S3 path: {location}: {denied}"
            raise QueryError("PERMISSION_DENIED", message) from denied


def columns_of(database: str, table: str) -> dict[str, str] | None:
    """Return column -> catalog type (partition columns last), or None when there is no such table."""
    record = load("services.glue")._tables.get(f"{database}/{table}")
    if record is None:
        return None
    columns = [*(record.get("StorageDescriptor") or {}).get("Columns", []), *(record.get("PartitionKeys") or [])]
    return {column["Name"].lower(): column["Type"].lower() for column in columns}


def _locations(record: Mapping[str, Any], registered: Sequence[Mapping[str, Any]]) -> list[tuple[tuple[str, ...], str]]:
    """Return the partition values and S3 locations of the registered (or projected) partitions only."""
    location = ((record.get("StorageDescriptor") or {}).get("Location") or "").rstrip("/") + "/"
    keys = [key["Name"] for key in record.get("PartitionKeys") or []]
    if not location.startswith("s3://"):
        raise QueryError("HIVE_METASTORE_ERROR", f"Table {record['Name']} has no S3 location")
    if not keys:
        return [((), location)]
    if str((record.get("Parameters") or {}).get("projection.enabled", "")).lower() == "true":
        return projected(keys, record["Parameters"], location)
    return [
        (
            tuple(part["Values"]),
            ((part.get("StorageDescriptor") or {}).get("Location") or _usual_location(location, keys, part["Values"])),
        )
        for part in registered
    ]


def _usual_location(location: str, keys: Sequence[str], values: Sequence[str]) -> str:
    return location + "".join(f"{key}={value}/" for key, value in zip(keys, values, strict=True))


def _list_buckets(names: Sequence[str]) -> dict[str, list[str]]:
    """Return bucket -> sorted keys, with everything that running jobs have finished."""
    MOUNTS.import_finished()
    buckets = load("services.s3")._buckets
    return {name: sorted((buckets.get(name) or {"objects": {}})["objects"]) for name in names}


def _table(
    key: tuple[str, str],
    record: Mapping[str, Any],
    parts: Sequence[tuple[tuple[str, ...], str]],
    listings: Mapping[str, Sequence[str]],
) -> Table:
    storage = record.get("StorageDescriptor") or {}
    return Table(
        database=key[0],
        name=key[1],
        columns={column["Name"].lower(): column["Type"] for column in storage.get("Columns", [])},
        partition_keys={column["Name"].lower(): column["Type"] for column in record.get("PartitionKeys") or []},
        format=load("services.athena")._data_format(record),
        partitions=tuple(Partition(values, tuple(_files(location, listings))) for values, location in parts),
    )


def _files(location: str, listings: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the files of the data objects below a location."""
    s3, bucket = load("services.s3"), location.split("/")[2]
    return (s3._object_disk_path(bucket, key) for key in _keys(location, listings))


def _keys(location: str, listings: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield the keys of the data objects below a location: no directories, nothing hidden (``_`` or ``.`` in front)."""
    import bisect

    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    prefix = prefix if prefix.endswith("/") or not prefix else prefix + "/"
    keys = listings[bucket]
    for key in itertools.islice(keys, bisect.bisect_left(keys, prefix), None):
        if not key.startswith(prefix):
            break
        if key.endswith("/") or any(part[:1] in ("_", ".") for part in key[len(prefix) :].split("/")):
            continue
        yield key


class Footers:
    """Parquet footers by file, kept because a data file of the same name, size and time is the same file."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], Footer] = {}

    def read(self, connection: Any, files: Sequence[str]) -> dict[str, Footer]:
        """Return the footer of each file; unknown ones are read in one go."""
        signatures = {file: (file, (found := os.stat(file)).st_size, found.st_mtime_ns) for file in files}
        missing = [file for file, signature in signatures.items() if signature not in self._known]
        if missing:
            names = ", ".join(literal(file) for file in missing)
            found_columns: dict[str, dict[str, int]] = {file: {} for file in missing}
            schema = f"select file_name, name, coalesce(num_children, 0) from parquet_schema([{names}])"
            for file, column in top_level(connection.execute(schema).fetchall()):
                found_columns[file].setdefault(column, 0)
            chunks = (
                "select file_name, split_part(path_in_schema, ', ', 1), sum(total_compressed_size)"
                f" from parquet_metadata([{names}]) group by all"
            )
            for file, column, size in connection.execute(chunks).fetchall():
                found_columns[file][column] = int(size)
            for file in missing:
                self._known[signatures[file]] = Footer(found_columns[file])
        return {file: self._known[signature] for file, signature in signatures.items()}


def top_level(nodes: Sequence[tuple[str, str, int]]) -> Iterator[tuple[str, str]]:
    """Yield (file, column) of the outermost columns; `nodes` are (file, name, children) in the order of the schema."""
    open_children: list[int] = []
    for file, name, children in nodes:
        while open_children and open_children[-1] == 0:
            open_children.pop()
        if len(open_children) == 1:
            yield file, name
        if open_children:
            open_children[-1] -= 1
        open_children.append(children)


def view_sql(table: Table, footers: Mapping[str, Footer]) -> str:
    """Return a SELECT with exactly the catalog's columns and types over the registered partitions' files."""
    try:
        types = {name: duckdb_type(kind) for name, kind in {**table.columns, **table.partition_keys}.items()}
    except UnknownType as error:
        raise QueryError("HIVE_METASTORE_ERROR", f"{table.database}.{table.name}: {error}") from error
    branches = []
    for partition in table.partitions:
        if not partition.files:
            continue
        present = {name.lower() for file in partition.files for name in footers[file].bytes_of} if footers else None
        columns = [
            f"{_value(name, types[name], present is None or name in present)} as {quoted(name)}"
            for name in table.columns
        ]
        constants = [
            f"cast({literal(value)} as {types[key]}) as {quoted(key)}"
            for key, value in zip(table.partition_keys, partition.values, strict=True)
        ]
        branches.append(f"select {', '.join(columns + constants)} from {_scan(table, partition.files)}")
    if not branches:
        nothing = ", ".join(f"cast(null as {kind}) as {quoted(name)}" for name, kind in types.items())
        branches = [f"select {nothing} where false"]
    return " union all ".join(branches)


def _value(name: str, kind: str, is_present: bool) -> str:
    """Return a stored value as the catalog's type; timestamps have milliseconds, and Trino rounds the rest half up.

    https://github.com/trinodb/trino/issues/9141
    """
    value = f"cast({quoted(name) if is_present else 'null'} as {kind})"
    if kind != "TIMESTAMP":
        return value
    return f"make_timestamp(cast(floor((epoch_us({value}) + 500) / 1000) as bigint) * 1000)"


def _scan(table: Table, files: Sequence[str]) -> str:
    names = ", ".join(literal(file) for file in files)
    match table.format:
        case "parquet":
            return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"
        case "json":
            columns = ", ".join(
                f"{literal(name)}: {literal(duckdb_type(kind))}" for name, kind in table.columns.items()
            )
            return f"read_json([{names}], format = 'newline_delimited', hive_partitioning = false, columns = {{{columns}}})"
        case "csv":
            columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in table.columns)
            return f"read_csv([{names}], hive_partitioning = false, header = false, columns = {{{columns}}})"
    raise QueryError("NOT_SUPPORTED", f"the local cloud does not read {table.format} tables")
