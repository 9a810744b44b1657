"""From a fresh project directory to the refund report on this machine, with the commands of the README."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browser import dom_of, needs_browser
from documented import shown
from independent_answer import answer
from local_project import LocalProject
from refunds_lake.publishing.maintenance import lock_key
from repository import ROOT

TRANSACTIONS, MONTHS = 6000, 14


@dataclass(frozen=True)
class Lakehouse:
    """A project whose local cloud has ingested the sample; what deploy and run printed, and what is expected."""

    project: LocalProject
    deploy: str
    sample: str
    ingest: str
    run: str
    expected: dict[str, Any]

    def report(self, *arguments: str) -> Any:
        return json.loads(self.project.dataops("report", "--env", "local", "--format", "json", *arguments).stdout)


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lakehouse]:
    """Deploy, deliver a sample by both routes, run the job."""
    project = LocalProject.copy_to(tmp_path_factory.mktemp("lakehouse"))
    directory = project.directory
    try:
        done = project.dataops("deploy", "--env", "local", "--yes")
        deploy = done.stderr + done.stdout
        sample = ["--transactions", str(TRANSACTIONS), "--months", str(MONTHS), "--seed", "7"]
        made = project.dataops("sample", "--out", "sample", *sample).stdout
        files = sorted((directory / "sample").iterdir())
        streamed = directory / "streamed.jsonl"
        late_refund = {"id": "r-streamed", "type": "refund", "timestamp": "2026-10-31T10:00:00Z", "amount": "1.23"}
        purchase = {"id": "p-streamed", "type": "purchase", "timestamp": "2025-10-31T10:00:00Z", "amount": 9.5}
        parties = {"customer_id": "C-streamed", "merchant_id": "M1"}
        lines = [purchase | parties, late_refund | {"parent_id": "p-streamed"}]
        streamed.write_text("".join(json.dumps(line) + "\n" for line in lines))
        delivered = project.dataops(
            "ingest", "--env", "local", *[str(path.relative_to(directory)) for path in files]
        ).stdout
        project.dataops("ingest", "--env", "local", "--route", "stream", "--wait", str(streamed))
        run = project.dataops("run", "--env", "local").stdout
        yield Lakehouse(project, deploy, made, delivered, run, answer([*files, streamed]))
    finally:
        project.dataops("local", "stop", check=False)


def without_figures(text: str) -> list[str]:
    """The lines of an output without what is another one for another sample: ids, numbers, and the blanks before these."""
    text = re.sub(r"\b(?:\d{8}T\d{6}Z-[0-9a-f]{8}|[0-9a-f]{12}|C\d{6})\b", "ID", text.strip())
    text = re.sub(r" *(?<![\w-])\d[\d,.-]*(?=[ \"]|$)", " N", text, flags=re.MULTILINE)
    return re.sub(r"N [kM]B", "SIZE", text).splitlines()


def test_deploy_ends_with_the_verdict_and_the_report(lakehouse: Lakehouse) -> None:
    """Given a fresh directory, when it is deployed, then the smoke test passes and the refunds are printed."""
    assert "smoke test: pass" in lakehouse.deploy
    assert "total_refund" in lakehouse.deploy


def test_the_readme_shows_what_the_commands_print(lakehouse: Lakehouse) -> None:
    """Given the README's commands, when they are run, then they print its lines, with figures of their own."""
    for command, said in (
        ("sample --out sample --transactions 200000 --months 24 --seed 7", lakehouse.sample),
        ("ingest --env local sample/*", lakehouse.ingest),
        ("run --env local", lakehouse.run),
        ("deploy --env local --yes", lakehouse.project.dataops("deploy", "--env", "local", "--yes").stdout),
    ):
        assert without_figures(said) == without_figures(shown(command, "README.md"))
    for command in ("report --env local", "report --env local --month 2026-10 --format json"):
        said = without_figures(lakehouse.project.dataops(*command.split()).stdout)
        lines = without_figures(shown(command, "README.md"))
        assert [line for line in lines if line not in ("...", *said)] == []
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    (ending,) = re.findall(r"## The end of the first command's output\n```\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    lines, said = without_figures(ending), without_figures(lakehouse.deploy)
    assert [line for line in lines if line not in said] == []


def test_the_run_accounts_for_every_record(lakehouse: Lakehouse) -> None:
    """Given the sample, when the job has run, then its counts are those of an independent reading of the files."""
    counts = lakehouse.expected["counts"]
    assert counts["read"] == sum(counts[name] for name in ("kept", "duplicate", "superseded", "rejected"))
    words = lakehouse.run.replace(",", "")
    for name in ("read", "kept", "duplicate", "superseded", "rejected"):
        assert f"{counts[name]} {name}" in words


def test_the_report_agrees_with_an_independent_computation(lakehouse: Lakehouse) -> None:
    """Given the raw files, when plain Python computes the refunds, then the report has the same cents per customer."""
    assert lakehouse.expected["total"], "the sample has refunds"
    assert lakehouse.report() == lakehouse.expected["total"]


@needs_browser
def test_a_browser_reads_the_total_of_athena(lakehouse: Lakehouse, tmp_path: Path) -> None:
    """Given the finance page, when a browser opens it, then its total equals that of Athena's query, to the cent."""
    page = lakehouse.project.directory / "finance.html"
    lakehouse.project.dataops("report", "--env", "local", "--html", page.name)
    sql = "select sum(amount) as total from refund_detail where counted"
    asked = lakehouse.project.dataops("query", "--env", "local", "--format", "csv", sql).stdout.splitlines()
    total = re.search(r'id="total"[^>]*>([^<]+)<', dom_of(tmp_path, page.read_text(encoding="utf-8")))
    assert total is not None
    assert [total[1].replace(",", "")] == asked[1:]


def test_each_month_agrees_with_an_independent_computation(lakehouse: Lakehouse) -> None:
    """Given the raw files, when plain Python computes each month, then each month's report is the same."""
    monthly = lakehouse.expected["monthly"]
    assert len(monthly) >= MONTHS - 1
    for month in list(monthly)[-3:] + list(monthly)[:1]:
        assert lakehouse.report("--month", month) == monthly[month]


def test_deploying_again_changes_nothing(lakehouse: Lakehouse) -> None:
    """Given a deployed release, when it is deployed again, then nothing changes and the command says so."""
    again = lakehouse.project.dataops("deploy", "--env", "local", "--yes")
    assert "nothing to do" in again.stdout
    release = lakehouse.project.document("status", "--env", "local")["current"]["release"]
    plan = lakehouse.project.dataops("plan", "--env", "local", "--release", release)
    assert "no changes" in plan.stdout


def test_boto3_sees_what_aws_would_show(lakehouse: Lakehouse) -> None:
    """Given the endpoint, when boto3 looks inside, then stacks, job run, partitions and queries have AWS's names."""
    stacks = lakehouse.project.client("cloudformation").describe_stacks()["Stacks"]
    assert {stack["StackStatus"] for stack in stacks} == {"CREATE_COMPLETE"}
    glue = lakehouse.project.client("glue")
    runs = glue.get_job_runs(JobName=lakehouse.project.outputs("glue")["BaseTablesJobName"])["JobRuns"]
    assert [run["JobRunState"] for run in runs] == ["SUCCEEDED", "SUCCEEDED"]
    pages = glue.get_paginator("get_partitions").paginate(DatabaseName="refunds_base_local", TableName="refund")
    months = [partition["Values"][0] for page in pages for partition in page["Partitions"]]
    assert set(lakehouse.expected["monthly"]) <= set(months)
    athena = lakehouse.project.client("athena")
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
    assert lakehouse.project.client("s3").get_object(Bucket=bucket, Key=key)["ContentLength"] > 0


def test_the_job_log_reached_cloudwatch(lakehouse: Lakehouse) -> None:
    """Given a finished run, when its log is asked for, then what the job printed is there, as docs/operations.md shows it."""
    log = without_figures(lakehouse.project.dataops("logs", "--env", "local").stdout)
    lines = [line for line in log if line.startswith(("progress: ", "this run: ", "in total: "))]
    assert [*dict.fromkeys(lines)] == without_figures(shown("logs --env local --follow"))


def test_a_run_that_fails_says_why_in_the_jobs_own_words(lakehouse: Lakehouse) -> None:
    """Given tables that somebody has locked, when the job is run, then its own line of the log is the command's error."""
    base = lakehouse.project.outputs("storage")["BaseBucketName"]
    s3, lock = lakehouse.project.client("s3"), {"holder": "a person", "expires_at": "2099-01-01T00:00:00.000000Z"}
    s3.put_object(Bucket=base, Key=lock_key("base/"), Body=json.dumps(lock).encode())
    failed = lakehouse.project.dataops("run", "--env", "local", check=False)
    s3.delete_object(Bucket=base, Key=lock_key("base/"))
    assert failed.returncode == 5, failed.stderr
    assert "the end of the job's log:\n" in failed.stderr
    assert "error: refunds-lake-local-glue-base-tables: run a person is at work on these tables." in failed.stderr


def test_drift_finds_what_was_changed_by_hand(lakehouse: Lakehouse) -> None:
    """Given a deployed release without drift, when somebody suspends a bucket's versioning, then drift names it."""
    assert "no drift" in lakehouse.project.dataops("drift", "--env", "local").stdout
    raw = lakehouse.project.outputs("storage")["RawBucketName"]
    s3 = lakehouse.project.client("s3")
    s3.put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Suspended"})
    found = lakehouse.project.dataops("drift", "--env", "local", check=False)
    s3.put_bucket_versioning(Bucket=raw, VersioningConfiguration={"Status": "Enabled"})
    assert found.returncode == 3, found.stdout + found.stderr
    assert "storage" in found.stdout
    assert found.stdout.rstrip().endswith("environment local: 1 difference")
    assert "next: dataops plan --env local --revert-drift" in found.stderr


def test_a_stop_and_a_start_keep_everything(lakehouse: Lakehouse) -> None:
    """Given published tables, when the local cloud stops and starts again, then the report is the same."""
    before = lakehouse.report()
    lakehouse.project.dataops("local", "stop")
    assert lakehouse.report() == before
