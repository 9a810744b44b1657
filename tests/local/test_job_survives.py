"""The real job on the local cloud, killed with kill -9 while its pointers move, and watched through Athena all the time."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import oracle
import pyarrow.parquet as pq
from local_cloud import Cloud, Jobs, Json, Lake, eventually
from refunds_lake.publishing.history import read_history
from refunds_lake.schema.columns import TABLES
from refunds_lake.storage.objects import S3ObjectStore
from repository import ROOT

MONTHLY = (ROOT / "athena" / "monthly_refunds.sql").read_text()
MONTHS = ("2024-09", "2024-10", "2024-11")
BASE = "base/"
SLOW_CATALOG = """
import time

def _after_a_while(change):
    def changed(*arguments):
        time.sleep(0.3)
        change(*arguments)
    return changed

for _name in ("update", "create", "drop"):
    setattr(GlueCatalog, _name, _after_a_while(getattr(GlueCatalog, _name)))
"""
"""Added to the job's catalog module: publishing takes seconds, so that a test can interrupt it."""
Report = tuple[tuple[str | None, ...], ...]


def purchase(id: str, month: int, customer: str) -> Json:
    return {"id": id, "type": "purchase", "timestamp": f"2024-{month:02d}-05T00:00:00Z", "amount": "100", "customer_id": customer,
            "merchant_id": "m"}  # fmt: skip


def refund(id: str, parent: str, month: int, amount: str) -> Json:
    return {
        "id": id,
        "type": "refund",
        "timestamp": f"2024-{month:02d}-07T00:00:00Z",
        "amount": amount,
        "parent_id": parent,
    }


FIRST = [purchase("p1", 8, "c1"), purchase("p2", 9, "c2"),
         refund("r1", "p1", 10, "10"), refund("r2", "p2", 10, "5"), refund("r3", "p1", 9, "2")]  # fmt: skip
MOVES = [refund("r1", "p1", 11, "11"), purchase("p2", 9, "c3"), refund("r4", "p2", 11, "1")]
EMPTIES = [refund("r3", "p1", 10, "2"), {**refund("v1", "r4", 11, "1"), "type": "void"}]
"""r1 moves to November and p2 to another customer; then r3 leaves September empty and r4 is voided."""

STAGES: list[dict[str, Report]] = [
    {"2024-09": (("c1", "2.00"),), "2024-10": (("c1", "10.00"), ("c2", "5.00")), "2024-11": ()},
    {"2024-09": (("c1", "2.00"),), "2024-10": (("c3", "5.00"),), "2024-11": (("c1", "11.00"), ("c3", "1.00"))},
    {"2024-09": (), "2024-10": (("c1", "2.00"), ("c3", "5.00")), "2024-11": (("c1", "11.00"),)},
]
"""The report of each month after each delivery, by hand."""


class Lakehouse:
    """Buckets, tables and the job of this repository on the local cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.jobs = cloud, Jobs(cloud)
        self.raw, self.base = cloud.bucket("raw"), cloud.bucket("base")
        self.database = f"survives_{uuid.uuid4().hex[:8]}"
        self.s3, self.glue = cloud.client("s3"), cloud.client("glue")
        self._declare_tables()
        self._deploy_job()
        athena = cloud.client("athena")
        athena.create_work_group(
            Name=self.database,
            Configuration={"ResultConfiguration": {"OutputLocation": f"s3://{cloud.bucket('results')}/"}},
        )
        self.athena = Lake(cloud, self.database, self.base, self.database)

    def _declare_tables(self) -> None:
        self.glue.create_database(DatabaseInput={"Name": self.database})
        for table, columns in TABLES.items():
            storage = {
                "Location": f"s3://{self.base}/{BASE}{table}/",
                "Columns": [{"Name": name, "Type": type_} for name, type_ in columns],
            }
            declared = {"Name": table, "Parameters": {"classification": "parquet"}, "StorageDescriptor": storage}
            months = [{"Name": "month", "Type": "string"}]
            self.glue.create_table(DatabaseName=self.database, TableInput={**declared, "PartitionKeys": months})

    def _deploy_job(self) -> None:
        library = io.BytesIO()
        with zipfile.ZipFile(library, "w") as archive:
            for path in (ROOT / "glue" / "refunds_lake").rglob("*.py"):
                added = SLOW_CATALOG if path.name == "catalog.py" else ""
                archive.writestr(str(path.relative_to(ROOT / "glue")), path.read_text() + added)
        self.s3.put_object(Bucket=self.base, Key="code/library.zip", Body=library.getvalue())
        arguments = {"--extra-py-files": f"s3://{self.base}/code/library.zip", "--raw_bucket": self.raw}
        arguments |= {"--base_bucket": self.base, "--database": self.database, "--custom-logGroup-prefix": "/survives"}
        arguments["--conf"] = "spark.hadoop.fs.s3a.endpoint.region=ap-southeast-2"
        self.job = self.jobs.job((ROOT / "glue" / "base_tables.py").read_text(), DefaultArguments=arguments)

    def deliver(self, name: str, records: list[Json]) -> None:
        body = "".join(json.dumps(record) + "\n" for record in records).encode()
        self.s3.put_object(Bucket=self.raw, Key=f"transactions/source=s3/{name}.json", Body=body)
        time.sleep(1)  # modification times have seconds, and the later delivery must win

    def start(self) -> str:
        return str(self.glue.start_job_run(JobName=self.job)["JobRunId"])

    def run(self) -> None:
        run = self.jobs.ended(self.job, self.start(), 400)
        assert run["JobRunState"] == "SUCCEEDED", run

    def run_and_kill(self, when: Callable[[], bool]) -> None:
        """Start a run, pause its processes once it has committed, resume them in short steps, and kill -9 at `when`."""
        run_id = self.start()
        group = eventually(lambda: process_group(run_id), seconds=60)
        eventually(lambda: self.publishing() == run_id, seconds=400)
        os.killpg(group, signal.SIGSTOP)
        while not when():
            os.killpg(group, signal.SIGCONT)
            time.sleep(0.002)
            os.killpg(group, signal.SIGSTOP)
        assert self.publishing() == run_id, "the publication was over before it could be killed"
        os.killpg(group, signal.SIGKILL)
        assert self.jobs.ended(self.job, run_id)["JobRunState"] == "FAILED"

    def publishing(self) -> str | None:
        """The job run that has committed and whose months the catalog does not show yet."""
        manifests = read_history(S3ObjectStore(self.s3, self.base), BASE)
        if not manifests:
            return None
        live = {
            table: {month: each.location for month, each in manifests[-1].tables.get(table, {}).items()}
            for table in TABLES
        }
        return None if live == {table: self.pointers(table) for table in TABLES} else manifests[-1].job_run_id

    def pointers(self, table: str) -> dict[str, str]:
        pages = self.glue.get_paginator("get_partitions").paginate(DatabaseName=self.database, TableName=table)
        return {
            each["Values"][0]: each["StorageDescriptor"]["Location"] for page in pages for each in page["Partitions"]
        }

    def report(self, month: str) -> Report:
        return tuple(tuple(row) for row in self.athena.rows(MONTHLY, f"'{month}'"))

    def rows(self, table: str) -> Counter[str]:
        """A table as its pointers show it, as a multiset of rows."""
        found: Counter[str] = Counter()
        for month, location in self.pointers(table).items():
            for entry in S3ObjectStore(self.s3, self.base).listing(location.removeprefix(f"s3://{self.base}/")):
                body = self.s3.get_object(Bucket=self.base, Key=entry.key)["Body"].read()
                found.update(comparable({**row, "month": month}) for row in pq.read_table(io.BytesIO(body)).to_pylist())
        return found

    def expected_rows(self) -> dict[str, Counter[str]]:
        """The tables that the delivered objects give, computed in plain Python."""
        raws = [
            oracle.Raw(each.key, self.s3.get_object(Bucket=self.raw, Key=each.key)["Body"].read(), each.last_modified)
            for each in S3ObjectStore(self.s3, self.raw).listing("transactions/")
        ]
        return {table: Counter(map(comparable, rows)) for table, rows in oracle.lake(raws).items()}

    @contextmanager
    def watched(self) -> Iterator[list[tuple[str, Report]]]:
        """Query the months' reports in turn, all the time; yield what was seen."""
        seen: list[tuple[str, Report]] = []
        failures: list[BaseException] = []
        ended = threading.Event()

        def poll() -> None:
            try:
                while not ended.is_set():
                    for month in MONTHS:
                        seen.append((month, self.report(month)))
            except BaseException as error:  # noqa: BLE001 - a reader must not meet any
                failures.append(error)

        reader = threading.Thread(target=poll)
        reader.start()
        try:
            yield seen
        finally:
            ended.set()
            reader.join()
        assert failures == []


def comparable(row: dict[str, Any]) -> str:
    return str(
        sorted((name, value.isoformat() if hasattr(value, "isoformat") else value) for name, value in row.items())
    )


def process_group(run_id: str) -> int | None:
    """The process group of a job run, with its driver and Java."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if run_id.encode() in arguments and os.getpgid(int(directory.name)) == int(directory.name):
            return int(directory.name)
    return None


def test_readers_see_old_or_new_months_while_runs_are_killed_and_repaired(local_cloud: Cloud) -> None:
    """Given corrections that move and empty months, when runs die at their commit and between two tables, then readers
    see each month only as it was or as it will be, and the next runs, which need not wait, end in the tables of the raw
    objects.
    """
    lakehouse = Lakehouse(local_cloud)
    lakehouse.deliver("a", FIRST)
    lakehouse.run()
    assert {month: lakehouse.report(month) for month in MONTHS} == STAGES[0]

    with lakehouse.watched() as seen:
        lakehouse.deliver("b", MOVES)
        lakehouse.run_and_kill(when=lambda: True)
        killed_at_commit = len(seen)
        lakehouse.deliver("c", EMPTIES)
        lakehouse.run_and_kill(when=lambda: "2024-09" not in lakehouse.pointers("refund"))
        assert "2024-09" in lakehouse.pointers("refund_detail")
        lakehouse.run()

    assert {month: lakehouse.report(month) for month in MONTHS} == STAGES[2]
    assert killed_at_commit > 0
    assert {(month, report) for month, report in seen} <= {(m, s[m]) for s in STAGES for m in MONTHS}
    assert {table: lakehouse.rows(table) for table in TABLES} == lakehouse.expected_rows()
    assert lakehouse.publishing() is None
