"""What is told of a crawl: new fields once, base tables that are not as deployed, and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from crawled import handler
from crawled.catalog import differences, new_fields, read_tables
from refunds_alerts.message import Message, State, parse
from template_model import Filled, one_resource

Json = dict[str, Any]


def storage(location: str, **columns: str) -> Json:
    return {"Location": location, "Columns": [{"Name": name, "Type": type_} for name, type_ in columns.items()]}


@dataclass
class Catalog:
    """Glue's catalog: database -> table -> its document and its partitions."""

    tables: dict[str, dict[str, tuple[Json, list[Json]]]] = field(default_factory=dict)

    def table(self, database: str, name: str, place: Json, *parts: Json) -> None:
        document = {"Name": name, "StorageDescriptor": place, "PartitionKeys": [{"Name": "day"}], "CreateTime": "never"}
        self.tables.setdefault(database, {})[name] = (document, [{"StorageDescriptor": part} for part in parts])

    def get_paginator(self, name: str) -> Any:
        if name == "get_tables":
            return SimpleNamespace(
                paginate=lambda DatabaseName: [
                    {"TableList": [t[0]]} for t in self.tables.get(DatabaseName, {}).values()
                ]
            )
        return SimpleNamespace(
            paginate=lambda DatabaseName, TableName: [{"Partitions": self.tables[DatabaseName][TableName][1]}]
        )

    def update_table(self, *, DatabaseName: str, TableInput: Json) -> None:
        assert "CreateTime" not in TableInput
        _, parts = self.tables[DatabaseName][TableInput["Name"]]
        self.tables[DatabaseName][TableInput["Name"]] = ({**TableInput, "CreateTime": "never"}, parts)


@pytest.fixture
def catalog() -> Catalog:
    """Raw tables in which one source has begun to send two fields, one of them of the contract; base tables as deployed."""
    catalog = Catalog()
    old = {"id": "string", "amount": "string"}
    catalog.table(
        "raw_db",
        "raw_source_s3_json",
        storage("s3://raw/transactions/source=s3/", **old),
        storage("s3://raw/transactions/source=s3/ingest_date=2026-11-02/", **old, channel="string", parent_id="string"),
        storage("s3://raw/transactions/source=s3/ingest_date=2026-11-03/", **old, channel="string"),
    )
    catalog.table("raw_db", "raw_source_stream_json", storage("s3://raw/transactions/source=stream/", **old))
    live = storage("s3://base/base/refund/month=2026-10/run=2", id="string", amount="decimal(18,2)")
    dead = storage("s3://base/base/refund/month=2026-10/run=1", id="string")
    catalog.table("base_db", "refund", storage("s3://base/base/refund/", id="string", amount="decimal(18,2)"), live)
    catalog.table("crawled_db", "refund_parquet", storage("s3://base/base/refund", id="string"), dead, live)
    return catalog


def call(monkeypatch: pytest.MonkeyPatch, catalog: Catalog, crawler: str, state: str = "Succeeded") -> list[Message]:
    """Call the function with a crawler's event; what it publishes."""
    published: list[Json] = []
    clients = {"glue": catalog, "sns": SimpleNamespace(publish=lambda **message: published.append(message))}
    monkeypatch.setattr(handler.boto3, "client", clients.__getitem__)
    variables = {
        "RAW_CRAWLER": "raw", "RAW_DATABASE": "raw_db", "BASE_CRAWLER": "base", "CRAWLED_BASE_DATABASE": "crawled_db",
        "BASE_DATABASE": "base_db", "TOPIC_ARN": "arn", "AWS_REGION": "r",
    }  # fmt: skip
    assert (
        variables.keys() - {"AWS_REGION"}
        == one_resource("crawlers", "Crawled").properties["Environment"]["Variables"].keys()
    )
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    handler.handle({"id": "e1", "detail": {"crawlerName": crawler, "state": state}}, None)
    return [parse(json.loads(message["Message"])) for message in published]


def test_a_new_field_is_told_once_and_added_to_its_table(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    """Given a source that sends two fields more, then the one that the contract does not know is told, once, with its folder."""
    (message,) = call(monkeypatch, catalog, "raw")
    assert message.title == "Sources send a new field: channel"
    assert message.lines == (
        "raw_source_s3_json: channel (string), first in s3://raw/transactions/source=s3/ingest_date=2026-11-02",
    )
    assert (message.state, message.anchor) == (State.NEWS, "a-source-sends-a-new-field")
    (table, _) = read_tables(catalog, "raw_db")
    assert list(table.columns) == ["id", "amount", "channel", "parent_id"]
    assert call(monkeypatch, catalog, "raw") == []
    assert new_fields(read_tables(catalog, "raw_db")) == []


def test_base_tables_as_deployed_end_an_earlier_message(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    """Given live files as deployed beside those of a superseded run, then it is said that nothing differs."""
    (message,) = call(monkeypatch, catalog, "base")
    assert (message.state, message.lines, message.kind) == (State.RECOVERED, (), "drift")


def test_a_live_file_that_differs_is_told(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    """Given a live month with another type, a column too many and one too few, then each is named with its place."""
    found = storage("s3://base/base/refund/month=2026-10/run=2/", amount="double", extra="string")
    catalog.table("crawled_db", "refund_parquet", storage("s3://base/base/refund", id="string"), found)
    (message,) = call(monkeypatch, catalog, "base")
    assert message.state is State.PROBLEM
    assert message.lines == (
        (
            "refund: id is missing, extra string is not deployed, amount is double and not decimal(18,2), "
            "in s3://base/base/refund/month=2026-10/run=2"
        ),
    )
    assert differences(read_tables(catalog, "base_db"), []) == []


@pytest.mark.parametrize(("crawler", "state"), [("raw", "Failed"), ("another", "Succeeded")])
def test_other_events_are_nothing(monkeypatch: pytest.MonkeyPatch, catalog: Catalog, crawler: str, state: str) -> None:
    """Given a crawl that failed, or one of another crawler, then nothing is compared."""
    assert call(monkeypatch, catalog, crawler, state) == []


def test_neither_crawler_changes_a_table() -> None:
    """Given the crawlers, then both log what differs, and neither writes into the job's database."""
    for name in ("RawCrawler", "BaseCrawler"):
        crawler = one_resource("crawlers", name).properties
        assert crawler["SchemaChangePolicy"] == {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
        assert crawler["DatabaseName"] != "base_database"
    names = {
        one_resource("crawlers", name).properties["DatabaseInput"]["Name"]
        for name in ("RawDatabase", "CrawledBaseDatabase")
    }
    assert any("raw" in name for name in names) and any("base" in name for name in names)


def test_the_base_crawler_has_a_target_for_each_table() -> None:
    """Given the tables of the catalog, then each table's root is a target, and nothing beside them."""
    targets = one_resource("crawlers", "BaseCrawler").properties["Targets"]["S3Targets"]
    tables = [resource for resource in Filled("catalog").resources() if resource.type == "AWS::Glue::Table"]
    roots = {table.properties["TableInput"]["StorageDescriptor"]["Location"] for table in tables}
    assert {target["Path"] for target in targets} == roots
