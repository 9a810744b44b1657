"""Called when a crawler has succeeded: reports fields that sources begin to send, and tables that have drifted.

A new field is reported once, because it is then added to the table of the raw catalog, where no crawler adds it. The job's
own tables are never changed here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from refunds_alerts.links import database_link
from refunds_alerts.message import Message, State, publish
from refunds_lake.schema.contract import FIELDS

from crawled.catalog import NewField, Table, differences, new_fields, read_tables, with_fields


@dataclass(frozen=True)
class Settings:
    """What the template gives the function."""

    region: str
    raw_crawler: str
    raw_database: str
    base_crawler: str
    crawled_base_database: str
    base_database: str
    topic_arn: str

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Settings:
        """Read the settings from the environment variables."""
        return cls(
            region=variables["AWS_REGION"],
            raw_crawler=variables["RAW_CRAWLER"],
            raw_database=variables["RAW_DATABASE"],
            base_crawler=variables["BASE_CRAWLER"],
            crawled_base_database=variables["CRAWLED_BASE_DATABASE"],
            base_database=variables["BASE_DATABASE"],
            topic_arn=variables["TOPIC_ARN"],
        )


def handle(event: Mapping[str, Any], context: object) -> None:
    """Compare after a successful crawl; ignore other events."""
    settings, detail = Settings.of(os.environ), event["detail"]
    if detail["state"] != "Succeeded":
        return
    glue = boto3.client("glue")
    if detail["crawlerName"] == settings.raw_crawler:
        look_at_raw(glue, settings)
    elif detail["crawlerName"] == settings.base_crawler:
        look_at_base(glue, settings, event["id"])


def look_at_raw(glue: Any, settings: Settings) -> None:
    """Report new fields, and add them to their tables."""
    tables = read_tables(glue, settings.raw_database)
    fields = new_fields(tables)
    unknown = [field for field in fields if field.name not in FIELDS]
    if unknown:
        tell(fields_message(unknown, settings), settings)
    for table in tables:
        added = [field for field in fields if field.table == table.name]
        if added:
            glue.update_table(DatabaseName=settings.raw_database, TableInput=with_fields(table, added))


def look_at_base(glue: Any, settings: Settings, crawl: str) -> None:
    """Report how the files of the base tables differ from what is deployed, or that they no longer do."""
    deployed = read_tables(glue, settings.base_database)
    crawled: list[Table] = read_tables(glue, settings.crawled_base_database)
    tell(drift_message(differences(deployed, crawled), settings, crawl), settings)


def fields_message(fields: Sequence[NewField], settings: Settings) -> Message:
    """Return the message about new fields, which break nothing."""
    names = ", ".join(sorted({field.name for field in fields}))
    return Message(
        kind="fields",
        title=f"Sources send {'a new field' if len(fields) == 1 else 'new fields'}: {names}",
        lines=tuple(f"{field.table}: {field.name} ({field.type}), first in {field.location}" for field in fields),
        link=database_link(settings.region, settings.raw_database),
        anchor="a-source-sends-a-new-field",
        id="fields/" + ",".join(sorted(f"{field.table}.{field.name}" for field in fields)),
    )


def drift_message(found: Sequence[str], settings: Settings, crawl: str) -> Message:
    """Return the message about tables that are not as deployed."""
    return Message(
        kind="drift",
        title="Files of the base tables are not as deployed" if found else "The base tables are as deployed again",
        lines=tuple(found),
        link=database_link(settings.region, settings.base_database),
        anchor="the-base-tables-have-drifted",
        state=State.PROBLEM if found else State.RECOVERED,
        id=f"drift/{crawl}",
    )


def tell(message: Message, settings: Settings) -> None:
    """Publish a message to the topic, and log it."""
    print(json.dumps({"message": message.title, "lines": message.lines}), flush=True)
    publish(boto3.client("sns"), settings.topic_arn, message)
