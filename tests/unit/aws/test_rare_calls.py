"""Calls that only a recovery makes are real requests: botocore checks each against AWS's own model, none is sent."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_aws import OUTPUTS
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.storage.objects import S3ObjectStore

from deployer.aws.cloudformation import AwsCloud
from deployer.aws.session import Access, Session
from deployer.lake.deployed_lake import lake_from
from deployer.lake.jobs import stop_run
from deployer.lake.queries import QueryTimedOut, run_query
from deployer.project.config import Environment, Project

STACK = "arn:aws:cloudformation:eu-west-1:111111111111:stack/lake-uat-glue/1"
TABLE = {"Table": {"Name": "refund", "PartitionKeys": [{"Name": "month"}], "StorageDescriptor": {"Columns": []}}}


class Answers:
    """A session whose requests are answered here, after botocore has checked them."""

    def __init__(self, **answers: Any) -> None:
        self.session = Session(
            Project("lake", Path("/project"), {}, {}, {}),
            Environment("uat", region="eu-west-1"),
            Access("http://127.0.0.1:1", "111111111111", "x"),
        )
        self.answers = answers
        self.calls: list[tuple[str, str]] = []

    def client(self, service: str) -> Any:
        client = self.session.client(service)
        client.meta.events.register("before-call", self._answer)
        return client

    def _answer(self, model: Any, **_: Any) -> tuple[Any, Any]:
        self.calls.append((model.service_model.service_name, model.name))
        return SimpleNamespace(status_code=200), self.answers.get(model.name, {})


def test_a_stuck_rollback_is_continued_and_a_failed_update_rolled_back() -> None:
    """Given a stack in each kind of failure, when it is recovered, then the call that AWS wants for it is made."""
    aws = Answers(ListChangeSets={"Summaries": [{"ChangeSetId": "id", "ChangeSetName": "dataops-1-glue"}]})
    cloud = AwsCloud(aws.client("cloudformation"))
    cloud.roll_back(STACK, token="run-1")
    cloud.continue_rollback(STACK, token="run-1")
    assert list(cloud.change_sets(STACK)) == [("id", "dataops-1-glue")]
    assert [operation for _, operation in aws.calls] == [
        "RollbackStack",
        "ContinueUpdateRollback",
        "ListChangeSets",
    ]


def test_a_stack_is_protected() -> None:
    """Given a stack that keeps data, when it is protected, then the call that AWS wants for it is made."""
    aws = Answers()
    AwsCloud(aws.client("cloudformation")).protect(STACK)
    assert aws.calls == [("cloudformation", "UpdateTerminationProtection")]


def test_a_query_that_takes_too_long_is_stopped() -> None:
    """Given a query that does not end, when the time is over, then it is stopped, so that it costs no more."""
    running = {"QueryExecution": {"Status": {"State": "RUNNING"}}}
    aws = Answers(StartQueryExecution={"QueryExecutionId": "q"}, GetQueryExecution=running)
    with pytest.raises(QueryTimedOut):
        run_query(lake_from("uat", OUTPUTS, aws.client), "select 1", database="base", timeout_seconds=0)
    assert aws.calls[-1] == ("athena", "StopQueryExecution")


def test_a_job_run_is_stopped() -> None:
    """Given a job run that must end, when it is stopped, then Glue is asked to."""
    aws = Answers()
    stop_run(lake_from("uat", OUTPUTS, aws.client), "jr_1")
    assert aws.calls == [("glue", "BatchStopJobRun")]


def test_a_data_rollback_moves_makes_and_drops_partitions() -> None:
    """Given months that move, come and go, when the catalog is changed, then each kind of partition call is made."""
    page = {"Partitions": [{"Values": ["2026-01"], "StorageDescriptor": {"Location": "s3://b/1"}}]}
    aws = Answers(GetTable=TABLE, GetPartitions=page)
    catalog = GlueCatalog(aws.client("glue"), "refunds_base_uat")
    assert catalog.months("refund") == {"2026-01": "s3://b/1"}
    catalog.update("refund", {"2026-01": "s3://b/2"})
    catalog.create("refund", {"2026-02": "s3://b/3"})
    catalog.drop("refund", ["2026-01"])
    assert [operation for _, operation in aws.calls] == [
        "GetPartitions",
        "GetTable",
        "BatchUpdatePartition",
        "BatchCreatePartition",
        "DeletePartition",
    ]


def test_old_control_files_are_deleted() -> None:
    """Given a lock that is given back, when its object is deleted, then one request takes it away."""
    aws = Answers()
    S3ObjectStore(aws.client("s3"), "lake-uat-storage-base").delete(["base/_lock.json"])
    assert aws.calls == [("s3", "DeleteObjects")]
