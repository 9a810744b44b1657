"""A copy of the project in a folder of its own, with its command line: what a person who tries the project does.

A lake is deployed once for all tests that want one; each test gets a copy of that checkout, a checkout of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import boto3
import pytest
from repository import ROOT

from deployer import local

DATAOPS = str(Path(sys.executable).with_name("dataops"))
PARTS = ("templates", "glue", "athena", "functions")


@dataclass(frozen=True)
class LocalProject:
    """A project directory; the first command that needs its local cloud starts it."""

    directory: Path
    command: str = DATAOPS

    @classmethod
    def copy_to(cls, directory: Path) -> Self:
        for name in PARTS:
            shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "dataops.yml", directory)
        return cls(directory)

    @classmethod
    def deployed(cls, tmp_path_factory: pytest.TempPathFactory, name: str) -> Self:
        """A project with a running local cloud and a deployed lake in which nothing has happened yet."""
        directory = tmp_path_factory.mktemp(name) / "project"
        copy_deployed(tmp_path_factory, directory)
        local.start(directory, say=lambda text: None)
        return cls(directory)

    def dataops(
        self, *arguments: str, check: bool = True, keys: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, with no AWS variables but `keys` if given; with `check`, fail the test if the command fails."""
        environment = None
        if keys is not None:
            outer = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            environment = {**outer, **keys, "AWS_CONFIG_FILE": os.devnull}
        run = subprocess.run(
            [self.command, *arguments],
            cwd=self.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if check and run.returncode != 0:
            pytest.fail(f"dataops {' '.join(arguments)} ended with {run.returncode}\n{run.stdout}\n{run.stderr}")
        return run

    def document(self, *arguments: str) -> Any:
        """The JSON document of a command, which must succeed."""
        return json.loads(self.dataops("--output", "json", *arguments).stdout)

    def deliver(self, name: str, lines: Iterable[str]) -> None:
        """Deliver lines as a partner, and run the job."""
        (self.directory / name).write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        self.dataops("ingest", "--env", "local", name)
        self.dataops("run", "--env", "local")

    def set_webhook(self, address: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Set the environment's address of Slack as a person does: on stdin."""
        command = [self.command, "secret", "set", "--env", "local", "slack-webhook", *options]
        return subprocess.run(
            command, cwd=self.directory, input=address, capture_output=True, text=True, timeout=60, check=False
        )

    def client(self, service: str, *, account: str | None = None) -> Any:
        """A boto3 client of the local cloud, for its own account or another one."""
        status = self.document("local", "status")
        return boto3.client(
            service,
            endpoint_url=status["url"],
            region_name=status["region"],
            aws_access_key_id=account or status["access_key_id"],
            aws_secret_access_key=status["secret_access_key"],
        )

    def outputs(self, stack: str) -> dict[str, str]:
        """The outputs of one deployed stack."""
        stacks = self.client("cloudformation").describe_stacks(StackName=f"refunds-lake-local-{stack}")["Stacks"]
        return {each["OutputKey"]: each["OutputValue"] for each in stacks[0]["Outputs"]}


def copy_deployed(tmp_path_factory: pytest.TempPathFactory, directory: Path) -> None:
    """Copy a checkout with a deployed lake and a stopped local cloud to an empty place; deploy the lake if nobody has."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with (shared / "deployed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "deployed").exists():
            project = LocalProject.copy_to(shared / "deploying")
            try:
                project.dataops("deploy", "--env", "local", "--yes", "--no-smoke")
            finally:
                project.dataops("local", "stop")
            project.directory.rename(shared / "deployed")
    shutil.copytree(shared / "deployed", directory, symlinks=True)
