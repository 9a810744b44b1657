"""The Glue job: bring the base tables up to date with the raw objects. Reads its arguments, builds the clients, runs.

Plain PySpark: Glue, spark-submit and the local cloud start it alike. The work is in the library refunds_lake.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import boto3
from pyspark.sql import SparkSession
from refunds_earlier.manifests import carry_over
from refunds_lake.job.context import JobContext, JobOutcome, JobSettings
from refunds_lake.job.run import run
from refunds_lake.log_lines import ERROR, PROBLEM, PROGRESS, WARNING, JobFailure
from refunds_lake.publishing.catalog import GlueCatalog
from refunds_lake.publishing.history import EarlierRecord
from refunds_lake.publishing.manifests import RunKind
from refunds_lake.spark.settings import SETTINGS, quiet
from refunds_lake.storage.lock import GlueJobRuns
from refunds_lake.storage.objects import S3ObjectStore

NAMESPACE = "RefundsLake"
UNSET = "-"
"""Glue has no empty arguments: this one stands for none."""


class ArgumentsRefused(JobFailure):
    """The arguments do not fit together; the message says which."""


class Parser(argparse.ArgumentParser):
    """A parser that raises where argparse would exit: Glue shows an exception's message, and of SystemExit its number."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentsRefused(message)


def main(arguments: Sequence[str]) -> None:
    """Run once; return when the tables are up to date, and raise what went wrong otherwise.

    Glue takes a script that returns for a success, and any exception, SystemExit(0) among them, for a failure whose
    ErrorMessage it is. Expected failures are also said in a line that begins with `error: `, and keep their traceback short.
    """
    try:
        _run(arguments)
    except JobFailure as error:
        print(f"{ERROR}{error}", file=sys.stderr, flush=True)
        raise error.with_traceback(None) from None


def _run(arguments: Sequence[str]) -> None:
    options = _parse(arguments)
    started = datetime.now(UTC)
    builder = SparkSession.builder.appName("base-tables")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    quiet(spark)
    s3, glue = boto3.client("s3"), boto3.client("glue")
    context = JobContext(
        spark=spark,
        raw=S3ObjectStore(s3, options.raw_bucket),
        base=S3ObjectStore(s3, options.base_bucket),
        catalog=GlueCatalog(glue, options.database),
        clock=lambda: datetime.now(UTC),
        say=lambda text: print(f"{PROGRESS}{text}", flush=True),
        is_over=GlueJobRuns(glue, options.JOB_NAME).is_over,
    )
    settings = JobSettings(
        raw_prefix=options.raw_prefix,
        base_prefix=options.base_prefix,
        reporting_time_zone=options.reporting_time_zone,
        job_run_id=options.JOB_RUN_ID or f"local{os.getpid()}",
        kind=_kind(options),
        months=None if options.from_month == UNSET else (options.from_month, options.to_month),
        replay_reason=options.replay_reason if options.replay_reason != UNSET else None,
        retention=timedelta(days=options.retention_days),
    )
    try:
        outcome = run(settings, context)
    except EarlierRecord:
        context.say("carrying over what an earlier version recorded of its runs")
        carry_over(context.base, settings.base_prefix)
        outcome = run(settings, context)
    _report(outcome, options.JOB_NAME, (datetime.now(UTC) - started).total_seconds())


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(allow_abbrev=False)
    parser.add_argument("--JOB_NAME", default="base-tables")
    parser.add_argument("--JOB_RUN_ID", default="")
    parser.add_argument("--raw_bucket", required=True)
    parser.add_argument("--base_bucket", required=True)
    parser.add_argument("--raw_prefix", default="transactions/")
    parser.add_argument("--base_prefix", default="base/")
    parser.add_argument("--database", required=True)
    parser.add_argument("--reporting_time_zone", default="UTC")
    parser.add_argument("--full_refresh", type=_truth, default=False)
    parser.add_argument("--from_month", type=_month, default=UNSET)
    parser.add_argument("--to_month", type=_month, default=UNSET)
    parser.add_argument("--replay", type=_truth, default=False)
    parser.add_argument("--replay_reason", default=UNSET)
    parser.add_argument("--retention_days", type=_days, default=30)
    options = parser.parse_known_args(arguments)[0]
    if (options.from_month == UNSET) != (options.to_month == UNSET):
        parser.error("--from_month and --to_month must be given together")
    if [options.full_refresh, options.replay, options.from_month != UNSET].count(True) > 1:
        parser.error("--full_refresh, --replay and --from_month cannot be combined")
    return options


def _kind(options: argparse.Namespace) -> RunKind:
    if options.from_month != UNSET:
        return RunKind.BACKFILL
    if options.replay:
        return RunKind.REPLAY
    return RunKind.FULL_REFRESH if options.full_refresh else RunKind.INCREMENT


def _month(text: str) -> str:
    if text != UNSET and not re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a month (YYYY-MM)")
    return text


def _days(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1")
    return int(text)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() == "true"


def _report(outcome: JobOutcome, job_name: str, duration_seconds: float) -> None:
    """Print the counts for people, for programs (one JSON line) and for CloudWatch."""
    counts = dict(outcome.manifest.counts) if outcome.manifest else dict.fromkeys(outcome.state.counts, 0)
    for problem in outcome.problems:
        print(f"{PROBLEM}{problem.key}: {problem.reason}", flush=True)
    for key in outcome.waiting:
        print(f"waiting for its sender to rename it: {key}", flush=True)
    if outcome.manifest is None:
        print("nothing new to read; the tables are unchanged", flush=True)
    print("this run: " + ", ".join(f"{name} {value}" for name, value in counts.items()), flush=True)
    print("in total: " + ", ".join(f"{name} {value}" for name, value in outcome.state.counts.items()), flush=True)
    if outcome.swept:
        print(f"swept {outcome.swept} files that were superseded before the retention period", flush=True)
    if outcome.sweep_failure:
        print(f"{WARNING}old months could not be swept, the next run tries again: {outcome.sweep_failure}", flush=True)
    document = {
        "run_id": outcome.manifest.run_id if outcome.manifest else None,
        "counts": counts,
        "cumulative": dict(outcome.state.counts),
        "problems": [{"key": problem.key, "reason": problem.reason} for problem in outcome.problems],
        "waiting": list(outcome.waiting),
        "recovered": outcome.recovered,
        "swept": outcome.swept,
        "sweep_failure": outcome.sweep_failure,
        "duration_seconds": round(duration_seconds, 1),
    }
    print(json.dumps(document), flush=True)
    metrics = {**counts, "problems": len(outcome.problems)}
    data = [
        {"MetricName": name, "Value": value, "Unit": "Count", "Dimensions": [{"Name": "Job", "Value": job_name}]}
        for name, value in metrics.items()
    ]
    data.append(
        {
            "MetricName": "duration",
            "Value": duration_seconds,
            "Unit": "Seconds",
            "Dimensions": [{"Name": "Job", "Value": job_name}],
        }
    )
    try:
        boto3.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=data)
    except Exception as error:  # noqa: BLE001 - the tables are published; a metric that is missing must not fail the run, but be seen
        print(f"{WARNING}the metrics could not be sent to CloudWatch: {error}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
