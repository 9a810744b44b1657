"""The Glue catalog answers every partition call that the job and the deployer make."""

from __future__ import annotations

import uuid

import pytest
from botocore.exceptions import ClientError
from local_cloud import Cloud, Json


@pytest.fixture(scope="module")
def table(local_cloud: Cloud) -> dict[str, str]:
    """A table partitioned by month, with the 24 months of 2025 and 2026."""
    glue, database = local_cloud.client("glue"), f"catalog_{uuid.uuid4().hex[:8]}"
    glue.create_database(DatabaseInput={"Name": database})
    where = {"DatabaseName": database, "TableName": "refund"}
    storage = {"Location": "s3://lake/refund/", "Columns": [{"Name": "id", "Type": "string"}]}
    keys = [{"Name": "month", "Type": "string"}]
    table_input = {"Name": "refund", "PartitionKeys": keys, "StorageDescriptor": storage}
    glue.create_table(DatabaseName=database, TableInput=table_input)
    months = [f"{year}-{month:02d}" for year in (2025, 2026) for month in range(1, 13)]
    assert (
        glue.batch_create_partition(**where, PartitionInputList=[partition(month) for month in months])["Errors"] == []
    )
    return where


def partition(month: str, location: str = "") -> Json:
    return {"Values": [month], "StorageDescriptor": {"Location": location or f"s3://lake/refund/month={month}/"}}


EXPRESSIONS = {
    "month = '2026-10'": ["2026-10"],
    "month in ('2025-01', '2026-01')": ["2025-01", "2026-01"],
    "month between '2025-11' and '2026-02'": ["2025-11", "2025-12", "2026-01", "2026-02"],
    "month >= '2026-11' or month < '2025-02'": ["2025-01", "2026-11", "2026-12"],
    "month like '2025-1%' and not month = '2025-11'": ["2025-10", "2025-12"],
    "month <> '2025-01' and month <= '2025-02'": ["2025-02"],
    "month = '1999-01'": [],
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_partitions_by_expression(local_cloud: Cloud, table: dict[str, str], expression: str) -> None:
    """Given an Expression, then GetPartitions returns exactly the partitions that it selects."""
    found = local_cloud.client("glue").get_partitions(**table, Expression=expression)["Partitions"]
    assert [part["Values"][0] for part in found] == EXPRESSIONS[expression]


@pytest.mark.parametrize("expression", ["nope = 'x'", "month = (select 1)", "month ="])
def test_a_wrong_expression_is_refused(local_cloud: Cloud, table: dict[str, str], expression: str) -> None:
    """Given an expression about anything but the partition columns, then it is refused with InvalidInputException."""
    with pytest.raises(ClientError, match="InvalidInputException"):
        local_cloud.client("glue").get_partitions(**table, Expression=expression)


def test_segments_are_disjoint(local_cloud: Cloud, table: dict[str, str]) -> None:
    """Given segments, then each partition is in exactly one of them."""
    glue = local_cloud.client("glue")
    segments = [
        glue.get_partitions(**table, Segment={"SegmentNumber": number, "TotalSegments": 5})["Partitions"]
        for number in range(5)
    ]
    months = [part["Values"][0] for segment in segments for part in segment]
    assert (len(months), len(set(months))) == (24, 24)
    assert all(segments)


def test_what_nobody_gave_is_absent(local_cloud: Cloud, table: dict[str, str]) -> None:
    """Given a table without a description or an owner, then its record has neither; a given one is shown."""
    glue, database = local_cloud.client("glue"), table["DatabaseName"]
    storage = {"Location": "s3://lake/told/", "Columns": []}
    told = {"Name": "told", "Description": "of refunds", "StorageDescriptor": storage}
    glue.create_table(DatabaseName=database, TableInput=told)
    for found in (
        glue.get_table(DatabaseName=database, Name="refund")["Table"],
        next(each for each in glue.get_tables(DatabaseName=database)["TableList"] if each["Name"] == "refund"),
        glue.get_database(Name=database)["Database"],
    ):
        assert not {"Description", "Owner"} & set(found)
    assert glue.get_table(DatabaseName=database, Name="told")["Table"]["Description"] == "of refunds"


def test_pages(local_cloud: Cloud, table: dict[str, str]) -> None:
    """Given MaxResults, then pages have that size and together have everything once."""
    glue = local_cloud.client("glue")
    first = glue.get_partitions(**table, MaxResults=10)
    assert len(first["Partitions"]) == 10
    pages = glue.get_paginator("get_partitions").paginate(**table, PaginationConfig={"PageSize": 7})
    values = [part["Values"][0] for page in pages for part in page["Partitions"]]
    assert len(values) == len(set(values)) == 24


def test_update_and_delete(local_cloud: Cloud, table: dict[str, str]) -> None:
    """Given a partition, then UpdatePartition moves it, and BatchDeletePartition removes it and reports a missing one."""
    glue = local_cloud.client("glue")
    glue.create_partition(**table, PartitionInput=partition("2027-01"))
    glue.update_partition(
        **table, PartitionValueList=["2027-01"], PartitionInput=partition("2027-01", "s3://lake/run=2/")
    )
    moved = glue.get_partition(**table, PartitionValues=["2027-01"])["Partition"]
    assert moved["StorageDescriptor"]["Location"] == "s3://lake/run=2/"
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.update_partition(**table, PartitionValueList=["2027-02"], PartitionInput=partition("2027-02"))
    gone = glue.batch_delete_partition(**table, PartitionsToDelete=[{"Values": ["2027-01"]}, {"Values": ["2027-02"]}])
    assert [error["PartitionValues"] for error in gone["Errors"]] == [["2027-02"]]
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.get_partition(**table, PartitionValues=["2027-01"])


def test_limits_and_missing_tables(local_cloud: Cloud, table: dict[str, str]) -> None:
    """Given over 100 partitions in a call, the wrong number of values or a missing table, then the errors are AWS's."""
    glue = local_cloud.client("glue")
    many = [partition(f"{year:04d}-01") for year in range(101)]
    with pytest.raises(ClientError, match="less than or equal to 100"):
        glue.batch_create_partition(**table, PartitionInputList=many)
    with pytest.raises(ClientError, match="number of partition keys"):
        glue.create_partition(**table, PartitionInput={**partition("2027-01"), "Values": ["2027", "01"]})
    with pytest.raises(ClientError, match="EntityNotFoundException"):
        glue.get_partitions(DatabaseName=table["DatabaseName"], TableName="nope")
