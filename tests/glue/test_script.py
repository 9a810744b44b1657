"""The script as Glue starts it: it returns when all is well and raises the reason when it is not."""

from __future__ import annotations

import json
import runpy
import sys
from typing import Any

import boto3
import pytest
from moto import mock_aws
from refunds_lake.job import run as job
from refunds_lake.job.context import JobOutcome
from refunds_lake.publishing import manifests as runs
from refunds_lake.publishing.history import read_history
from refunds_lake.spark.settings import quiet
from refunds_lake.storage.lock import LockHeld
from repository import ROOT

SCRIPT = ROOT / "glue" / "base_tables.py"
ARGUMENTS = [
    "--raw_bucket",
    "raw",
    "--base_bucket",
    "base",
    "--database",
    "refunds",
    "--JOB_NAME",
    "job",
    "--other",
    "x",
]

EARLIER = {
    "format": 1,
    "run_id": "20261101T000000Z-00000001",
    "job_run_id": "jr_1",
    "kind": "increment",
    "started_at": "2026-11-01T00:00:00.000000Z",
    "finished_at": "2026-11-01T00:01:00.000000Z",
    "reporting_time_zone": "UTC",
    "returns_to": None,
    "note": "",
    "counts": {"read": 0, "kept": 0, "duplicate": 0, "superseded": 0, "rejected": 0},
    "problems": [],
    "inputs": [],
    "tables": {},
}


def start(monkeypatch: pytest.MonkeyPatch, outcome: Any, *arguments: str) -> None:
    """Run the script's file with the work taken out of it, as Glue does: any exception out of here fails the run."""

    def run(settings: Any, context: Any) -> Any:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(job, "run", run)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *ARGUMENTS, *arguments])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-2")
    with mock_aws():
        runpy.run_path(str(SCRIPT), run_name="__main__")


def test_success_is_a_script_that_returns(
    spark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a run with nothing to do, when the script ends, then without SystemExit, which Glue takes for a failure."""
    start(monkeypatch, JobOutcome(None, (runs.Problem("a.txt", "unknown suffix"),), runs.State()))
    said = capsys.readouterr().out
    assert "problem: a.txt: unknown suffix" in said
    assert "nothing new to read" in said
    assert "warning" not in said


def test_a_sweep_that_failed_is_said_and_fails_nothing(
    spark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a run whose sweep failed, when the script ends, then it is a success with a warning and in the result."""
    start(monkeypatch, JobOutcome(None, (), runs.State(), sweep_failure="OSError: could not delete x"))
    said = capsys.readouterr().out
    assert "warning: old months could not be swept, the next run tries again: OSError: could not delete x" in said
    assert '"sweep_failure": "OSError: could not delete x"' in said


def test_failure_is_an_exception_with_the_reason(
    spark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given another run at work, when the script ends, then the exception and one line on stderr say so."""
    with pytest.raises(LockHeld, match="^run jr_1 is at work on these tables$"):
        start(monkeypatch, LockHeld("run jr_1 is at work on these tables"))
    assert capsys.readouterr().err == "error: run jr_1 is at work on these tables\n"


def test_what_an_earlier_version_recorded_is_carried_over_by_the_first_run(
    spark: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a manifest of before version 2 of the format, when the script runs, then the run finds it as one of today's."""
    found = []

    def run(settings: Any, context: Any) -> JobOutcome:
        found.extend(read_history(context.base, settings.base_prefix))
        return JobOutcome(None, (), runs.State())

    monkeypatch.setattr(job, "run", run)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *ARGUMENTS])
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket="base")
        s3.put_object(Bucket="base", Key=f"base/_runs/{EARLIER['run_id']}.json", Body=json.dumps(EARLIER))
        runpy.run_path(str(SCRIPT), run_name="__main__")
        keys = [each["Key"] for each in s3.list_objects_v2(Bucket="base")["Contents"]]
    assert [each.run_id for each in found] == [EARLIER["run_id"]]
    assert keys == ["base/_runs/00000001.json"]
    assert "carrying over what an earlier version recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from_month", "2026-01"], "--from_month and --to_month must be given together"),
        (["--full_refresh", "perhaps"], "'perhaps' is neither true nor false"),
        (["--from_month", "2026-13", "--to_month", "2026-12"], "'2026-13' is not a month"),
        (["--full_refresh", "true", "--replay", "true"], "cannot be combined"),
        (["--retention_days", "0"], "'0' is not a number of days from 1"),
    ],
)
def test_arguments_that_do_not_fit_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    """Given wrong arguments, when the script starts, then Glue's error message is the reason and no number."""
    with pytest.raises(Exception, match=says) as raised:
        start(monkeypatch, None, *arguments)
    assert type(raised.value).__name__ == "ArgumentsRefused"
    assert says in capsys.readouterr().err


@pytest.mark.parametrize("logger", ["StringUtils", "package"])
def test_a_cut_plan_is_no_news(spark: Any, logger: str) -> None:
    """Given the two loggers that warn of a plan's cut text, when a session is quiet, then they say errors only."""
    log4j = spark._jvm.org.apache.logging.log4j
    name = f"org.apache.spark.sql.catalyst.util.{logger}"
    spark.sparkContext.setLogLevel("WARN")
    try:
        assert log4j.LogManager.getLogger("org.apache.spark.sql.catalyst.Other").isWarnEnabled()
        quiet(spark)
        assert not log4j.LogManager.getLogger(name).isWarnEnabled()
        assert log4j.LogManager.getLogger(name).isErrorEnabled()
    finally:
        spark.sparkContext.setLogLevel("ERROR")
