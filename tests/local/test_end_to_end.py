"""From a fresh project directory to the refund report on this machine, with the commands of the README."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from independent_answer import answer
from refunds_lake.publishing.maintenance import lock_key
from repository import ROOT

DATAOPS = str(Path(sys.executable).with_name("dataops"))
TRANSACTIONS, MONTHS = 6000, 14


@dataclass(frozen=True)
class Lakehouse:
    """A project directory whose local cloud holds the ingested sample."""

    directory: Path
    deploy: subprocess.CompletedProcess[str]
    run: subprocess.CompletedProcess[str]
    expected: dict[str, Any]

    def dataops(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return dataops(self.directory, *arguments, check=check)

    def client(self, service: str) -> Any:
        status = json.loads(self.dataops("--output", "json", "local", "status").stdout)
        return boto3.client(
            service,
            endpoint_url=status["url"],
            region_name=status["region"],
            aws_access_key_id=status["access_key_id"],
            aws_secret_access_key=status["secret_access_key"],
        )

    def report(self, *arguments: str) -> Any:
        return json.loads(self.dataops("report", "--env", "local", "--format", "json", *arguments).stdout)


def dataops(directory: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    run = subprocess.run([DATAOPS, *arguments], cwd=directory, capture_output=True, text=True, timeout=600, check=False)
    if check and run.returncode != 0:
        pytest.fail(f"dataops {' '.join(arguments)} ended with {run.returncode}\n{run.stdout}\n{run.stderr}")
    return run


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Deploy, deliver a sample by both routes, run the job."""
    directory = tmp_path_factory.mktemp("lakehouse")
    for name in ("templates", "glue", "athena", "functions"):
        shutil.copytree(ROOT / name, directory / name)
    shutil.copy(ROOT / "dataops.yml", directory)
    try:
        deploy = dataops(directory, "deploy", "--env", "local", "--yes")
        sample = ["--transactions", str(TRANSACTIONS), "--months", str(MONTHS), "--seed", "7"]
        dataops(directory, "sample", "--out", "sample", *sample)
        files = sorted((directory / "sample").iterdir())
        streamed = directory / "streamed.jsonl"
        late_refund = {"id": "r-streamed", "type": "refund", "timestamp": "2026-10-31T10:00:00Z", "amount": "1.23"}
        purchase = {"id": "p-streamed", "type": "purchase", "timestamp": "2025-10-31T10:00:00Z", "amount": 9.5}
        parties = {"customer_id": "C-streamed", "merchant_id": "M1"}
        lines = [purchase | parties, late_refund | {"parent_id": "p-streamed"}]
        streamed.write_text("".join(json.dumps(line) + "\n" for line in lines))
        dataops(directory, "ingest", "--env", "local", *[str(path.relative_to(directory)) for path in files])
        dataops(directory, "ingest", "--env", "local", "--route", "stream", "--wait", str(streamed))
        run = dataops(directory, "run", "--env", "local")
        yield Lakehouse(directory, deploy, run, answer([*files, streamed]))
    finally:
        dataops(directory, "local", "stop", check=False)


def test_deploy_ends_with_the_verdict_and_the_report(lakehouse: Lakehouse) -> None:
    """Given a fresh directory, when it is deployed, then the smoke test passes and the refunds are printed."""
    assert "smoke test: pass" in lakehouse.deploy.stdout
    assert "total_refund" in lakehouse.deploy.stdout


def test_the_run_accounts_for_every_record(lakehouse: Lakehouse) -> None:
    """Given the sample, when the job has run, then its counts are those of an independent reading of the files."""
    counts = lakehouse.expected["counts"]
    assert counts["read"] == sum(counts[name] for name in ("kept", "duplicate", "superseded", "rejected"))
    words = lakehouse.run.stdout.replace(",", "")
    for name in ("read", "kept", "duplicate", "superseded", "rejected"):
        assert f"{counts[name]} {name}" in words


def test_the_report_agrees_with_an_independent_computation(lakehouse: Lakehouse) -> None:
    """Given the raw files, when plain Python computes the refunds, then the report has the same cents per customer."""
    assert lakehouse.expected["total"], "the sample has refunds"
    assert lakehouse.report() == lakehouse.expected["total"]


def test_each_month_agrees_with_an_independent_computation(lakehouse: Lakehouse) -> None:
    """Given the raw files, when plain Python computes each month, then each month's report is the same."""
    monthly = lakehouse.expected["monthly"]
    assert len(monthly) >= MONTHS - 1
    for month in list(monthly)[-3:] + list(monthly)[:1]:
        assert lakehouse.report("--month", month) == monthly[month]


def test_deploying_again_changes_nothing(lakehouse: Lakehouse) -> None:
    """Given a deployed release, when it is deployed again, then nothing changes and that is said."""
    again = lakehouse.dataops("deploy", "--env", "local", "--yes")
    assert "nothing to do" in again.stdout


def test_boto3_sees_what_aws_would_show(lakehouse: Lakehouse) -> None:
    """Given the endpoint, when boto3 looks inside, then stacks, job run, partitions and queries have AWS's names."""
    stacks = {stack["StackName"]: stack for stack in lakehouse.client("cloudformation").describe_stacks()["Stacks"]}
    assert {stack["StackStatus"] for stack in stacks.values()} == {"CREATE_COMPLETE"}
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stacks["refunds-lake-local-glue"]["Outputs"]}
    glue = lakehouse.client("glue")
    runs = glue.get_job_runs(JobName=outputs["BaseTablesJobName"])["JobRuns"]
    assert [run["JobRunState"] for run in runs] == ["SUCCEEDED", "SUCCEEDED"]
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName="refunds_base_local", TableName="refund")
    months = [partition["Values"][0] for page in pages for partition in page["Partitions"]]
    assert set(lakehouse.expected["monthly"]) <= set(months)
    athena = lakehouse.client("athena")
    workgroups = [each["Name"] for each in athena.list_work_groups()["WorkGroups"] if each["Name"] != "primary"]
    query_ids = [
        query_id
        for workgroup in workgroups
        for query_id in athena.list_query_executions(WorkGroup=workgroup)["QueryExecutionIds"]
    ]
    executions = athena.batch_get_query_execution(QueryExecutionIds=query_ids[:5])["QueryExecutions"]
    assert {each["Status"]["State"] for each in executions} == {"SUCCEEDED"}
    location = executions[0]["ResultConfiguration"]["OutputLocation"].removeprefix("s3://")
    bucket, _, key = location.partition("/")
    assert lakehouse.client("s3").get_object(Bucket=bucket, Key=key)["ContentLength"] > 0


def test_the_job_log_reached_cloudwatch(lakehouse: Lakehouse) -> None:
    """Given a finished run, when its log is asked for, then the counts that the job printed are there."""
    logs = lakehouse.dataops("logs", "--env", "local")
    assert "this run: read" in logs.stdout


def test_a_run_that_fails_says_why_in_the_jobs_own_words(lakehouse: Lakehouse) -> None:
    """Given tables that somebody is at work on, when the job is run, then its own line of the log is the command's error."""
    stack = lakehouse.client("cloudformation").describe_stacks(StackName="refunds-lake-local-storage")["Stacks"][0]
    base = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "BaseBucketName")
    s3, lock = lakehouse.client("s3"), {"holder": "a person", "expires_at": "2099-01-01T00:00:00.000000Z"}
    s3.put_object(Bucket=base, Key=lock_key("base/"), Body=json.dumps(lock).encode())
    failed = lakehouse.dataops("run", "--env", "local", check=False)
    s3.delete_object(Bucket=base, Key=lock_key("base/"))
    assert failed.returncode == 5, failed.stderr
    assert "the end of the job's log:\n" in failed.stderr
    assert "error: refunds-lake-local-glue-base-tables: run a person is at work on these tables." in failed.stderr


def test_drift_finds_what_was_changed_by_hand(lakehouse: Lakehouse) -> None:
    """Given a deployed release, when somebody suspends a bucket's versioning, then drift names it, and nothing before."""
    assert "no drift" in lakehouse.dataops("drift", "--env", "local").stdout
    stack = lakehouse.client("cloudformation").describe_stacks(StackName="refunds-lake-local-storage")["Stacks"][0]
    raw = next(each["OutputValue"] for each in stack["Outputs"] if each["OutputKey"] == "RawBucketName")
    s3 = lakehouse.client("s3")
    s3.put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Suspended"})
    found = lakehouse.dataops("drift", "--env", "local", check=False)
    s3.put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Enabled"})
    assert found.returncode == 3, found.stdout + found.stderr
    assert "storage" in found.stdout
    assert found.stdout.rstrip().endswith("environment local: 1 difference")
    assert "next: dataops plan --env local --revert-drift" in found.stderr


def test_a_stop_and_a_start_keep_everything(lakehouse: Lakehouse) -> None:
    """Given published tables, when the local cloud stops and starts again, then the report is the same."""
    before = lakehouse.report()
    lakehouse.dataops("local", "stop")
    assert lakehouse.report() == before
