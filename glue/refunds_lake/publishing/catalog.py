"""The table catalog: which prefix holds each month of each table.

Only pointers live here. A month changes for every reader at once because its pointer changes in one call.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from refunds_lake.log_lines import JobFailure
from refunds_lake.schema.columns import PARTITION_KEY, Columns

BATCH: int = 100
"""Entries per BatchCreatePartition and BatchUpdatePartition call, AWS's limit."""


class CatalogError(JobFailure):
    """The catalog refused a change; the message names table, month and reason."""


@dataclasses.dataclass(frozen=True)
class GlueCatalog:
    """A Glue database through a boto3 client."""

    client: Any
    database: str
    _described: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict, compare=False)

    def columns(self, table: str) -> Columns:
        """Return name and type of the columns, without the partition key; raise CatalogError without a table."""
        return tuple((column["Name"], column["Type"]) for column in self._storage(table)["Columns"])

    def months(self, table: str) -> dict[str, str]:
        """Return month -> location of every published month."""
        named = {"DatabaseName": self.database, "TableName": table, "ExcludeColumnSchema": True}
        pages = self.client.get_paginator("get_partitions").paginate(**named)
        found = [each for page in pages for each in page["Partitions"]]
        return {each["Values"][0]: each["StorageDescriptor"]["Location"] for each in found}

    def create(self, table: str, locations: Mapping[str, str]) -> None:
        """Add months with their locations; raise CatalogError for one that exists."""
        for entries in self._batches(table, locations):
            self._check(table, self.client.batch_create_partition, PartitionInputList=entries)

    def update(self, table: str, locations: Mapping[str, str]) -> None:
        """Change the locations of existing months; raise CatalogError for one that does not exist."""
        for entries in self._batches(table, locations):
            moved = [{"PartitionValueList": each["Values"], "PartitionInput": each} for each in entries]
            self._check(table, self.client.batch_update_partition, Entries=moved)

    def drop(self, table: str, months: Iterable[str]) -> None:
        """Remove months from the table; months that do not exist are fine."""
        for month in months:
            with contextlib.suppress(self.client.exceptions.EntityNotFoundException):
                self.client.delete_partition(DatabaseName=self.database, TableName=table, PartitionValues=[month])

    def _storage(self, table: str) -> dict[str, Any]:
        if table in self._described:
            return self._described[table]
        try:
            response = self.client.get_table(DatabaseName=self.database, Name=table)
        except self.client.exceptions.EntityNotFoundException as error:
            raise CatalogError(f"the catalog has no table {self.database}.{table}; deploy the catalog first") from error
        keys = [key["Name"] for key in response["Table"].get("PartitionKeys", [])]
        if keys != [PARTITION_KEY]:
            raise CatalogError(f"{self.database}.{table} is partitioned by {keys}, not by [{PARTITION_KEY!r}]")
        storage: dict[str, Any] = response["Table"]["StorageDescriptor"]
        return self._described.setdefault(table, storage)

    def _batches(self, table: str, locations: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
        """Yield partitions in Glue's form, described like the table except for their locations, in batches for one call."""
        storage = self._storage(table) if locations else {}
        months = iter(sorted(locations))
        while some := list(itertools.islice(months, BATCH)):
            yield [{"Values": [each], "StorageDescriptor": {**storage, "Location": locations[each]}} for each in some]

    def _check(self, table: str, call: Callable[..., dict[str, Any]], **arguments: Any) -> None:
        """Make a call; Glue answers with success and lists the partitions that it refused."""
        for entry in call(DatabaseName=self.database, TableName=table, **arguments).get("Errors") or []:
            month = entry["PartitionValueList" if "PartitionValueList" in entry else "PartitionValues"][0]
            detail = entry.get("ErrorDetail", {})
            raise CatalogError(
                f"{self.database}.{table} month {month}: {detail.get('ErrorCode')} {detail.get('ErrorMessage')}"
            )
