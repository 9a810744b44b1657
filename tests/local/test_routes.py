"""The routes into raw, each through the real command: what arrives, what its sender may not do, and what the job reads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from local_project import LocalProject
from repository import ROOT

from deployer import local

PAGES = sorted((ROOT / "docs" / "ingestion").glob("*.md"))
TOOL = "888888888888"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """The project, deployed to a local cloud of its own."""
    project = LocalProject.copy_to(tmp_path_factory.mktemp("routes"))
    try:
        project.dataops("deploy", "--env", "local", "--yes", "--no-smoke")
        yield project
    finally:
        local.stop(project.directory)


def commands(page: Path) -> list[str]:
    """The commands that a page shows."""
    return re.findall(r"^\$ dataops (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_of_a_page_do_what_they_say(project: LocalProject, page: Path) -> None:
    """Given a page about a route, when its commands are typed one after the other, then each succeeds."""
    shown = commands(page)
    assert shown
    for command in shown:
        project.dataops(*shlex.split(command))


# Route 5


def test_a_tool_writes_over_its_own_file_and_the_job_reads_both(project: LocalProject, tmp_path: Path) -> None:
    """Given a tool's file that a run has read, when the tool writes it again, then the next run reads the new version."""
    bucket, file = project.outputs("storage")["RawBucketName"], tmp_path / "1_1790000000000.csv"
    header = "id,type,timestamp,amount,customer_id,merchant_id,_sdc_sequence\n"
    counts = []
    for amount in ("1.00", "2.00"):
        file.write_text(f"{header}tool-p1,purchase,2026-07-01T10:00:00Z,{amount},anna,m1,1790000000000000\n")
        (sent,) = project.document("ingest", "--env", "local", "--route", "third-party", str(file))["files"]
        assert sent["delivered"] and sent["target"] == f"transactions/source=third-party/dataops/{file.name}"
        counts.append(project.document("run", "--env", "local")["counts"])
    assert [each["kept"] for each in counts] == [1, 0] and counts[1]["superseded"] == 1
    versions = project.client("s3").list_object_versions(Bucket=bucket, Prefix=sent["target"])["Versions"]
    assert len(versions) == 2


@pytest.mark.parametrize("caller", ["another account", "without the external id"])
def test_only_the_tool_takes_its_role(project: LocalProject, caller: str) -> None:
    """Given the role of the tool, when somebody else or nobody with its external id asks for it, then it is refused."""
    sts = project.client("sts", account="777777777777" if caller == "another account" else TOOL)
    given: dict[str, Any] = {"ExternalId": "local-third-party"} if caller == "another account" else {}
    with pytest.raises(ClientError, match="not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=project.outputs("ingest")["ThirdPartyRoleArn"], RoleSessionName="tool", **given)
