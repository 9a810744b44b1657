"""The worked example of a new column, replayed from the text of CONTRIBUTING.md on a lake that has data already."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_project import LocalProject
from worked_examples import COLUMN, add_column, blocks

PURCHASE = {"id": "P1", "type": "purchase", "timestamp": "2026-09-01T10:00:00Z", "amount": "100.00"}
REFUND = {"type": "refund", "timestamp": "2026-10-01T10:00:00Z", "parent_id": "P1"}
BEFORE = [
    {**PURCHASE, "customer_id": "anna", "merchant_id": "m"},
    {**REFUND, "id": "R1", "amount": "60.00"},
]
AFTER = [
    {**REFUND, "id": "R2", "amount": "5.50", "channel": "phone"},
    {**REFUND, "id": "R2", "amount": "5.50", "channel": "web"},
    {**REFUND, "id": "R3", "amount": "7.00", "channel": "web", "timestamp": "2026-09-02T10:00:00Z"},
    {**REFUND, "id": "R4", "amount": "8.00", "channel": 7},
]


@pytest.fixture(scope="module")
def lakehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """A lake with a published month, then changed as the page says, and delivered records with a channel."""
    project = LocalProject.deployed(tmp_path_factory, "column")
    try:
        project.deliver("before.jsonl", map(json.dumps, BEFORE))
        add_column(project.directory)
        after = project.directory / "after.jsonl"
        after.write_text("".join(json.dumps(record) + "\n" for record in AFTER), encoding="utf-8")
        project.dataops("ingest", "--env", "local", after.name)
        yield project
    finally:
        project.dataops("local", "stop", check=False)


def test_the_column_comes_from_the_record_into_the_report(lakehouse: LocalProject) -> None:
    """Given the example's changes, when its commands are run, then the report has the channel of new records, none of old ones."""
    (commands,) = blocks(COLUMN, "bash")
    path = os.pathsep.join([str(Path(lakehouse.command).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=lakehouse.directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "smoke test: pass" in done.stdout
    assert "superseded" in done.stdout, "another channel is another version"
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("2026-")]
    assert rows == [["2026-10", "web", "5.50"], ["2026-10", "null", "60.00"]]


def test_a_channel_that_is_no_text_is_rejected(lakehouse: LocalProject) -> None:
    """Given a number as the channel, when the job has run, then the record is rejected, and the reason says why."""
    found = lakehouse.document("rejected", "--env", "local")
    assert [(each["line"], each["reasons"]) for each in found["records"]] == [(4, ["channel_not_text"])]


def test_the_report_is_found_in_the_workgroup(lakehouse: LocalProject) -> None:
    """Given the deployment, when the workgroup's named queries are read, then the new report is among them."""
    athena, group = lakehouse.client("athena"), "refunds-lake-local-athena"
    ids = athena.list_named_queries(WorkGroup=group)["NamedQueryIds"]
    names = [each["Name"] for each in athena.batch_get_named_query(NamedQueryIds=ids)["NamedQueries"]]
    assert "channel_refunds" in names
