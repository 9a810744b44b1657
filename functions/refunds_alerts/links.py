"""Addresses in AWS's console, for the links in messages."""

from __future__ import annotations

from urllib.parse import quote


def object_link(region: str, bucket: str, key: str) -> str:
    """Return the address of an object in S3."""
    return f"{_console(region)}/s3/object/{bucket}?region={region}&prefix={quote(key, safe='')}"


def database_link(region: str, database: str) -> str:
    """Return the address of a database of the Data Catalog."""
    return f"{_console(region)}/glue/home?region={region}#/v2/data-catalog/databases/view/{database}"


def crawler_link(region: str, crawler: str) -> str:
    """Return the address of a crawler."""
    return f"{_console(region)}/glue/home?region={region}#/v2/data-catalog/crawlers/view/{crawler}"


def run_link(region: str, job: str, run: str) -> str:
    """Return the address of a run of a Glue job."""
    return f"{_console(region)}/gluestudio/home?region={region}#/job/{job}/run/{run}"


def alarm_link(region: str, alarm: str) -> str:
    """Return the address of a CloudWatch alarm."""
    return f"{_console(region)}/cloudwatch/home?region={region}#alarmsV2:alarm/{quote(alarm)}"


def _console(region: str) -> str:
    return f"https://{region}.console.aws.amazon.com"
