"""Crawlers of the local cloud read files, and create tables and partitions for them."""

from __future__ import annotations

import gzip
import io
import json
import re
import uuid
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, eventually

from deployer.local.glue.crawlers import folder_of, glob_pattern, table_name, type_of

GROUPING = json.dumps({"Version": 1.0, "Grouping": {"TableLevelConfiguration": 3}})
LOG = {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
Columns = dict[str, str]


class Crawler:
    """A crawler of a bucket's `transactions/`, with a database of its own."""

    def __init__(self, cloud: Cloud, **settings: Any) -> None:
        self.bucket, self.glue, self.s3 = cloud.bucket("crawled"), cloud.client("glue"), cloud.client("s3")
        self.name, self.database = f"c-{uuid.uuid4().hex[:8]}", f"raw_{uuid.uuid4().hex[:8]}"
        self.glue.create_database(DatabaseInput={"Name": self.database})
        target = {"Path": f"s3://{self.bucket}/transactions/", "Exclusions": ["**/_*", "**.tmp"]}
        given = {
            "DatabaseName": self.database,
            "Targets": {"S3Targets": [target]},
            "TablePrefix": "raw_",
            "SchemaChangePolicy": LOG,
            "Configuration": GROUPING,
            **settings,
        }
        self.glue.create_crawler(Name=self.name, Role=cloud.role("glue"), **given)

    def put(self, key: str, body: str | bytes) -> None:
        content = body.encode() if isinstance(body, str) else body
        self.s3.put_object(Bucket=self.bucket, Key=f"transactions/{key}", Body=content)

    def crawl(self) -> Any:
        """Crawl, and return how it ended."""
        self.glue.start_crawler(Name=self.name)

        def last() -> Any:
            found = self.glue.get_crawler(Name=self.name)["Crawler"]
            return found["LastCrawl"] if found["State"] == "READY" else None

        return eventually(last, seconds=30)

    def tables(self) -> dict[str, Columns]:
        found = self.glue.get_tables(DatabaseName=self.database)["TableList"]
        return {table["Name"]: columns(table) for table in found}

    def partitions(self, table: str) -> dict[tuple[str, ...], Columns]:
        found = self.glue.get_partitions(DatabaseName=self.database, TableName=table)["Partitions"]
        return {tuple(partition["Values"]): columns(partition) for partition in found}


def columns(holder: Any) -> Columns:
    return {column["Name"]: column["Type"] for column in holder["StorageDescriptor"]["Columns"]}


def test_each_source_and_format_becomes_a_table(local_cloud: Cloud) -> None:
    """Given files of three formats in two sources, then each is a table with its columns and a partition for each folder."""
    crawler = Crawler(local_cloud)
    parquet = io.BytesIO()
    pq.write_table(pa.table({"id": ["a"], "amount": pa.array([1], pa.decimal128(18, 2))}), parquet)
    crawler.put("source=stream/ingest_date=2026-11-01/a.jsonl.gz", gzip.compress(b'{"id": "P1", "amount": "1.00"}\n'))
    crawler.put("source=sftp/alice/a.csv", "id,amount\nP1,1.50\n")
    crawler.put("source=sftp/alice/a.parquet", parquet.getvalue())
    crawler.put("source=sftp/alice/_half.csv", "nothing")
    crawler.put("source=sftp/alice/b.csv.tmp", "nothing")
    crawler.put("source=sftp/alice/notes.txt", "nothing")
    assert crawler.crawl()["Status"] == "SUCCEEDED"
    assert crawler.tables() == {
        "raw_source_stream_json": {"id": "string", "amount": "string"},
        "raw_source_sftp_csv": {"id": "string", "amount": "double"},
        "raw_source_sftp_parquet": {"id": "string", "amount": "decimal(18,2)"},
    }
    assert set(crawler.partitions("raw_source_stream_json")) == {("2026-11-01",)}
    assert set(crawler.partitions("raw_source_sftp_csv")) == {("alice",)}


def test_a_new_field_is_in_the_new_folder_and_changes_no_table(local_cloud: Cloud) -> None:
    """Given a table, when a later day has a new field, then it is in the day's partition and the log, not in the table."""
    crawler = Crawler(local_cloud)
    crawler.put("source=s3/ingest_date=2026-11-01/a.jsonl", '{"id": "P1"}\n')
    crawler.crawl()
    crawler.put("source=s3/ingest_date=2026-11-02/a.jsonl", '{"id": "P2", "channel": "web"}\n')
    last = crawler.crawl()
    assert crawler.tables() == {"raw_source_s3_json": {"id": "string"}}
    assert crawler.partitions("raw_source_s3_json")[("2026-11-02",)] == {"id": "string", "channel": "string"}
    logs = local_cloud.client("logs")
    events = logs.get_log_events(logGroupName=last["LogGroup"], logStreamName=last["LogStream"])["events"]
    assert any("channel" in event["message"] for event in events)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"DatabaseName": "nowhere"}, "Database nowhere not found"),
        ({"SchemaChangePolicy": {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG"}}, "policy LOG"),
        ({"Targets": {"S3Targets": [{"Path": "s3://no-such-bucket-here/x/"}]}}, "NoSuchBucket"),
    ],
)
def test_a_crawl_that_cannot_be_done_fails_with_its_reason(
    local_cloud: Cloud, settings: dict[str, Any], reason: str
) -> None:
    """Given a missing database or bucket, or a policy that is not supported here, then the crawl fails and says why."""
    last = Crawler(local_cloud, **settings).crawl()
    assert last["Status"] == "FAILED"
    assert reason in last["ErrorMessage"]


def test_a_crawler_crawls_once_at_a_time(local_cloud: Cloud) -> None:
    """Given a running crawler, when it is started again, then the start is refused; so is that of an unknown crawler."""
    crawler = Crawler(local_cloud)
    for number in range(30):
        crawler.put(f"source=s3/ingest_date=2026-11-{number + 1:02}/a.jsonl", '{"id": "P1"}\n')
    crawler.glue.start_crawler(Name=crawler.name)
    with pytest.raises(ClientError, match="CrawlerRunningException"):
        crawler.glue.start_crawler(Name=crawler.name)
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        crawler.glue.start_crawler(Name="nobody")


@pytest.mark.parametrize(
    ("pattern", "key", "excluded"),
    [
        ("**/_*", "a/b/_c.csv", True),
        ("**/_*", "a/b/c_d.csv", False),
        ("**.tmp", "a/b.tmp", True),
        ("*.csv", "a/b.csv", False),
        ("?.csv", "b.csv", True),
    ],
)
def test_exclusions_are_globs(pattern: str, key: str, excluded: bool) -> None:
    """Given an exclusion, then one star stays in a folder, two cross folders, and a question mark is one character."""

    assert (re.fullmatch(glob_pattern(pattern), key) is not None) is excluded


def test_names_and_types_are_the_catalogs() -> None:
    """Given a folder and DuckDB's types, then the name has only letters and underscores, and text has no timestamps."""
    folder = folder_of("b", "transactions/source=third-party/x/y=1/a.csv", 2)
    assert folder is not None
    assert table_name("raw_", folder) == "raw_source_third_party_csv"
    assert folder.partition == (("partition_0", "x"), ("y", "1"))
    assert folder_of("b", "a.csv", 2) is None and folder_of("b", "a/b/c.xml", 2) is None
    assert [type_of(t, is_text=True) for t in ("TIMESTAMP", "BIGINT", "STRUCT(a INT)", "JSON")] == [
        "string",
        "bigint",
        "string",
        "string",
    ]
    assert type_of("TIMESTAMP", is_text=False) == "timestamp"
