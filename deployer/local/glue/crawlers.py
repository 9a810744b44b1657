"""Crawlers that work: StartCrawler reads files with the crawler's role, and creates tables and partitions from them.

DuckDB reads some files of each folder. Existing tables and partitions stay as they are, and differences are logged, as
Glue does under the policy LOG; no other policy is supported. Names of tables and types follow Glue's documentation; a
table has one source and one format. https://docs.aws.amazon.com/glue/latest/dg/crawler-schema-changes-prevent.html
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import tempfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3

from deployer.local.completion import LocalCloud
from deployer.local.emulator.event_bus import emit
from deployer.local.emulator.on_loop import on_loop
from deployer.local.emulator.private_parts import load, replace, require
from deployer.local.rights.roles import taken_by

Data = dict[str, Any]
Columns = tuple[tuple[str, str], ...]
_log = logging.getLogger(__name__)

LOG_GROUP: Final = "/aws-glue/crawlers"
FILES_OF_A_FOLDER: Final = 5
FORMATS: Final = {"json": "json", "jsonl": "json", "ndjson": "json", "csv": "csv", "parquet": "parquet"}
READERS: Final = {
    "json": "read_json_auto({files}, format='newline_delimited', union_by_name=true, hive_partitioning=false)",
    "csv": "read_csv_auto({files}, header=true, union_by_name=true, hive_partitioning=false)",
    "parquet": "read_parquet({files}, union_by_name=true, hive_partitioning=false)",
}
#: DuckDB's types as the catalog calls them. Glue finds no timestamps in text.
TYPES: Final = {
    "VARCHAR": "string", "BIGINT": "bigint", "INTEGER": "int", "DOUBLE": "double", "FLOAT": "float",
    "BOOLEAN": "boolean", "DATE": "date", "TIMESTAMP": "timestamp", "TIMESTAMP WITH TIME ZONE": "timestamp",
    "VARCHAR[]": "array<string>",
}  # fmt: skip


class CrawlFailed(Exception):
    """The crawl ended without a result; the message is what GetCrawler shows."""


def install(cloud: LocalCloud) -> None:
    """Replace what starts a crawler."""
    glue = load("services.glue")
    require(glue, "_crawlers")
    replace(glue, "_start_crawler", lambda data: start(glue, cloud, data))


def start(glue: Any, cloud: LocalCloud, data: Data) -> Any:
    """Answer StartCrawler: refuse an unknown or running crawler, otherwise answer at once."""
    crawler = glue._crawlers.get(data.get("Name"))
    if crawler is None:
        return glue.error_response_json("EntityNotFoundException", f"Crawler {data.get('Name')} not found", 400)
    if crawler["State"] != "READY":
        return glue.error_response_json("CrawlerRunningException", f"Crawler {data['Name']} has already started", 400)
    crawler.update(State="RUNNING", CrawlElapsedTime=0)
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(_live, glue, cloud, crawler), daemon=True).start()
    return glue.json_response({})


def _live(glue: Any, cloud: LocalCloud, crawler: Data) -> None:
    """Run one crawl, in a thread of its own."""
    name, begun = crawler["Name"], time.time()
    on_loop(emit, "aws.glue", "Glue Crawler State Change", {"crawlerName": name, "state": "Started"})
    crawl = Crawl(crawler)
    try:
        crawl.run(_client(cloud, glue, crawler, "s3"), _client(cloud, glue, crawler, "glue"))
        last, detail = {"Status": "SUCCEEDED"}, {"state": "Succeeded", "message": "Crawler Succeeded", **crawl.counts()}
    except Exception as error:  # noqa: BLE001 - a crawl must end in a state, whatever fails here
        _log.warning("crawler %s failed", name, exc_info=True)
        last, detail = {"Status": "FAILED", "ErrorMessage": str(error)}, {"state": "Failed", "message": str(error)}
    where = {"LogGroup": LOG_GROUP, "LogStream": name, "MessagePrefix": str(uuid.uuid4()), "StartTime": begun}
    on_loop(_write_log, name, [*crawl.said, f"BENCHMARK : Crawler has finished running and is in state READY: {last}"])
    crawler.update(State="READY", CrawlElapsedTime=int((time.time() - begun) * 1000), LastCrawl={**where, **last})
    on_loop(emit, "aws.glue", "Glue Crawler State Change", {"crawlerName": name, **detail})


def _client(cloud: LocalCloud, glue: Any, crawler: Data, service: str) -> Any:
    """Return a client with the credentials of the crawler's role; raise `Denied` if Glue may not assume it."""
    account, role = glue.get_account_id(), str(crawler["Role"])
    arn = role if role.startswith("arn:") else f"arn:aws:iam::{account}:role/{role}"
    keys = on_loop(lambda: taken_by("glue.amazonaws.com", arn, crawler["Name"][:64]).credentials())
    return boto3.client(
        service,
        endpoint_url=cloud.url,
        region_name=glue.get_region(),
        aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=keys["AWS_SESSION_TOKEN"],
    )


def _write_log(stream: str, lines: Sequence[str]) -> None:
    logs = load("services.cloudwatch_logs")
    logs._create_log_group({"logGroupName": LOG_GROUP})
    logs._create_log_stream({"logGroupName": LOG_GROUP, "logStreamName": stream})
    events = [{"timestamp": int(time.time() * 1000), "message": line} for line in lines]
    logs._put_log_events({"logGroupName": LOG_GROUP, "logStreamName": stream, "logEvents": events})


@dataclass
class Crawl:
    """One crawl: what it has created, and what it logs."""

    crawler: Data
    made: dict[str, int] = field(default_factory=lambda: {"tablesCreated": 0, "partitionsCreated": 0})
    said: list[str] = field(default_factory=list)
    s3: Any = None
    glue: Any = None

    def run(self, s3: Any, glue: Any) -> None:
        """Crawl every target with these clients; raise `CrawlFailed`, or the error with which S3 or Glue refuses."""
        self.s3, self.glue = s3, glue
        policy = self.crawler.get("SchemaChangePolicy") or {}
        if set(policy.values()) != {"LOG"}:
            raise CrawlFailed("the local cloud supports only the crawler policy LOG for updates and deletions")
        try:
            self.glue.get_database(Name=self.crawler["DatabaseName"])
        except self.glue.exceptions.EntityNotFoundException as error:
            raise CrawlFailed(f"Database {self.crawler['DatabaseName']} not found") from error
        for target in self.crawler["Targets"].get("S3Targets") or ():
            for folder, keys in self._folders(target).items():
                self._crawl_folder(folder, keys)

    def counts(self) -> dict[str, str]:
        """Return what was created, as the event shows it."""
        return {name: str(count) for name, count in self.made.items()}

    def _folders(self, target: Mapping[str, Any]) -> dict[Folder, list[str]]:
        """Return the files of a target by table and folder."""
        bucket, _, prefix = target["Path"].removeprefix("s3://").partition("/")
        excluded = [re.compile(glob_pattern(each)) for each in target.get("Exclusions") or ()]
        found: dict[Folder, list[str]] = defaultdict(list)
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", ()):
                key = entry["Key"]
                folder = folder_of(bucket, key, table_level(self.crawler))
                if folder and entry["Size"] and not any(each.fullmatch(key[len(prefix) :]) for each in excluded):
                    found[folder].append(key)
        return found

    def _crawl_folder(self, folder: Folder, keys: Sequence[str]) -> None:
        name = table_name(self.crawler.get("TablePrefix", ""), folder)
        database = self.crawler["DatabaseName"]
        columns = self._columns(folder, keys)
        place = storage(f"s3://{folder.bucket}/{folder.root}/", columns, folder.format)
        if (known := self._table(database, name)) is None:
            keys_of_table = [{"Name": key, "Type": "string"} for key, _ in folder.partition]
            about = {"classification": folder.format, "UPDATED_BY_CRAWLER": self.crawler["Name"]}
            table = {
                "Name": name,
                "TableType": "EXTERNAL_TABLE",
                "Parameters": about,
                "PartitionKeys": keys_of_table,
                "StorageDescriptor": place,
            }
            self.glue.create_table(DatabaseName=database, TableInput=table)
            self.made["tablesCreated"] += 1
        else:
            had = {column["Name"] for column in known["StorageDescriptor"]["Columns"]}
            if more := [column for column, _ in columns if column not in had]:
                self.said.append(f"INFO : table {name} is unchanged; {folder.path} also has {', '.join(more)}")
        self._add_partition(database, name, folder, columns)

    def _table(self, database: str, name: str) -> Any:
        """Return the table as it is in the catalog, or None."""
        try:
            return self.glue.get_table(DatabaseName=database, Name=name)["Table"]
        except self.glue.exceptions.EntityNotFoundException:
            return None

    def _add_partition(self, database: str, name: str, folder: Folder, columns: Columns) -> None:
        """Add the folder's partition, unless it exists."""
        if not folder.partition:
            return
        values = [value for _, value in folder.partition]
        place = storage(f"s3://{folder.bucket}/{folder.path}/", columns, folder.format)
        partition = {"Values": values, "StorageDescriptor": place, "Parameters": {"classification": folder.format}}
        answer = self.glue.batch_create_partition(DatabaseName=database, TableName=name, PartitionInputList=[partition])
        for each in answer.get("Errors", ()):
            if each["ErrorDetail"]["ErrorCode"] != "AlreadyExistsException":
                raise CrawlFailed(f"{name}: {each['ErrorDetail']}")
        self.made["partitionsCreated"] += not answer.get("Errors")

    def _columns(self, folder: Folder, keys: Sequence[str]) -> Columns:
        """Return the columns of a folder's newest files, which show what its sender sends now."""
        with tempfile.TemporaryDirectory() as directory:
            files = []
            for number, key in enumerate(sorted(keys)[-FILES_OF_A_FOLDER:]):
                file = Path(directory) / f"{number}-{Path(key).name}"
                self.s3.download_file(folder.bucket, key, str(file))
                files.append(file)
            try:
                return infer(folder.format, files)
            except Exception as error:
                raise CrawlFailed(f"{folder.path} cannot be read as {folder.format}: {error}") from error


@dataclass(frozen=True)
class Folder:
    """A folder of files of one format: the table's root, and the partition below it."""

    bucket: str
    root: str
    path: str
    format: str
    partition: tuple[tuple[str, str], ...]


def table_level(crawler: Mapping[str, Any]) -> int:
    """Return the depth of the tables' folders below the bucket; Grouping.TableLevelConfiguration counts the bucket itself."""
    configuration = json.loads(crawler.get("Configuration") or "{}")
    return int((configuration.get("Grouping") or {}).get("TableLevelConfiguration", 2)) - 1


def folder_of(bucket: str, key: str, level: int) -> Folder | None:
    """Return where a file belongs, or None if its format is unknown or it is above the tables' folders."""
    *parts, file = key.split("/")
    format_ = FORMATS.get(file.lower().removesuffix(".gz").rpartition(".")[2])
    if format_ is None or len(parts) < level:
        return None
    partition = tuple(
        (name, value) if separator else (f"partition_{number}", part)
        for number, part in enumerate(parts[level:])
        for name, separator, value in [part.partition("=")]
    )
    return Folder(bucket, "/".join(parts[:level]), "/".join(parts), format_, partition)


def table_name(prefix: str, folder: Folder) -> str:
    """Return the name of a folder's table: letters, digits and underscores, with the format."""
    name = re.sub(r"[^a-z0-9_]", "_", folder.root.rpartition("/")[2].lower())
    return f"{prefix}{name}_{folder.format}"


def glob_pattern(text: str) -> str:
    """Return a crawler's exclusion as a regular expression. https://docs.aws.amazon.com/glue/latest/dg/define-crawler-choose-data-sources.html"""
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*|\?)", text))


def infer(format_: str, files: Iterable[Path]) -> Columns:
    """Return the names and types of the columns of these files."""
    import duckdb  # only crawls need it

    names = ", ".join("'" + str(file).replace("'", "''") + "'" for file in files)
    described = (
        duckdb.connect().execute(f"describe select * from {READERS[format_].format(files=f'[{names}]')}").fetchall()
    )
    return tuple((str(row[0]).lower(), type_of(str(row[1]), is_text=format_ != "parquet")) for row in described)


def type_of(type_: str, *, is_text: bool) -> str:
    """Return the catalog's type for a type of DuckDB."""
    if type_.startswith("DECIMAL"):
        return type_.lower()
    found = TYPES.get(type_, "string")
    return "string" if is_text and found in ("timestamp", "date") else found


SERDES: Final = {
    "json": ("org.apache.hadoop.mapred.TextInputFormat", "org.openx.data.jsonserde.JsonSerDe"),
    "csv": ("org.apache.hadoop.mapred.TextInputFormat", "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"),
    "parquet": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
}


def storage(location: str, columns: Columns, format_: str) -> Data:
    """Return a StorageDescriptor."""
    input_format, serde = SERDES[format_]
    return {
        "Columns": [{"Name": name, "Type": type_} for name, type_ in columns],
        "Location": location,
        "InputFormat": input_format,
        "SerdeInfo": {"SerializationLibrary": serde},
    }
