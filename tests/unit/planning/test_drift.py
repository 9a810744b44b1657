"""Drift: six ways to change a deployed environment behind our back, each found; known ones have a reason and an end."""

from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest
from deployments import World

from deployer.cloudformation.port import Drift, describe_all
from deployer.ledger.ledger import Ledger
from deployer.pauses import Pauses
from deployer.planning.deployed_services import DeployedServices
from deployer.planning.drift import DriftFinding, expired, find_drift, with_known
from deployer.project.config import DriftIgnore

TABLE = """\
Resources:
  Base: {Type: "AWS::Glue::Database", Properties: {CatalogId: x, DatabaseInput: {Name: base}}}
  Void:
    Type: AWS::Glue::Table
    Properties:
      DatabaseName: !Ref Base
      TableInput:
        Name: void
        StorageDescriptor: {Columns: [{Name: id, Type: string}, {Name: amount, Type: 'decimal(18,2)'}]}
        PartitionKeys: [{Name: month, Type: string}]
"""
COLUMNS = (("id", "string"), ("amount", "decimal(18,2)"), ("month", "string"))
SCRIPT = b"print(1)\n"
PACKAGE = hashlib.sha256(b"zip").hexdigest()
FUNCTION = f"""\
  Tell: {{Type: "AWS::Lambda::Function", Properties: {{Code: {{S3Key: artifacts/{PACKAGE}/tell.zip}}}}}}
"""


class FakeLive(DeployedServices):
    """Jobs, tables and objects as they are."""

    def __init__(self) -> None:
        self.script: str | None = f"s3://artifacts/artifacts/{hashlib.sha256(SCRIPT).hexdigest()}/job.py"
        self.columns: tuple[tuple[str, str], ...] | None = COLUMNS
        self.bytes: bytes | None = SCRIPT
        self.code: str | None = PACKAGE
        self.asked: list[tuple[str, str]] = []

    def script_of(self, job: str) -> str | None:
        return self.script

    def code_of(self, function: str) -> str | None:
        return self.code

    def columns_of(self, database: str, table: str) -> tuple[tuple[str, str], ...] | None:
        self.asked.append((database, table))
        return self.columns

    def content(self, address: str) -> bytes | None:
        return self.bytes


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.edit(
        "templates/job.yaml", "ScriptLocation: !Ref ScriptKey", "ScriptLocation: !Sub 's3://artifacts/${ScriptKey}'"
    )
    world.write("templates/report.yaml", TABLE + FUNCTION)
    world.deploy()
    return world


def findings(world: World, live: FakeLive) -> list[str]:
    states = describe_all(world.cloud, world.target().stack_names)
    current = Ledger(world.store, "uat").current()
    return [str(f) for f in find_drift(world.cloud, live, states, current, Pauses(0.001))]


def test_an_untouched_environment_has_no_drift(world: World) -> None:
    live = FakeLive()
    assert findings(world, live) == []
    assert live.asked == [("shop-uat-report-Base", "shop-uat-report-Void")]


def test_a_script_that_was_overwritten_is_found(world: World) -> None:
    """CloudFormation sees the key only; the bytes behind it are another script."""
    live = FakeLive()
    live.bytes = b"print('evil')\n"
    (found,) = findings(world, live)
    assert found.startswith("job/Job script bytes: expected ")


def test_a_script_that_is_gone_is_found(world: World) -> None:
    live = FakeLive()
    live.bytes = None
    (found,) = findings(world, live)
    assert found.endswith("is (gone)")


def test_a_job_that_was_pointed_elsewhere_is_found(world: World) -> None:
    live = FakeLive()
    live.script = "s3://elsewhere/job.py"
    (found,) = findings(world, live)
    assert "Command.ScriptLocation" in found


def test_a_function_with_other_code_is_found(world: World) -> None:
    """Given a package that somebody has put into a function, then it is found by its hash; a function that is gone is CloudFormation's finding."""
    live = FakeLive()
    live.code = hashlib.sha256(b"evil").hexdigest()
    assert findings(world, live) == [f"report/Tell code bytes: expected {PACKAGE}, is {live.code}"]
    live.code = None
    assert findings(world, live) == []


def test_changed_columns_are_found(world: World) -> None:
    live = FakeLive()
    live.columns = (("id", "string"), ("amount", "double"), ("extra", "string"), ("month", "string"))
    assert findings(world, live) == [
        "report/Void table column amount: expected decimal(18,2), is double",
        "report/Void table column extra: expected (none), is string",
    ]


def test_a_deleted_table_or_job_is_found(world: World) -> None:
    live = FakeLive()
    live.columns = live.script = None
    assert sorted(findings(world, live)) == ["job/Job deleted", "report/Void deleted"]


def test_cloudformations_own_findings_are_told(world: World) -> None:
    world.cloud.drifted["shop-uat-store"] = [
        Drift("Data", "AWS::S3::Bucket", "MODIFIED", (("/VersioningConfiguration/Status", "Enabled", "Suspended"),))
    ]
    assert findings(world, FakeLive()) == [
        "store/Data modified /VersioningConfiguration/Status: expected Enabled, is Suspended"
    ]


def test_a_failed_detection_is_no_clean_bill(world: World) -> None:
    world.cloud.detection = ("DETECTION_FAILED", "Access denied")
    assert all("not checked" in found for found in findings(world, FakeLive()))
    assert findings(world, FakeLive())


def test_a_stack_that_was_updated_outside_is_found(world: World) -> None:
    world.cloud.touch("shop-uat-store")
    (found,) = findings(world, FakeLive())
    assert found.startswith("store ledger last update: expected CREATE_COMPLETE")


@pytest.mark.parametrize(
    ("ignore", "today", "is_known"),
    [
        (("store", "Data", None), "2026-11-30", True),
        (("store", "Data", "/Status"), "2026-11-30", True),
        (("store", "Data", "/Other"), "2026-11-30", False),
        (("store", "Other", None), "2026-11-30", False),
        (("store", "Data", None), "2026-12-01", False),
    ],
)
def test_known_differences_have_a_reason_and_an_end(
    ignore: tuple[str, str, str | None], today: str, is_known: bool
) -> None:
    """Given an entry in drift_ignore, then it covers its own resource and property until its last day."""
    stack, logical_id, path = ignore
    entry = DriftIgnore(stack, logical_id, "until the migration ends", dt.date(2026, 11, 30), path)
    (found,) = with_known([DriftFinding("store", "Data", "modified", "/Status")], [entry], dt.date.fromisoformat(today))
    assert bool(found.ignored) is is_known
    assert bool(expired([entry], dt.date.fromisoformat(today))) is (today > "2026-11-30")
