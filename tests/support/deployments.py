"""A small project of three stacks in a row, and an environment to deploy it to: the world of the deployer's unit tests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fake_cloud import FakeCloud, FakeStore

from deployer.deploying.deployment import Deployment
from deployer.deploying.events import Event
from deployer.deploying.request import DeployRequest, Ports
from deployer.deploying.results import DeployResult
from deployer.ledger.store import RecordStore
from deployer.ledger.verdict import SmokeOutcome, Verdict
from deployer.pauses import Deadline, Pauses
from deployer.planning.plan import Plan
from deployer.project.config import parse_project
from deployer.release.release import build_release
from deployer.release.target import Target, target_of

DATAOPS_YML = """\
project: shop
environments:
  uat: {account: "111111111111", region: eu-west-1}
  prod: {account: "222222222222", region: eu-west-1, promotes_from: uat}
artifacts:
  ScriptKey: {file: job.py}
stacks:
  base: {template: templates/base.yaml}
  store: {template: templates/store.yaml}
  job: {template: templates/job.yaml}
  report: {template: templates/report.yaml}
"""
TEMPLATES = {
    "base": """\
Resources:
  Artifacts: {Type: "AWS::S3::Bucket", DeletionPolicy: Retain, UpdateReplacePolicy: Retain}
Outputs:
  ArtifactsBucketName: {Value: artifacts}
""",
    "store": """\
Parameters:
  EnvironmentName: {Type: String}
Resources:
  Data: {Type: "AWS::S3::Bucket", DeletionPolicy: Retain, UpdateReplacePolicy: Retain}
Outputs:
  DataName: {Value: !Ref Data}
""",
    "job": """\
Parameters:
  DataName: {Type: String}
  ScriptKey: {Type: String}
Resources:
  Job: {Type: "AWS::Glue::Job", Properties: {Command: {ScriptLocation: !Ref ScriptKey}, Name: !Ref DataName}}
Outputs:
  JobName: {Value: !Ref Job}
""",
    "report": """\
Parameters:
  DataName: {Type: String}
Resources:
  Query: {Type: "AWS::SNS::Topic", Properties: {TopicName: !Ref DataName}}
""",
}
PASSED = Verdict(SmokeOutcome.PASS, "2 rows", seconds=0.1)


class Recorder:
    """A progress that remembers."""

    wants_resources = True

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        pass


@dataclass
class World:
    """One account with its cloud and its bucket, and the project in a directory."""

    directory: Path
    cloud: FakeCloud = field(default_factory=FakeCloud)
    store: FakeStore = field(default_factory=FakeStore)
    environment: str = "uat"
    smoke: Callable[..., Verdict] | None = None
    progress: Recorder = field(default_factory=Recorder)
    now: dt.datetime = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    deadline: Deadline = field(default_factory=Deadline)
    blockers: list[str] = field(default_factory=list)
    examined: int = 0

    def __post_init__(self) -> None:
        (self.directory / "templates").mkdir(parents=True, exist_ok=True)
        self.write("dataops.yml", DATAOPS_YML)
        self.write("job.py", "print(1)\n")
        for name, body in TEMPLATES.items():
            self.write(f"templates/{name}.yaml", body)

    def write(self, path: str, text: str) -> None:
        (self.directory / path).write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.directory / path).read_text(encoding="utf-8")
        assert old in text
        self.write(path, text.replace(old, new))

    def target(self) -> Target:
        project = parse_project((self.directory / "dataops.yml").read_text(encoding="utf-8"), self.directory, {})
        return target_of(project, project.environments[self.environment], build_release(project))

    def ports(self) -> Ports:
        store: RecordStore = self.store
        return Ports(
            self.cloud,
            lambda bucket: store,
            self.smoke,
            self.progress,
            Pauses(first_seconds=0.0001, deadline=self.deadline),
            lambda: self.now,
            self._examine,
        )

    def _examine(self, target: Target) -> list[str]:
        self.examined += 1
        return self.blockers

    def deploy(self, target: Target | None = None, **request: Any) -> DeployResult:
        return Deployment(self.ports(), target or self.target(), DeployRequest(**request)).run()

    def plan(self, **request: Any) -> Plan:
        return Deployment(self.ports(), self.target(), DeployRequest(**request)).plan()

    def forget_calls(self) -> None:
        self.cloud.calls.clear()
        self.cloud.executed.clear()
        self.store.calls.clear()
        self.store.puts.clear()

    def another_account(self, directory: Path) -> World:
        return World(directory, environment="prod")


def passing(*_: Any) -> Verdict:
    return PASSED


def failing(outcome: SmokeOutcome) -> Callable[..., Verdict]:
    return lambda *_: replace(PASSED, outcome=outcome, message="not what was expected")
