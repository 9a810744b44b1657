"""The table catalog: which prefix holds each month of each table, and its Glue adapter.

Only pointers live here. A month changes for every reader at once because its pointer changes in one call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from refunds_lake.columns import PARTITION_KEY, Columns

T = TypeVar("T")

BATCH: int = 100
"""Entries per BatchCreatePartition and BatchUpdatePartition call, AWS's limit."""


class CatalogError(Exception):
    """The catalog refused a change; the message names table, month and reason."""


class Catalog(Protocol):
    """One database."""

    def columns(self, table: str) -> Columns:
        """Name and type of the table's columns, without the partition key; raises CatalogError without a table."""

    def months(self, table: str) -> dict[str, str]:
        """Month -> location of every published month."""

    def point(self, table: str, locations: Mapping[str, str]) -> None:
        """Let each month be read from its location, whether the month is published already or not."""

    def drop(self, table: str, months: Iterable[str]) -> None:
        """Remove months from the table; months that are not there are fine."""


class GlueCatalog:
    """A Glue database through a boto3 client."""

    def __init__(self, client: Any, database: str) -> None:
        self._client = client
        self._database = database

    def columns(self, table: str) -> Columns:
        return tuple((column["Name"], column["Type"]) for column in self._storage(table)["Columns"])

    def months(self, table: str) -> dict[str, str]:
        pages = self._client.get_paginator("get_partitions").paginate(DatabaseName=self._database, TableName=table)
        return {
            partition["Values"][0]: partition["StorageDescriptor"]["Location"]
            for page in pages
            for partition in page["Partitions"]
        }

    def point(self, table: str, locations: Mapping[str, str]) -> None:
        if not locations:
            return
        storage = self._storage(table)

        def described(month: str) -> dict[str, Any]:
            return {"Values": [month], "StorageDescriptor": {**storage, "Location": locations[month]}}

        def update(months: list[str]) -> list[dict[str, Any]]:
            entries = [{"PartitionValueList": [month], "PartitionInput": described(month)} for month in months]
            return self._errors(self._client.batch_update_partition, table, Entries=entries)

        def create(months: list[str]) -> list[dict[str, Any]]:
            return self._errors(
                self._client.batch_create_partition, table, PartitionInputList=[described(month) for month in months]
            )

        absent = self._batches(update, table, sorted(locations), meanwhile="EntityNotFoundException")
        present = self._batches(create, table, absent, meanwhile="AlreadyExistsException")
        if leftover := self._batches(update, table, present, meanwhile="EntityNotFoundException"):
            raise CatalogError(f"{self._database}.{table}: {leftover[0]} comes and goes; is another writer at work?")

    def drop(self, table: str, months: Iterable[str]) -> None:
        for month in months:
            try:
                self._client.delete_partition(DatabaseName=self._database, TableName=table, PartitionValues=[month])
            except self._client.exceptions.EntityNotFoundException:
                continue

    def _storage(self, table: str) -> dict[str, Any]:
        try:
            response = self._client.get_table(DatabaseName=self._database, Name=table)
        except self._client.exceptions.EntityNotFoundException as error:
            raise CatalogError(
                f"the catalog has no table {self._database}.{table}; deploy the catalog first"
            ) from error
        keys = [key["Name"] for key in response["Table"].get("PartitionKeys", [])]
        if keys != [PARTITION_KEY]:
            raise CatalogError(f"{self._database}.{table} is partitioned by {keys}, not by [{PARTITION_KEY!r}]")
        storage: dict[str, Any] = response["Table"]["StorageDescriptor"]
        return storage

    def _errors(self, call: Callable[..., dict[str, Any]], table: str, **arguments: Any) -> list[dict[str, Any]]:
        return list(call(DatabaseName=self._database, TableName=table, **arguments).get("Errors") or [])

    def _batches(
        self, call: Callable[[list[str]], list[dict[str, Any]]], table: str, months: list[str], *, meanwhile: str
    ) -> list[str]:
        """Call in batches; the months that fail with the `meanwhile` code, any other failure is an error."""
        turned_away = []
        for batch in _batched(months, BATCH):
            for entry in call(batch):
                month = entry["PartitionValueList" if "PartitionValueList" in entry else "PartitionValues"][0]
                detail = entry.get("ErrorDetail", {})
                if detail.get("ErrorCode") != meanwhile:
                    raise CatalogError(
                        f"{self._database}.{table} month {month}: {detail.get('ErrorCode')} {detail.get('ErrorMessage')}"
                    )
                turned_away.append(month)
        return turned_away


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
