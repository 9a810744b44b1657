"""Five small stacks in a row, two accounts, and a bare emulator without Spark or Athena to deploy them to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.aws.session import Access, Session
from deployer.composition.environment import built_target
from deployer.composition.ports import ports_of
from deployer.deploying.deployment import Deployment
from deployer.deploying.request import DeployRequest
from deployer.deploying.results import DeployResult
from deployer.pauses import Pauses
from deployer.project.config import load_project
from deployer.terminal.progress import Lines

NAMES = ("base", "ingest", "glue", "catalog", "athena")


def write_project(directory: Path, url: str = "http://127.0.0.1:1") -> None:
    """base > ingest > glue > catalog > athena, each with a setting and a topic; base also has the artifacts bucket."""
    (directory / "templates").mkdir(parents=True)
    for before, name in zip((None, *NAMES), NAMES, strict=False):
        (directory / "templates" / f"{name}.yaml").write_text(_template(name, before), encoding="utf-8")
    (directory / "script.py").write_text("print(1)\n", encoding="utf-8")
    environments = [
        f'  {name}: {{account: "{account}", region: ap-southeast-2, endpoint: "{url}", profile: {name}{more}}}'
        for name, account, more in (("uat", "111111111111", ""), ("prod", "222222222222", ", promotes_from: uat"))
    ]
    stacks = [f"  {name}: {{template: templates/{name}.yaml}}" for name in NAMES]
    lines = [
        "project: five",
        "environments:",
        *environments,
        "artifacts:",
        "  ScriptKey: {file: script.py}",
        "stacks:",
        *stacks,
    ]
    (directory / "dataops.yml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _template(name: str, before: str | None) -> str:
    lines = ["Parameters:", "  EnvironmentName: {Type: String}"]
    lines += [f"  {before.title()}Topic: {{Type: String}}"] if before else []
    lines += ["  ScriptKey: {Type: String}"] if name == "glue" else []
    lines += ["Resources:"]
    if before is None:
        lines += [
            "  Artifacts:",
            "    Type: AWS::S3::Bucket",
            "    DeletionPolicy: Retain",
            "    UpdateReplacePolicy: Retain",
        ]
    value = "!Ref ScriptKey" if name == "glue" else f"!Ref {before.title()}Topic" if before else "one"
    lines += [
        "  Setting:",
        "    Type: AWS::SSM::Parameter",
        "    Properties:",
        "      Type: String",
        f"      Value: {value}",
    ]
    lines += ["  Topic:", "    Type: AWS::SNS::Topic", "Outputs:", f"  {name.title()}Topic: {{Value: !Ref Topic}}"]
    lines += ["  ArtifactsBucketName: {Value: !Ref Artifacts}"] if before is None else []
    return "\n".join(lines) + "\n"


@contextmanager
def bare_emulator(directory: Path) -> Iterator[str]:
    """MiniStack without completions, on loopback and a free port, with none of this process's AWS settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    directory.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "BIND_HOST": "127.0.0.1",
        "SFTP_HOST": "127.0.0.1",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "GATEWAY_PORT": str(port),
        "S3_PERSIST": "0",
        "PERSIST_STATE": "0",
        "S3_DATA_DIR": str(directory / "s3"),
        "STATE_DIR": str(directory / "state"),
        "TMPDIR": str(directory),
    }
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environment, cwd=directory, stdout=log, stderr=log
        )
    try:
        _await(f"http://127.0.0.1:{port}/_ministack/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the emulator did not start")


def session_of(directory: Path, environment: str = "uat") -> Session:
    """A session as `App.connect` makes it, with the account as the access key: the emulator's rule for accounts."""
    project = load_project(directory, {})
    found = project.environments[environment]
    return Session(project, found, Access(found.endpoint, found.account, "x"))


def deploy(session: Session, said: list[str] | None = None, **request: object) -> DeployResult:
    progress = Lines((said if said is not None else []).append)
    ports = ports_of(session, progress, Pauses(), with_smoke=False)
    return Deployment(ports, built_target(session), DeployRequest(**request)).run()  # type: ignore[arg-type]
